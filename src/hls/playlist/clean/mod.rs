//! Reads a media playlist line by line, and brings a master playlist into the form that `m3u8-rs` 6 reads without loss.
//!
//! Found by reading the parser and by what servers send: it wants strict UTF-8 and `#EXTM3U` at the first
//! byte; one attribute that it cannot type costs the whole line, and an attribute without `=` swallows the
//! next line; a comma in an EXTINF title ends the parse with no error; METHOD=NONE without an IV is an error
//! to it; of several KEYs before a segment it keeps the last, and a decimal TARGETDURATION is none. So only
//! the tags that the model carries are passed on, each written anew, and the entries are counted. Of a media playlist
//! nothing is passed on: a segment of that parser takes a kilobyte, and there may be tens of thousands.

mod master;
mod media;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::attributes::{self, Attributes};
use super::limits::{LeftOut, MAX_VARIABLE_BYTES, MAX_VARIABLES};
use super::model::{DateRange, Kind, Skip};
use super::window::Window;
use super::{Error, Start};

use crate::outside::{self, Name};
use media::Carry;

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

/// Longer names are those of no variable.
const MAX_VARIABLE_NAME: usize = 256;

/// Longer names of tags are none that is known.
const MAX_TAG_NAME: usize = 64;

/// Variables that a playlist may import (RFC 8216bis 4.4.2.3).
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// From the master playlist, for IMPORT.
    pub imported: BTreeMap<String, String>,
    /// From the playlist's own address, decoded, for QUERYPARAM.
    pub query: BTreeMap<String, String>,
}

pub(super) struct Cleaned {
    /// Of a master playlist, what `m3u8-rs` reads.
    pub(super) text: String,
    pub(super) master: bool,
    /// Variants of a master playlist.
    pub(super) entries: usize,
    pub(super) variables: BTreeMap<String, String>,
    /// Of each variant, its `NAME`.
    pub(super) names: Vec<Option<Name>>,
    pub(super) media: Collected,
    pub(super) left_out: LeftOut,
}

/// What a media playlist says.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) window: Window,
    /// Segments listed before the first KEY, and before the first MAP; none, where there is no such tag.
    pub(super) key_at: Option<u64>,
    pub(super) map_at: Option<u64>,
    pub(super) date_ranges: VecDeque<DateRange>,
    pub(super) start: Option<Start>,
    pub(super) skip: Option<Skip>,
    pub(super) numbered: bool,
    pub(super) media_sequence: u64,
    pub(super) discontinuity_sequence: u64,
    /// Whole seconds; 0 where the tag is missing.
    pub(super) target_duration: u64,
    pub(super) kind: Option<Kind>,
    /// EXT-X-ENDLIST came.
    pub(super) ended: bool,
    pub(super) iframes_only: bool,
}

/// `needed_from` is the media sequence number of the first segment that has not been taken yet.
pub(super) fn clean(body: &[u8], definitions: &Definitions, needed_from: u64) -> Result<Cleaned, Error> {
    let body = without_blanks(body);
    // Line by line: a text that is not UTF-8 is not copied as a whole.
    let numbered = || lines_of(body).enumerate();
    let mut lines = numbered();
    let Some(first) = body.first() else { return Err(Error::Empty) };
    if *first == b'<' {
        return Err(Error::Html);
    }
    // It must be the first line; comments and rests of a template before it are seen all the same.
    let kinds = Kinds::of(body);
    if !lines.by_ref().take(MAX_PREAMBLE_LINES).any(|(_, line)| begins_raw(line.trim_ascii(), "#EXTM3U")) {
        // Some generators leave it out; other bodies do not have lines that begin with these.
        if !kinds.segments && !kinds.variants {
            let is_binary = |text: &str| text.contains(|c: char| c.is_control() && !c.is_whitespace());
            let binary = lines_of(body).any(|line| is_binary(&String::from_utf8_lossy(line)));
            return Err(if binary { Error::Binary } else { Error::NotAPlaylist });
        }
        lines = numbered();
    }
    let master = kinds.variants;
    if !master && !kinds.media {
        return Err(if kinds.master { Error::EmptyMaster } else { Error::NoContent });
    }

    let mut cleaner = Cleaner {
        definitions,
        out: String::new(),
        max_out: body.len().saturating_mul(2).saturating_add(MAX_EXPANSION),
        expanded: 0,
        variables: BTreeMap::new(),
        variable_bytes: 0,
        names: Vec::new(),
        master,
        needed_from,
        listed: 0,
        renditions: 0,
        expects_uri: false,
        target_duration: 0.0,
        entries: 0,
        carry: Carry::default(),
        media: Collected::default(),
        left_out: LeftOut::default(),
    };
    cleaner.out.push_str("#EXTM3U\n");
    for (index, line) in lines {
        if line.is_empty() {
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if !line.starts_with('#') {
            cleaner.uri(line, index + 1)?;
        } else if begins(line, TAG) {
            let tag = line.get(TAG.len()..).unwrap_or_default();
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            if name.len() > MAX_TAG_NAME {
                continue;
            }
            let name = upper_case(name.trim_end());
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
        left_out: cleaner.left_out,
    })
}

/// Which tags a text has, seen in one walk.
#[derive(Default)]
struct Kinds {
    /// EXTINF.
    segments: bool,
    /// EXT-X-STREAM-INF.
    variants: bool,
    /// Any that only a media playlist has.
    media: bool,
    /// Any that only a master playlist has.
    master: bool,
}

impl Kinds {
    fn of(body: &[u8]) -> Self {
        let mut kinds = Self::default();
        for line in lines_of(body).map(<[u8]>::trim_ascii_start).filter(|line| line.starts_with(b"#")) {
            if begins_raw(line, "#EXT-X-STREAM-INF:") {
                // Nothing else counts beside it.
                kinds.variants = true;
                return kinds;
            }
            kinds.segments = kinds.segments || begins_raw(line, "#EXTINF:");
            kinds.media = kinds.media || MEDIA_TAGS.into_iter().any(|tag| begins_raw(line, tag));
            kinds.master = kinds.master || MASTER_TAGS.into_iter().any(|tag| begins_raw(line, tag));
        }
        kinds
    }
}

/// What stands between line ends, of either kind.
fn lines_of(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr::memchr2(b'\n', b'\r', bytes);
        rest = end.and_then(|end| bytes.get(end + 1..));
        Some(end.map_or(bytes, |end| &bytes[..end]))
    })
}

/// `name` in upper case, as it nearly always is.
fn upper_case(name: &str) -> Cow<'_, str> {
    match name.contains(|c: char| c.is_ascii_lowercase()) {
        true => Cow::Owned(name.to_ascii_uppercase()),
        false => Cow::Borrowed(name),
    }
}

/// `body` from the first character on that is neither a blank nor a mark of its encoding.
fn without_blanks(mut body: &[u8]) -> &[u8] {
    loop {
        let trimmed = body.trim_ascii_start();
        let trimmed = trimmed.strip_prefix("\u{feff}".as_bytes()).unwrap_or(trimmed);
        if trimmed.len() == body.len() {
            return body;
        }
        body = trimmed;
    }
}

fn begins_raw(line: &[u8], tag: &str) -> bool {
    line.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes()))
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
    variable_bytes: usize,
    names: Vec<Option<Name>>,
    master: bool,
    needed_from: u64,
    /// Segments of a media playlist so far.
    listed: u64,
    /// Audio renditions of a master playlist so far.
    renditions: usize,
    /// An EXTINF or STREAM-INF came, its address did not yet.
    expects_uri: bool,
    /// Seconds, for segments whose own duration cannot be read; 0 before the tag.
    target_duration: f64,
    entries: usize,
    carry: Carry,
    media: Collected,
    left_out: LeftOut,
}

impl Cleaner<'_> {
    fn uri(&mut self, line: &str, number: usize) -> Result<(), Error> {
        if !self.expects_uri {
            // An address that no STREAM-INF announces is no variant. One that no EXTINF announces is a segment:
            // the server counts it, and so do ExoPlayer and video.js (hls.js and FFmpeg do not). Behind the end it
            // is the rest of something else.
            if self.master || self.media.ended || !could_name_a_file(line) {
                return Ok(());
            }
            self.begin_segment(self.target_duration);
        }
        let line = self.substitute(line, number)?;
        check_address(&line, number)?;
        self.expects_uri = false;
        if !self.master {
            self.segment(&line);
            return Ok(());
        }
        if self.out.len().saturating_add(line.len()) > self.max_out {
            return Err(Error::BadTag { line: number, tag: "EXT-X-DEFINE" });
        }
        self.line("", &line);
        self.entries += 1;
        Ok(())
    }

    /// The attributes of a tag.
    fn attributes<'a>(&mut self, list: &'a str) -> Attributes<'a> {
        let given = attributes::parse(list);
        self.left_out.attributes += given.left_out;
        given
    }

    /// A segment of so many seconds, whose address comes next.
    fn begin_segment(&mut self, seconds: f64) {
        self.carry.lasts(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        self.expects_uri = true;
    }

    fn define(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let value = self.substitute(value, number)?;
        let given = self.attributes(&value);
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
        let Some(value) = value else { return Ok(()) };
        let (length, limit) = (name.len().max(value.len()), outside::MAX_ADDRESS);
        if length > limit {
            return Err(Error::TooLong { line: number, what: "the variable", length, limit });
        }
        let bytes = self.variable_bytes.saturating_add(name.len() + value.len());
        if self.variables.len() >= MAX_VARIABLES || bytes > MAX_VARIABLE_BYTES {
            self.left_out.variables += 1;
            return Ok(());
        }
        self.variable_bytes = bytes;
        self.variables.insert(name.to_owned(), value);
        Ok(())
    }

    /// Replaces `{$name}`, once: values are not looked into again, and all of it together is bounded.
    fn substitute<'t>(&mut self, text: &'t str, number: usize) -> Result<Cow<'t, str>, Error> {
        if !text.contains("{$") {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{$") {
            out.push_str(before);
            // Not looked for up to the end of a line that has none.
            let end = after.bytes().take(MAX_VARIABLE_NAME + 1).position(|byte| byte == b'}');
            let named = end.and_then(|end| Some((after.get(..end)?, after.get(end + 1..)?)));
            let Some((name, after)) = named.filter(|(name, _)| is_variable_name(name)) else {
                out.push_str("{$");
                rest = after;
                continue;
            };
            let value = self.variables.get(name).ok_or_else(|| match self.left_out.variables {
                0 => Error::UndefinedVariable { line: number, name: Name::new(name) },
                // It may be one of those.
                _ => Error::BadTag { line: number, tag: "EXT-X-DEFINE" },
            })?;
            out.push_str(value);
            self.expanded = self.expanded.saturating_add(before.len().saturating_add(value.len()));
            if self.expanded > self.max_out {
                return Err(Error::BadTag { line: number, tag: "EXT-X-DEFINE" });
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }

    fn line(&mut self, tag: &str, value: &str) {
        self.out.push_str(tag);
        // A definition may bring a line end with it; a line must stay one line.
        self.out.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r')));
        self.out.push('\n');
    }
}
