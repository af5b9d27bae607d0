//! Why a segment gave nothing, and what was broken in those that did.

use std::fmt;

use overdub_fmp4::ReadError;

use crate::outside::Text;

/// Why a segment yields no samples. It costs that segment only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    #[error("the segment is empty")]
    Empty,
    /// None of the formats of RFC 8216 section 3; often an error page instead of media.
    #[error("not a media segment; it begins with \"{}\"", start.escape_ascii())]
    Unrecognised { start: [u8; 8] },
    /// RFC 8216 3.5.
    #[error("a WebVTT segment has neither picture nor sound")]
    WebVtt,
    /// A fragment, and neither the playlist (EXT-X-MAP) nor the segment brings the `moov` (RFC 8216 3.3).
    #[error("a fragmented MP4 segment without an init segment (EXT-X-MAP)")]
    NoInit,
    #[error("init segment: {0}")]
    Init(#[source] ReadError),
    #[error("{0}")]
    Mp4(#[source] ReadError),
    /// `encv`, `enca`: the samples are of no use without a key (ISO/IEC 14496-12 8.12).
    #[error("the samples are encrypted (sample entry {})", entry.escape_ascii())]
    Encrypted { entry: [u8; 4] },
    /// There are tracks, but none in a codec that Overdub carries.
    #[error("no track in a codec that is carried: {entries}")]
    NothingCarried { entries: Text },
    /// Transport packets without tables, and nothing among them that content shows to be a stream.
    #[error(
        "a transport stream without program tables (PAT, PMT), and no stream that is recognised by its content"
    )]
    NoStreams,
    /// transport_scrambling_control or PES_scrambling_control, and the payload is no elementary stream.
    #[error("the payload of PID {pid} is scrambled: it needs to be descrambled before it comes here")]
    Scrambled { pid: u16 },
    /// What was read before it is kept.
    #[error("more samples than a segment of {bytes} bytes may have: the rest is left out")]
    TooMuch { bytes: usize },
    /// A packed audio segment (RFC 8216 3.4) without a whole frame.
    #[error("packed audio without a whole frame")]
    NoFrames,
}

/// What was broken in the segments so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Places that were broken, of all kinds.
    pub events: u64,
    /// Access units and frames left out because of it.
    pub dropped: u64,
    /// Segments that gave nothing.
    pub refused: u64,
    /// Frames of a separate audio rendition that came when their time was over.
    pub late: u64,
    /// Why the last of the refused ones was.
    pub last_refusal: Option<SegmentError>,
    /// The last event, as a person should read it.
    pub last: Option<Text>,
}

impl Damage {
    pub(super) fn event(&mut self, what: &impl fmt::Display) {
        self.events += 1;
        self.last = Some(Text::of(what));
    }

    pub(super) fn refuse(&mut self, error: SegmentError) {
        self.refused += 1;
        self.event(&error);
        self.last_refusal = Some(error);
    }
}
