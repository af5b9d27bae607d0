//! A live origin with one fault. What it answers depends on the path, the time and how often it was asked, so
//! that two clients with an origin each meet the same.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};

use crate::clips::{Clip, Form};
use crate::origin::{Answer, Ask, segment_number};

/// Listed at the start, and at any time after.
pub(crate) const WINDOW: u64 = 6;

/// The segment that single faults strike; three after the first that a live client reads.
const STRUCK: u64 = 6;

/// How long what passes by itself lasts: a segment that is listed before it is there, a server that restarts.
const PASSES_AFTER: Duration = Duration::from_millis(1_500);

/// Where the advertisement stands in [`Fault::AdBreak`].
const BREAK: std::ops::Range<u64> = 8..12;

/// Where numbering begins anew in [`Fault::SequenceReset`], and the key's address changes.
const RESET: u64 = 10;

/// How long the struck segment is not to be had, from its first request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasts {
    Once,
    /// [`PASSES_AFTER`]
    AWhile,
    Ever,
}

impl Lasts {
    fn holds(self, ask: &Ask) -> bool {
        match self {
            Self::Once => ask.before == 0,
            Self::AWhile => ask.since_first < PASSES_AFTER,
            Self::Ever => true,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::AWhile => "for 1.5 s",
            Self::Ever => "for ever",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The segment is answered with this status.
    Status(u16, Lasts),
    HangBeforeBody,
    HangInBody,
    CutWithLength,
    CutWithoutLength,
    SlowDrip,
    Reset(Lasts),
    RedirectExpires,
    SessionExpires,
    PlaylistFrozen,
    SequenceReset,
    WindowJump,
    KeyChange,
    AdBreak,
    ClockWrap,
    LaggingServers,
}

impl Fault {
    pub(crate) const ALL: [Self; 24] = [
        Self::None,
        Self::Status(404, Lasts::Once),
        Self::Status(404, Lasts::AWhile),
        Self::Status(404, Lasts::Ever),
        Self::Status(403, Lasts::Once),
        Self::Status(403, Lasts::AWhile),
        Self::Status(500, Lasts::Once),
        Self::Status(500, Lasts::AWhile),
        Self::HangBeforeBody,
        Self::HangInBody,
        Self::CutWithLength,
        Self::CutWithoutLength,
        Self::SlowDrip,
        Self::Reset(Lasts::Once),
        Self::Reset(Lasts::AWhile),
        Self::RedirectExpires,
        Self::SessionExpires,
        Self::PlaylistFrozen,
        Self::SequenceReset,
        Self::WindowJump,
        Self::KeyChange,
        Self::AdBreak,
        Self::ClockWrap,
        Self::LaggingServers,
    ];

    pub(crate) fn title(self) -> String {
        let title = match self {
            Self::None => "none",
            Self::Status(status, lasts) => return format!("{status} on a segment, {}", lasts.title()),
            Self::HangBeforeBody => "no answer, once",
            Self::HangInBody => "hang in the body, once",
            Self::CutWithLength => "body cut short of its Content-Length, once",
            Self::CutWithoutLength => "chunked body cut within a packet, once",
            Self::SlowDrip => "slow drip, once",
            Self::Reset(lasts) => return format!("connection reset, {}", lasts.title()),
            Self::RedirectExpires => "the redirect's target dies",
            Self::SessionExpires => "the media playlist's session expires",
            Self::PlaylistFrozen => "playlist frozen",
            Self::SequenceReset => "media sequence starts anew",
            Self::WindowJump => "the window jumps past one segment",
            Self::KeyChange => "AES-128, key rotates, key server fails once",
            Self::AdBreak => "ad break: other resolution and audio rate",
            Self::ClockWrap => "33-bit clock wraps",
            Self::LaggingServers => "every second server lags by two",
        };
        title.to_owned()
    }

    /// Those that are told apart from their like in transport streams: of sound that is apart, they strike the sound
    /// and nothing else; in fragmented MP4, whatever they strike.
    pub(crate) const OF_OTHER_FORMS: [(Form, Self); 20] = [
        (Form::Apart, Self::None),
        (Form::Apart, Self::Status(404, Lasts::Once)),
        (Form::Apart, Self::Status(404, Lasts::AWhile)),
        (Form::Apart, Self::Status(404, Lasts::Ever)),
        (Form::Apart, Self::HangInBody),
        (Form::Apart, Self::CutWithoutLength),
        (Form::Apart, Self::PlaylistFrozen),
        (Form::Apart, Self::SequenceReset),
        (Form::Apart, Self::WindowJump),
        (Form::Apart, Self::LaggingServers),
        (Form::Fragmented, Self::None),
        (Form::Fragmented, Self::Status(404, Lasts::Once)),
        (Form::Fragmented, Self::Status(404, Lasts::AWhile)),
        (Form::Fragmented, Self::HangInBody),
        (Form::Fragmented, Self::CutWithLength),
        (Form::Fragmented, Self::CutWithoutLength),
        (Form::Fragmented, Self::SlowDrip),
        (Form::Fragmented, Self::SequenceReset),
        (Form::Fragmented, Self::KeyChange),
        (Form::Fragmented, Self::AdBreak),
    ];

    /// Segments that no client could have had.
    pub(crate) fn unavailable(self) -> &'static [u64] {
        match self {
            Self::Status(_, Lasts::Ever) => &[STRUCK],
            Self::WindowJump => &[8],
            _ => &[],
        }
    }

    fn lists_master(self) -> bool {
        self == Self::SessionExpires
    }
}

/// What is streamed, and for how long.
pub(crate) struct Show {
    pub(crate) form: Form,
    pub(crate) main: Clip,
    pub(crate) wrapping: Option<Clip>,
    pub(crate) advertisement: Clip,
    /// Segments in all; then the playlist ends.
    pub(crate) length: u64,
    pub(crate) frozen: Duration,
}

impl Show {
    pub(crate) fn clip(&self, fault: Fault, number: u64) -> &Clip {
        match fault {
            Fault::AdBreak if BREAK.contains(&number) => &self.advertisement,
            Fault::ClockWrap => self.wrapping.as_ref().expect("it was made"),
            _ => &self.main,
        }
    }
}

pub(crate) fn answer(show: &Arc<Show>, fault: Fault, ask: &Ask) -> Answer {
    if let Some(number) = segment_number(&ask.path) {
        return segment(show, fault, number, ask);
    }
    let file = ask.path.rsplit('/').next().unwrap_or_default();
    let since = ask.at.as_secs();
    match (fault, file) {
        (_, "live.m3u8") if show.form == Form::Apart && ask.path == "/live.m3u8" => Answer::text(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"sound\",DEFAULT=YES,URI=\"sound/live.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS=\"avc1.42c00d,mp4a.40.2\",AUDIO=\"a\"\nvideo/live.m3u8\n",
        ),
        (_, "init-main.mp4") => Answer::Body(show.main.init.clone().expect("fragmented")),
        (_, "init-ad.mp4") => Answer::Body(show.advertisement.init.clone().expect("fragmented")),
        (Fault::KeyChange, "key-1") if ask.before == 0 => Answer::Status(503),
        (Fault::KeyChange, "key-0" | "key-1") => Answer::Body(key(file).to_vec().into()),
        (Fault::RedirectExpires, "live.m3u8") if ask.path == "/live.m3u8" => {
            Answer::Redirect(format!("/edge-{}/live.m3u8", u64::from(since >= 4)))
        }
        (Fault::RedirectExpires, _) if ask.path.starts_with("/edge-0/") && since >= 4 => Answer::Status(502),
        (_, "live.m3u8") if fault.lists_master() => Answer::text(format!(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000\nmedia.m3u8?session={}\n",
            u64::from(since >= 4)
        )),
        (Fault::SessionExpires, _) if since >= 4 && ask.uri.ends_with("session=0") => Answer::Status(403),
        _ => Answer::text(playlist(show, fault, ask)),
    }
}

fn segment(show: &Show, fault: Fault, number: u64, ask: &Ask) -> Answer {
    let index = usize::try_from(number).expect("a short show");
    let clip = show.clip(fault, number);
    let is_sound = ask.path.starts_with("/sound/");
    let segments = if is_sound { &clip.sound } else { &clip.segments };
    let Some(body) = segments.get(index).cloned() else { return Answer::Status(404) };
    if show.form == Form::Apart && !is_sound {
        return Answer::Body(body);
    }
    let struck = |lasts: Lasts| number == STRUCK && lasts.holds(ask);
    let first = struck(Lasts::Once);
    let half = body.len() / 2 / 188 * 188 + 100;
    match fault {
        Fault::Status(status, lasts) if struck(lasts) => Answer::Status(status),
        Fault::HangBeforeBody if first => Answer::Hang,
        Fault::HangInBody if first => Answer::HangInBody(body.slice(..half)),
        Fault::CutWithLength if first => Answer::Truncated(body),
        Fault::CutWithoutLength if first => Answer::Unmeasured(body.slice(..half)),
        Fault::SlowDrip if first => Answer::Drip,
        Fault::Reset(lasts) if struck(lasts) => Answer::Reset,
        Fault::RedirectExpires if ask.path.starts_with("/edge-0/") && ask.at.as_secs() >= 4 => {
            Answer::Status(502)
        }
        Fault::KeyChange => Answer::Body(encrypted(&key(key_of(number)), number, &body)),
        _ => Answer::Body(body),
    }
}

fn key_of(number: u64) -> &'static str {
    if number < RESET { "key-0" } else { "key-1" }
}

fn key(name: &str) -> [u8; 16] {
    [name.as_bytes()[4]; 16]
}

fn encrypted(key: &[u8; 16], number: u64, plain: &[u8]) -> Bytes {
    let iv = u128::from(number).to_be_bytes();
    cbc::Encryptor::<aes::Aes128>::new(key.into(), (&iv).into()).encrypt_padded_vec::<Pkcs7>(plain).into()
}

/// One segment more each second.
fn playlist(show: &Show, fault: Fault, ask: &Ask) -> String {
    let is_sound = ask.path.starts_with("/sound/");
    let fault = if show.form == Form::Apart && !is_sound { Fault::None } else { fault };
    let produced = |at: Duration| (WINDOW + at.as_secs()).min(show.length);
    let froze = Duration::from_secs(3);
    let end = match fault {
        // What was produced meanwhile is listed again all at once.
        Fault::PlaylistFrozen if (froze..froze + show.frozen).contains(&ask.at) => produced(froze),
        Fault::WindowJump if ask.at.as_secs() < 9 => produced(ask.at).min(8),
        Fault::LaggingServers if ask.before % 2 == 1 && produced(ask.at) < show.length => {
            produced(ask.at).saturating_sub(2)
        }
        _ => produced(ask.at),
    };
    let window = if fault == Fault::PlaylistFrozen { WINDOW + show.frozen.as_secs() } else { WINDOW };
    let mut first = end.saturating_sub(window);
    // Renditions are numbered by themselves.
    let mut sequence = if is_sound { first + 700 } else { first };
    if fault == Fault::SequenceReset {
        sequence = 5000 + first;
        if end > RESET {
            (first, sequence) = (first.max(RESET), first.max(RESET) - RESET);
        }
    }
    let mut text =
        format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n");
    if fault == Fault::AdBreak {
        let past = u64::from(first > BREAK.start) + u64::from(first > BREAK.end);
        text.push_str(&format!("#EXT-X-DISCONTINUITY-SEQUENCE:{past}\n"));
    }
    for number in first..end {
        let edge = fault == Fault::AdBreak && (number == BREAK.start || number == BREAK.end);
        if edge {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if show.form == Form::Fragmented && (number == first || edge) {
            let clip = if fault == Fault::AdBreak && BREAK.contains(&number) { "ad" } else { "main" };
            text.push_str(&format!("#EXT-X-MAP:URI=\"init-{clip}.mp4\"\n"));
        }
        if fault == Fault::KeyChange && (number == first || number == RESET) {
            text.push_str(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{}\"\n", key_of(number)));
        }
        let extension = if show.form == Form::Fragmented { "m4s" } else { "ts" };
        text.push_str(&format!("#EXTINF:1.000,\nseg-{number}.{extension}\n"));
    }
    if end == show.length {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}
