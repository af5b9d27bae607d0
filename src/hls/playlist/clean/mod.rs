//! Brings the text of a playlist into the form that `m3u8-rs` 6 reads without loss.
//!
//! Found by reading the parser and by what servers send: it wants strict UTF-8 and `#EXTM3U` at the first
//! byte; one attribute that it cannot type costs the whole line, and an attribute without `=` swallows the
//! next line; a comma in an EXTINF title ends the parse with no error; METHOD=NONE without an IV is an error
//! to it; of several KEYs before a segment it keeps the last, and a decimal TARGETDURATION is none. So only
//! the tags that the model carries are passed on, each written anew, and the entries are counted.

mod master;
mod media;

use std::collections::BTreeMap;
use std::time::Duration;

use super::attributes;
use super::model::{DateRange, Skip};
use super::{Error, Start};

use crate::outside::{self, Name};
use media::Carry;
pub(super) use media::Extra;

/// Where `#EXTM3U` does not come within so many lines, the body is something else.
const MAX_PREAMBLE_LINES: usize = 16;

/// Tags that only a media playlist has (RFC 8216 4.3.2, 4.3.3), of which one is enough to know it.
const MEDIA_TAGS: [&str; 7] = [
    "#EXTINF",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-BYTERANGE",
    "#EXT-X-ENDLIST",
];

/// And a master playlist (4.3.4), beside that of its variants.
const MASTER_TAGS: [&str; 3] = ["#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-SESSION-"];

/// What all tags begin with (RFC 8216 4.1); other lines with a `#` are comments.
const TAG: &str = "#EXT";

/// What variables may add to a text: some hundred bytes of token on each of ten thousand addresses.
const MAX_EXPANSION: usize = 4 << 20;

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
    pub(super) variables: BTreeMap<String, String>,
    /// Of each variant, its `NAME`.
    pub(super) names: Vec<Option<Name>>,
    pub(super) media: Collected,
}

/// What `m3u8-rs` loses or cannot type, of a media playlist.
#[derive(Default)]
pub(super) struct Collected {
    /// One for each segment.
    pub(super) extras: Vec<Extra>,
    pub(super) date_ranges: Vec<DateRange>,
    pub(super) start: Option<Start>,
    pub(super) skip: Option<Skip>,
    pub(super) numbered: bool,
}

pub(super) fn clean(body: &[u8], definitions: &Definitions) -> Result<Cleaned, Error> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    let numbered = || text.split(['\n', '\r']).map(str::trim as fn(&str) -> &str).enumerate();
    let mut lines = numbered();
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.starts_with('<') {
        return Err(Error::Html);
    }
    // It must be the first line; comments and rests of a template before it are seen all the same.
    let has = |prefix: &str| text.split(['\n', '\r']).any(|line| begins(line.trim_start(), prefix));
    if !lines.by_ref().take(MAX_PREAMBLE_LINES).any(|(_, line)| begins(line, "#EXTM3U")) {
        // Some generators leave it out; other bodies do not have lines that begin with these.
        if !has("#EXTINF:") && !has("#EXT-X-STREAM-INF:") {
            let binary = text.contains(|c: char| c.is_control() && !c.is_whitespace());
            return Err(if binary { Error::Binary } else { Error::NotAPlaylist });
        }
        lines = numbered();
    }
    let master = has("#EXT-X-STREAM-INF:");
    if !master && !MEDIA_TAGS.into_iter().any(has) {
        let empty_master = MASTER_TAGS.into_iter().any(has);
        return Err(if empty_master { Error::EmptyMaster } else { Error::NoContent });
    }

    let mut cleaner = Cleaner {
        definitions,
        out: String::with_capacity(text.len()),
        max_out: text.len().saturating_mul(2).saturating_add(MAX_EXPANSION),
        expanded: 0,
        variables: BTreeMap::new(),
        names: Vec::new(),
        master,
        ended: false,
        expects_uri: false,
        target_duration: 0.0,
        entries: 0,
        carry: Carry::default(),
        media: Collected::default(),
    };
    cleaner.out.push_str("#EXTM3U\n");
    for (index, line) in lines {
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('#') {
            cleaner.uri(line, index + 1)?;
        } else if begins(line, TAG) {
            let tag = line.get(TAG.len()..).unwrap_or_default();
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            let name = name.trim_end().to_ascii_uppercase();
            if master {
                cleaner.master_tag(&name, value.trim(), index + 1)?;
            } else {
                cleaner.media_tag(&name, value.trim(), index + 1)?;
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
        variables: cleaner.variables,
        names: cleaner.names,
        media: cleaner.media,
    })
}

/// Whether `line` begins with a tag. Tags are in upper case (RFC 8216 4.1); not all writers keep to it.
fn begins(line: &str, tag: &str) -> bool {
    line.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag))
}

/// Whether a line that nothing announces is an address, and no rest of a template or a stray word: of characters
/// that addresses have (RFC 3986 2), with a folder or an extension.
fn could_name_a_file(line: &str) -> bool {
    let foreign =
        |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`');
    line.contains(['.', '/']) && !line.contains(foreign)
}

/// RFC 8216bis 4.3: what else stands in such braces is no variable.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// What would have to be cut is refused: it leads nowhere then.
fn check_address(address: &str, line: usize) -> Result<(), Error> {
    outside::check_address(address).map_err(|source| Error::Address { line, source })
}

struct Cleaner<'d> {
    definitions: &'d Definitions,
    out: String,
    /// Where variables make more of the text than this, it is an attack.
    max_out: usize,
    /// Bytes of all that variables were put into.
    expanded: usize,
    variables: BTreeMap<String, String>,
    names: Vec<Option<Name>>,
    master: bool,
    /// EXT-X-ENDLIST came.
    ended: bool,
    /// An EXTINF or STREAM-INF came, its address did not yet.
    expects_uri: bool,
    /// Seconds, for segments whose own duration cannot be read; 0 before the tag.
    target_duration: f64,
    entries: usize,
    carry: Carry,
    media: Collected,
}

impl Cleaner<'_> {
    fn uri(&mut self, line: &str, number: usize) -> Result<(), Error> {
        if !self.expects_uri {
            // An address that no STREAM-INF announces is no variant. One that no EXTINF announces is a segment:
            // the server counts it, and so do ExoPlayer and video.js (hls.js and FFmpeg do not). Behind the end it
            // is the rest of something else.
            if self.master || self.ended || !could_name_a_file(line) {
                return Ok(());
            }
            self.begin_segment(self.target_duration);
        }
        let line = self.substitute(line, number)?;
        check_address(&line, number)?;
        if self.out.len().saturating_add(line.len()) > self.max_out {
            return Err(Error::BadTag { line: number, tag: "EXT-X-DEFINE" });
        }
        self.media.extras.push(self.carry.segment());
        self.line("", &line);
        self.expects_uri = false;
        self.entries += 1;
        Ok(())
    }

    /// A segment of so many seconds, whose address comes next.
    fn begin_segment(&mut self, seconds: f64) {
        self.carry.lasts(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        // The parser's own number has 24 bits: too few for an hour in milliseconds.
        self.line("#EXTINF:", "0,");
        self.expects_uri = true;
    }

    fn define(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let value = self.substitute(value, number)?;
        let given = attributes::parse(&value);
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
            let (length, limit) = (name.len().max(value.len()), outside::MAX_ADDRESS);
            if length > limit {
                return Err(Error::TooLong { line: number, what: "the variable", length, limit });
            }
            self.variables.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Replaces `{$name}`, once: values are not looked into again, and all of it together is bounded.
    fn substitute(&mut self, text: &str, number: usize) -> Result<String, Error> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{$") {
            out.push_str(before);
            let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_variable_name(name)) else {
                out.push_str("{$");
                rest = after;
                continue;
            };
            let value = self
                .variables
                .get(name)
                .ok_or_else(|| Error::UndefinedVariable { line: number, name: Name::new(name) })?;
            out.push_str(value);
            self.expanded = self.expanded.saturating_add(before.len().saturating_add(value.len()));
            if self.expanded > self.max_out {
                return Err(Error::BadTag { line: number, tag: "EXT-X-DEFINE" });
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn line(&mut self, tag: &str, value: &str) {
        self.out.push_str(tag);
        // A definition may bring a line end with it; a line must stay one line.
        self.out.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r')));
        self.out.push('\n');
    }
}
