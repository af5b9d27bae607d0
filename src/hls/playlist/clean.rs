//! Brings the text of a playlist into the form that `m3u8-rs` 6 reads without loss.
//!
//! Found by reading the parser and by what servers send: it wants strict UTF-8 and `#EXTM3U` at the first
//! byte; one attribute that it cannot type costs the whole line, and an attribute without `=` swallows the
//! next line; a comma in an EXTINF title ends the parse with no error; METHOD=NONE without an IV is an error
//! to it; of several KEYs before a segment it keeps the last, and a decimal TARGETDURATION is none. So only
//! the tags that the model carries are passed on, each written anew, and the entries are counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Error;
use super::attributes::{self, Attribute};

/// The name under which the date of a segment passes through the parser as it was written: its own date type
/// refuses zones like `+0800`, which encoders write.
pub(super) const DATE_TAG: &str = "X-OVERDUB-DATE";

/// Longer dates are garbage; RFC 3339 with nanoseconds and a zone has 35 characters.
const MAX_DATE_CHARS: usize = 64;

/// Where `#EXTM3U` does not come within so many lines, the body is something else.
const MAX_PREAMBLE_LINES: usize = 16;

/// Variables that a playlist may import (RFC 8216bis 4.4.2.3).
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// From the master playlist, for IMPORT.
    pub imported: BTreeMap<String, String>,
    /// From the playlist's own address, decoded, for QUERYPARAM.
    pub query: BTreeMap<String, String>,
}

pub(super) struct Cleaned {
    pub(super) text: String,
    pub(super) master: bool,
    /// Segments of a media playlist; variants of a master playlist.
    pub(super) entries: usize,
    /// `EXT-X-SKIP`: segments that a delta update leaves out before the first one listed.
    pub(super) skipped: u64,
    pub(super) variables: BTreeMap<String, String>,
}

pub(super) fn clean(body: &[u8], definitions: &Definitions) -> Result<Cleaned, Error> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    let mut lines = text.split(['\n', '\r']).map(str::trim).enumerate();
    if text.is_empty() {
        return Err(Error::Empty);
    }
    // It must be the first line; comments and rests of a template before it are seen all the same.
    if !lines.by_ref().take(MAX_PREAMBLE_LINES).any(|(_, line)| line.starts_with("#EXTM3U")) {
        return Err(if text.starts_with('<') { Error::Html } else { Error::NotAPlaylist });
    }

    let has = |prefix: &str| text.split(['\n', '\r']).any(|line| line.trim_start().starts_with(prefix));
    let master = has("#EXT-X-STREAM-INF:");
    if !master {
        if has("#EXT-X-MEDIA:") || has("#EXT-X-I-FRAME-STREAM-INF") || has("#EXT-X-SESSION-") {
            return Err(Error::EmptyMaster);
        }
        if !has("#EXTINF") && !has("#EXT-X-TARGETDURATION") {
            return Err(Error::NoContent);
        }
    }

    let mut cleaner = Cleaner {
        definitions,
        out: String::with_capacity(text.len()),
        variables: BTreeMap::new(),
        keys: Vec::new(),
        expects_uri: false,
        target_duration: 0.0,
        entries: 0,
        skipped: 0,
    };
    cleaner.out.push_str("#EXTM3U\n");
    for (index, line) in lines {
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('#') {
            cleaner.uri(line, index + 1)?;
        } else if let Some(tag) = line.strip_prefix("#EXT") {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            if master {
                cleaner.master_tag(name, value.trim(), index + 1)?;
            } else {
                cleaner.media_tag(name, value.trim(), index + 1)?;
            }
        }
    }
    if master {
        cleaner.drop_open_variant();
        if cleaner.entries == 0 {
            return Err(Error::EmptyMaster);
        }
    }
    Ok(Cleaned {
        text: cleaner.out,
        master,
        entries: cleaner.entries,
        skipped: cleaner.skipped,
        variables: cleaner.variables,
    })
}

struct Cleaner<'d> {
    definitions: &'d Definitions,
    out: String,
    variables: BTreeMap<String, String>,
    /// The KEY lines since the last address, and whether their format is `identity`.
    keys: Vec<(bool, String)>,
    /// An EXTINF or STREAM-INF came, its address did not yet.
    expects_uri: bool,
    /// Seconds, for segments whose own duration cannot be read; 0 before the tag.
    target_duration: f64,
    entries: usize,
    skipped: u64,
}

impl Cleaner<'_> {
    fn uri(&mut self, line: &str, number: usize) -> Result<(), Error> {
        // An address that no EXTINF or STREAM-INF announces is no segment and no variant; the other players
        // do not count it either, and counting it would shift every sequence number after it.
        if !self.expects_uri {
            return Ok(());
        }
        let line = self.substitute(line, number)?;
        // Several KEYs may apply to one segment, each for another system (RFC 8216 4.3.2.4): the one whose
        // key is in the clear is of use here.
        let keys = std::mem::take(&mut self.keys);
        if let Some((_, key)) = keys.iter().find(|(identity, _)| *identity).or(keys.last()) {
            self.line("#EXT-X-KEY:", key);
        }
        self.line("", &line);
        self.expects_uri = false;
        self.entries += 1;
        Ok(())
    }

    fn media_tag(&mut self, name: &str, value: &str, number: usize) -> Result<(), Error> {
        let bad = |tag| Error::BadTag { line: number, tag };
        match name {
            "INF" => {
                let seconds = seconds(value).unwrap_or(self.target_duration);
                self.line("#EXTINF:", &format!("{seconds:.6},"));
                self.expects_uri = true;
            }
            "-X-TARGETDURATION" => {
                // Where it cannot be read the longest segment says as much.
                if let Some(seconds) = seconds(value) {
                    self.target_duration = seconds;
                    self.line("#EXT-X-TARGETDURATION:", &format!("{:.0}", seconds.ceil()));
                }
            }
            "-X-MEDIA-SEQUENCE" => self.number("EXT-X-MEDIA-SEQUENCE", value, number)?,
            // A hint for joining renditions: without it, counting begins at 0.
            "-X-DISCONTINUITY-SEQUENCE" => {
                let _ = self.number("EXT-X-DISCONTINUITY-SEQUENCE", value, number);
            }
            "-X-PLAYLIST-TYPE" if matches!(value, "VOD" | "EVENT") => {
                self.line("#EXT-X-PLAYLIST-TYPE:", value);
            }
            "-X-ENDLIST" | "-X-I-FRAMES-ONLY" | "-X-DISCONTINUITY" | "-X-GAP" => {
                self.line("#EXT", name);
            }
            "-X-BYTERANGE" => {
                // `100@` is seen, and means what `100` means.
                let mut numbers = value.trim_end_matches('@').splitn(2, '@').map(|n| n.trim().parse::<u64>());
                let length = numbers.next().and_then(Result::ok).ok_or_else(|| bad("EXT-X-BYTERANGE"))?;
                let offset = numbers.next().transpose().map_err(|_| bad("EXT-X-BYTERANGE"))?;
                let offset = offset.map(|offset| format!("@{offset}")).unwrap_or_default();
                self.line("#EXT-X-BYTERANGE:", &format!("{length}{offset}"));
            }
            "-X-KEY" => self.key(value, number)?,
            "-X-MAP" => self.map(value, number)?,
            "-X-PROGRAM-DATE-TIME" if value.chars().count() <= MAX_DATE_CHARS && !value.is_empty() => {
                self.line("#EXT-", &format!("{DATE_TAG}:{value}"));
            }
            "-X-SKIP" => {
                let skipped = attributes::parse(value);
                let skipped = attributes::value(&skipped, "SKIPPED-SEGMENTS").map(str::parse::<u64>);
                self.skipped = skipped.transpose().map_err(|_| bad("EXT-X-SKIP"))?.unwrap_or(0);
            }
            "-X-START" => self.start(value),
            "-X-DEFINE" => self.define(value, number)?,
            _ => {}
        }
        Ok(())
    }

    fn master_tag(&mut self, name: &str, value: &str, number: usize) -> Result<(), Error> {
        match name {
            "-X-STREAM-INF" => {
                let value = self.substitute(value, number)?;
                let given = attributes::parse(&value);
                let bandwidth = whole(attributes::value(&given, "BANDWIDTH").unwrap_or_default());
                let mut list = String::new();
                attributes::push(&mut list, "BANDWIDTH", &bandwidth.to_string(), false);
                for name in ["CODECS", "AUDIO"] {
                    copy(&mut list, &given, name, true);
                }
                if let Some((width, height)) = resolution(&given) {
                    attributes::push(&mut list, "RESOLUTION", &format!("{width}x{height}"), false);
                }
                if let Some(rate) = attributes::value(&given, "FRAME-RATE")
                    && rate.parse::<f64>().is_ok_and(f64::is_finite)
                {
                    attributes::push(&mut list, "FRAME-RATE", rate, false);
                }
                self.drop_open_variant();
                self.line("#EXT-X-STREAM-INF:", &list);
                self.expects_uri = true;
            }
            "-X-MEDIA" => {
                let value = self.substitute(value, number)?;
                let given = attributes::parse(&value);
                if attributes::value(&given, "TYPE") == Some("AUDIO") {
                    let mut list = "TYPE=AUDIO".to_owned();
                    copy(&mut list, &given, "GROUP-ID", true);
                    let name = attributes::value(&given, "NAME").unwrap_or("unnamed");
                    attributes::push(&mut list, "NAME", name, true);
                    copy(&mut list, &given, "LANGUAGE", true);
                    copy(&mut list, &given, "URI", true);
                    if attributes::value(&given, "DEFAULT") == Some("YES") {
                        attributes::push(&mut list, "DEFAULT", "YES", false);
                    }
                    self.line("#EXT-X-MEDIA:", &list);
                }
            }
            "-X-DEFINE" => self.define(value, number)?,
            _ => {}
        }
        Ok(())
    }

    /// A STREAM-INF that no address followed is no variant, but would count as one.
    fn drop_open_variant(&mut self) {
        if self.expects_uri
            && let Some(start) = self.out.rfind("#EXT-X-STREAM-INF:")
        {
            let end = self.out[start..].find('\n').map_or(self.out.len(), |length| start + length + 1);
            self.out.replace_range(start..end, "");
        }
        self.expects_uri = false;
    }

    fn key(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let value = self.substitute(value, number)?;
        let given = attributes::parse(&value);
        let bad = Error::BadTag { line: number, tag: "EXT-X-KEY" };
        let method = attributes::value(&given, "METHOD").ok_or(bad)?;
        let mut list = String::new();
        attributes::push(&mut list, "METHOD", method, false);
        if method == "NONE" {
            // The parser has the condition the wrong way round: NONE must come with an IV.
            attributes::push(&mut list, "IV", "0x0", false);
        } else {
            copy(&mut list, &given, "URI", true);
            copy(&mut list, &given, "IV", false);
            copy(&mut list, &given, "KEYFORMAT", true);
        }
        let identity = attributes::value(&given, "KEYFORMAT").is_none_or(|format| format == "identity");
        self.keys.push((identity, list));
        Ok(())
    }

    fn map(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let value = self.substitute(value, number)?;
        let given = attributes::parse(&value);
        let bad = || Error::BadTag { line: number, tag: "EXT-X-MAP" };
        let uri = attributes::value(&given, "URI").ok_or_else(bad)?;
        let mut list = String::new();
        attributes::push(&mut list, "URI", uri, true);
        if let Some(range) = attributes::value(&given, "BYTERANGE") {
            if range.split('@').any(|n| n.parse::<u64>().is_err()) {
                return Err(bad());
            }
            attributes::push(&mut list, "BYTERANGE", range, true);
        }
        self.line("#EXT-X-MAP:", &list);
        Ok(())
    }

    fn start(&mut self, value: &str) {
        let given = attributes::parse(value);
        let offset = attributes::value(&given, "TIME-OFFSET").and_then(|offset| offset.parse::<f64>().ok());
        // A hint: where it cannot be read, the usual start is right.
        if let Some(offset) = offset.filter(|offset| offset.is_finite()) {
            self.line("#EXT-X-START:", &format!("TIME-OFFSET={offset}"));
        }
    }

    fn define(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let given = attributes::parse(value);
        let (name, value) = if let Some(name) = attributes::value(&given, "NAME") {
            let value = given.iter().find(|a| a.name == "VALUE").map(|a| a.value.to_owned());
            (name, value)
        } else if let Some(name) = attributes::value(&given, "IMPORT") {
            (name, self.definitions.imported.get(name).cloned())
        } else if let Some(name) = attributes::value(&given, "QUERYPARAM") {
            (name, self.definitions.query.get(name).cloned())
        } else {
            return Err(Error::BadTag { line: number, tag: "EXT-X-DEFINE" });
        };
        // RFC 8216bis 4.4.2.3: what cannot be resolved is an error only where it is used.
        if let Some(value) = value {
            self.variables.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Replaces `{$name}`, once: values are not looked into again, so nothing can grow without bound.
    fn substitute(&self, text: &str, number: usize) -> Result<String, Error> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{$") {
            let Some((name, after)) = after.split_once('}') else { break };
            let value = self
                .variables
                .get(name)
                .ok_or_else(|| Error::UndefinedVariable { line: number, name: name.to_owned() })?;
            out.push_str(before);
            out.push_str(value);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn number(&mut self, tag: &'static str, value: &str, line: usize) -> Result<(), Error> {
        let number: u64 = value.parse().map_err(|_| Error::BadTag { line, tag })?;
        let _ = writeln!(self.out, "#{tag}:{number}");
        Ok(())
    }

    fn line(&mut self, tag: &str, value: &str) {
        self.out.push_str(tag);
        // A definition may bring a line end with it; a line must stay one line.
        self.out.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r')));
        self.out.push('\n');
    }
}

fn copy(list: &mut String, given: &[Attribute<'_>], name: &str, quoted: bool) {
    if let Some(value) = attributes::value(given, name) {
        attributes::push(list, name, value, quoted);
    }
}

/// The decimal number that `text` begins with. Titles and attributes follow it, with or without a comma; -1 is
/// how IPTV lists say "unknown".
fn seconds(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let seconds: f64 = text.get(..end)?.parse().ok()?;
    (seconds <= f64::from(u32::MAX)).then_some(seconds.max(0.0))
}

/// `1280000.0`, as some packagers write it, is 1280000; what is no number is 0.
fn whole(number: &str) -> u64 {
    number.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn resolution(given: &[Attribute<'_>]) -> Option<(u64, u64)> {
    let (width, height) = attributes::value(given, "RESOLUTION")?.split_once(['x', 'X'])?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}
