//! The settings of one stream, complete and checked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HttpUrl, ProcessorAccess, Retention, RtmpUrl, SourceAccess, SourceChoice};
use crate::media::{OutputAudio, StreamId};
use crate::redact;

/// Everything that one stream needs to know. Equal settings are "the same settings again".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    pub stream_id: StreamId,
    /// The playlist: media or master.
    pub source_url: HttpUrl,
    pub source: SourceAccess,
    pub choice: SourceChoice,
    pub audio_processor_url: HttpUrl,
    pub processor: ProcessorAccess,
    /// Where the output goes; at least one.
    pub srs_rtmp_urls: Vec<RtmpUrl>,
    /// The SRS behind each output, where its HTTP API is known; as many as there are outputs.
    pub srs: Vec<Option<SrsControl>>,
    pub srs_kick_ghost: KickGhost,
    /// How long an output's server may take to answer `connect` and `publish`.
    pub publish_timeout: Duration,
    /// Certificates in PEM that connections over TLS trust beside the built-in and the system's ones. Read for
    /// each connection, so that a renewed file needs no restart.
    pub ca_file: Option<PathBuf>,
    /// The least length of a batch.
    pub buffer_duration: Duration,
    /// How long after the capture of the longest batch its playout begins.
    pub processing_budget: Duration,
    pub fallback: Fallback,
    pub configuration_change: ConfigurationChange,
    pub output_audio: OutputAudio,
    pub on_gap: OnGap,
    /// The clip that plays in holes with [`OnGap::Slate`]: an MP4 file or a transport stream.
    pub slate: Option<PathBuf>,
    /// Unanswered fragments at the processor at most.
    pub max_concurrent_batches: usize,
    /// How many segments before the live end the capture begins.
    pub live_start_segments: usize,
    pub artifacts: Artifacts,
    /// What is kept of the artifacts.
    pub retention: Retention,
    /// Samples at the start of each answer that its encoder added without declaring them.
    pub processor_priming: u32,
    /// Audio frames of its neighbours that each batch is sent with, on either side.
    pub context_frames: usize,
    /// Largest Socket.IO message sent to the processor, in bytes; the smaller of this and the processor's
    /// own `maxPayload` holds.
    pub processor_max_message: usize,
}

impl StreamSettings {
    /// Where Node's and Python's reference servers listen.
    pub const DEFAULT_PROCESSOR: &str = "http://127.0.0.1:5000";
    /// SRS's default port and application, the stream named as here. `{streamId}` is replaced.
    pub const DEFAULT_RTMP: &str = "rtmp://127.0.0.1/live/{streamId}";
    /// Long enough for a sentence in context, short enough that a viewer accepts the delay.
    pub const DEFAULT_BUFFER: Duration = Duration::from_secs(30);
    /// A processor that needs 40 % of real time for 30 s still answers in time.
    pub const DEFAULT_BUDGET: Duration = Duration::from_secs(12);
    /// A processor as slow as real time has one batch in work, one arriving and one to be retried.
    pub const DEFAULT_CONCURRENT: usize = 3;
    /// RFC 8216 6.3.3: a client should not begin less than three target durations from the end.
    pub const DEFAULT_LIVE_START: usize = 3;
    /// As the reference processor accepts: 64 MiB, half an hour of AAC at 256 kbit/s.
    pub const DEFAULT_MAX_MESSAGE: usize = 64 << 20;

    /// A day: what went wrong in the night can be looked at in the morning.
    pub const DEFAULT_RETAIN_AGE: Duration = Duration::from_secs(86_400);
    /// Some five hours of all artifacts at 3 Mbit/s: ten streams fit a disk of ordinary size.
    pub const DEFAULT_RETAIN_BYTES: u64 = 20_000_000_000;

    /// Hooks take some seconds: nginx-rtmp waits 10 s for its own.
    pub const DEFAULT_PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);
    /// SRS waits at most 30 s for a hook; whoever needs more than two minutes has another problem.
    pub const PUBLISH_TIMEOUT_RANGE: (Duration, Duration) =
        (Duration::from_secs(1), Duration::from_secs(120));

    /// Below a second a batch is shorter than a segment of any live source.
    pub const BUFFER_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
    /// The deadline lies 500 ms before playout, so that less than a second leaves nothing to work with.
    pub const BUDGET_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
    /// Each unanswered fragment holds a batch in memory.
    pub const CONCURRENT_RANGE: (usize, usize) = (1, 32);
    /// No more than a playlist of ordinary length holds.
    pub const LIVE_START_RANGE: (usize, usize) = (1, 100);
    /// A second at 96 kHz: no encoder primes longer.
    pub const MAX_PRIMING: u32 = 96_000;
    /// A second of AAC at 48 kHz: no encoder takes longer to settle, and each frame delays what is sent.
    pub const MAX_CONTEXT_FRAMES: usize = 47;
    /// Smaller than 64 KiB no fragment of any useful length fits; beyond 1 GiB nothing reads it.
    pub const MAX_MESSAGE_RANGE: (usize, usize) = (64 << 10, 1 << 30);
    /// Every further output is a connection and a copy of the bitrate.
    pub const MAX_OUTPUTS: usize = 8;
}

/// How an SRS is asked about an output.
#[derive(Clone, PartialEq, Eq)]
pub struct SrsControl {
    /// Its `http_api`.
    pub api: HttpUrl,
    /// The playlist of its HLS of the stream.
    pub hls: Option<HttpUrl>,
}

impl SrsControl {
    /// SRS's `http_server` in its own examples, where its HLS is found.
    pub const DEFAULT_HLS_PORT: u16 = 8080;
}

/// Without the stream's name, which may be secret.
impl fmt::Debug for SrsControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hls = self.hls.as_ref().map(|hls| redact::rtmp_url(hls.as_str()));
        f.debug_struct("SrsControl").field("api", &self.api).field("hls", &hls).finish()
    }
}

/// Which publishers at SRS may be cut off when they are in an output's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KickGhost {
    /// None; the status says who it is.
    Off,
    /// The output's own former connection, of which SRS has not noticed that it is dead.
    #[default]
    Own,
    /// That, and any other publisher from which SRS has heard nothing for some seconds.
    Dead,
}

/// What plays where the processor's answer is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The sound of the source: a viewer hears the original language rather than nothing.
    #[default]
    Original,
    Silence,
    DropAudio,
}

/// What is done where the fallback's and the processed audio's configurations differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationChange {
    /// A new sequence header: every sound is heard.
    #[default]
    Allow,
    /// An original in another configuration than the processor's answers becomes silence in theirs.
    Silence,
}

/// What plays where the source has nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnGap {
    /// The last picture that decodes on its own, once a second, and silence: holes keep their length.
    #[default]
    Hold,
    /// Nothing: holes are closed, and the playout moves.
    Skip,
    /// A clip instead of the held picture.
    Slate,
}

/// What is written to disk beside the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Artifacts {
    /// Segments and all four files of each batch: what a person debugging wants to find.
    #[default]
    All,
    /// The captured segments only: enough to resume.
    Segments,
    /// Only what was published.
    Output,
    None,
}
