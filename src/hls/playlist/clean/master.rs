//! The tags of a master playlist (RFC 8216 4.3.4).

use super::super::Error;
use super::super::attributes::{self, Attribute};
use super::super::limits::{MAX_RENDITIONS, MAX_VARIANTS};
use super::{Cleaner, check_address};
use crate::outside::Name;

impl Cleaner<'_> {
    pub(super) fn master_tag(&mut self, name: &str, value: &str, number: usize) -> Result<(), Error> {
        match name {
            "-X-STREAM-INF" => {
                let value = self.substitute(value, number)?;
                let given = self.attributes(&value);
                let bandwidth = whole(attributes::value(&given, "BANDWIDTH").unwrap_or_default());
                let mut list = String::new();
                attributes::push(&mut list, "BANDWIDTH", &bandwidth.to_string(), false);
                for name in ["CODECS", "AUDIO"] {
                    copy(&mut list, &given, name, true);
                }
                // NAME is not in the RFC, but packagers write it, and people choose by it.
                let name = attributes::value(&given, "NAME").map(Name::new);
                if let Some((width, height)) = resolution(&given) {
                    attributes::push(&mut list, "RESOLUTION", &format!("{width}x{height}"), false);
                }
                if let Some(rate) = attributes::value(&given, "FRAME-RATE")
                    && rate.parse::<f64>().is_ok_and(f64::is_finite)
                {
                    attributes::push(&mut list, "FRAME-RATE", rate, false);
                }
                self.drop_open_variant();
                if self.names.len() >= MAX_VARIANTS {
                    self.left_out.variants += 1;
                    return Ok(());
                }
                self.line("#EXT-X-STREAM-INF:", &list);
                self.names.push(name);
                self.expects_uri = true;
            }
            "-X-MEDIA" => {
                let value = self.substitute(value, number)?;
                let given = self.attributes(&value);
                if is(&given, "TYPE", "AUDIO") {
                    if self.renditions >= MAX_RENDITIONS {
                        self.left_out.renditions += 1;
                        return Ok(());
                    }
                    self.renditions += 1;
                    attributes::value(&given, "URI").map_or(Ok(()), |uri| check_address(uri, number))?;
                    let mut list = "TYPE=AUDIO".to_owned();
                    copy(&mut list, &given, "GROUP-ID", true);
                    let name = attributes::value(&given, "NAME").unwrap_or("unnamed");
                    attributes::push(&mut list, "NAME", name, true);
                    copy(&mut list, &given, "LANGUAGE", true);
                    for name in ["URI", "CHARACTERISTICS", "CHANNELS"] {
                        copy(&mut list, &given, name, true);
                    }
                    for name in ["DEFAULT", "AUTOSELECT"] {
                        if is(&given, name, "YES") {
                            attributes::push(&mut list, name, "YES", false);
                        }
                    }
                    self.line("#EXT-X-MEDIA:", &list);
                }
            }
            "-X-DEFINE" => self.define(value, number)?,
            "-X-START" => self.start(value),
            _ => {}
        }
        Ok(())
    }

    /// A STREAM-INF that no address followed is no variant, but would count as one.
    pub(super) fn drop_open_variant(&mut self) {
        if self.expects_uri
            && let Some(start) = self.out.rfind("#EXT-X-STREAM-INF:")
        {
            let end = self.out[start..].find('\n').map_or(self.out.len(), |length| start + length + 1);
            self.out.replace_range(start..end, "");
            self.names.pop();
        }
        self.expects_uri = false;
    }
}

/// Enumerated strings are upper case (RFC 8216 4.2); not all writers keep to it.
fn is(given: &[Attribute<'_>], name: &str, wanted: &str) -> bool {
    attributes::value(given, name).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
}

fn copy(list: &mut String, given: &[Attribute<'_>], name: &str, quoted: bool) {
    if let Some(value) = attributes::value(given, name) {
        attributes::push(list, name, value, quoted);
    }
}

/// `1280000.0`, as some packagers write it, is 1280000; what is no number is 0.
fn whole(number: &str) -> u64 {
    number.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn resolution(given: &[Attribute<'_>]) -> Option<(u64, u64)> {
    let (width, height) = attributes::value(given, "RESOLUTION")?.split_once(['x', 'X'])?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}
