//! What a source is read with; each default with its reason.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::cursor::Place;
use super::fetch::{Resolver, SystemResolver};
use super::variant;
use crate::heavy::Share;
use crate::memory::Meter;
use crate::policy::Policy;

/// A larger playlist is refused: a day of 2 s segments, each with its date and a signed address of 500 characters, has
/// 23 MB. What is kept of it is limited by [`super::playlist::limits`].
pub(super) const MAX_PLAYLIST_BYTES: usize = 24 << 20;

/// How one source is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A master or media playlist, http or https. May carry user, password and a query: they are never shown.
    pub url: Url,
    /// Segments from the end at which a live source is begun (RFC 8216 6.3.3 asks for 3 target durations).
    pub live_start_segments: usize,
    /// Where to begin instead: seconds from the beginning of the playlist, or, negative, from its end.
    pub start_offset: Option<f64>,
    /// Where reading goes on instead, of a source that was read before.
    pub resume: Option<Continue>,
    /// What is read of a master playlist.
    pub variant: variant::Policy,
    pub timeouts: Timeouts,
    /// A larger playlist is refused.
    pub max_playlist_bytes: usize,
    /// A larger segment is refused: 10 s at 50 Mbit/s is 62 MB.
    pub max_segment_bytes: usize,
    pub user_agent: String,
    /// Sent with every request; `authorization` and `cookie` only to the origin of `url`.
    pub headers: Vec<(String, String)>,
    pub proxy: Proxy,
    /// Certificates in PEM that are trusted beside Mozilla's and the machine's own; read when the source is opened.
    pub ca_file: Option<PathBuf>,
    /// Where the source's playlists and redirects may lead.
    pub policy: Policy,
    pub resolver: Arc<dyn Resolver>,
    /// How long a source that has never worked is tried before it is given up.
    pub startup_budget: Duration,
    /// How long a segment of a live source is tried before it counts as lost: what comes later than the
    /// default processing budget could not be played any more.
    pub segment_life: Duration,
    /// Where what takes long is done, and counted what is held.
    pub share: Share,
    pub meter: Meter,
}

/// Where an earlier process had come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Continue {
    /// In the main playlist; none before any segment was captured.
    pub place: Option<Place>,
    /// The source's count of discontinuities there: where it has grown, one was passed unseen.
    pub discontinuity_sequence: Option<u64>,
    /// The next media sequence number of the audio rendition, which is numbered by itself.
    pub audio_sequence: Option<u64>,
}

/// The way to the source's hosts. A proxy resolves names itself, so that only addresses and `localhost` are
/// judged by the policy on this side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, where they are set.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one for everything. May carry user and password.
    Url(Url),
}

#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To an open connection, TLS included.
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Settings {
    /// The defaults for `url`.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            live_start_segments: 3,
            start_offset: None,
            resume: None,
            variant: variant::Policy::default(),
            timeouts: Timeouts {
                // Two lost SYN packets (1 s + 2 s) are survived.
                connect: Duration::from_secs(4),
                // A usual target duration: an origin that blocks for longer is as good as down.
                first_byte: Duration::from_secs(6),
                idle: Duration::from_secs(5),
            },
            max_playlist_bytes: MAX_PLAYLIST_BYTES,
            max_segment_bytes: 64 << 20,
            user_agent: crate::USER_AGENT.to_owned(),
            headers: Vec::new(),
            proxy: Proxy::default(),
            ca_file: None,
            policy: Policy::default(),
            resolver: Arc::new(SystemResolver),
            startup_budget: Duration::from_secs(20),
            segment_life: Duration::from_secs(12),
            share: Share::default(),
            meter: Meter::default(),
        }
    }
}
