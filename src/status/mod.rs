//! What a stream tells about itself: plain snapshots, as the API shows them (DESIGN section 6).
//!
//! A snapshot is a copy: whoever reads it holds nothing of the stream. Addresses in it are redacted.

mod batches;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

pub use self::batches::{BatchState, BatchStatus, Fit, Outcome, RecentBatches};
use crate::config::StreamSettings;
use crate::demux::AudioStream;
use crate::histogram::Histogram;
use crate::media::StreamId;
use crate::outside::{Name, ShownUrl, Text};
use crate::remux::HoldStatus;
use crate::{memory, srs, storage};

/// One stream at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    pub is_running: bool,
    pub phase: Phase,
    pub stream_id: StreamId,
    /// Without user, password and query.
    pub source_url: ShownUrl,
    /// ISO 8601, when the stream was started.
    pub start_time: Option<String>,
    /// Seconds since the start; of a stopped stream, how long it ran.
    pub uptime: f64,
    /// How the stream went on after its process was gone; none when it began with this one.
    pub resumed: Option<Resumed>,
    /// How often the stream died and was started again, and how often of these because it held more than its share.
    pub restarts: u64,
    pub memory_restarts: u64,
    /// Why it was last started again.
    pub restart_reason: Option<Text>,
    pub memory: memory::Usage,
    /// What is wrong now, with what is done about it; otherwise the last thing that went wrong, kept after it is
    /// over.
    pub last_error: Option<Text>,
    pub stats: Stats,
    pub modules: Modules,
    /// The newest batches, oldest first.
    #[schema(value_type = Vec<BatchStatus>)]
    pub batches: RecentBatches,
}

impl StreamStatus {
    /// A stream that has just been asked for.
    pub fn starting(settings: &StreamSettings) -> Self {
        Self {
            is_running: true,
            phase: Phase::Fetching,
            stream_id: settings.stream_id.clone(),
            source_url: ShownUrl::url(&settings.source_url.to_string()),
            start_time: None,
            uptime: 0.0,
            resumed: None,
            restarts: 0,
            memory_restarts: 0,
            restart_reason: None,
            memory: memory::Usage::default(),
            last_error: None,
            stats: Stats::default(),
            modules: Modules::default(),
            batches: RecentBatches::default(),
        }
    }
}

/// What a stream that was resumed came back to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resumed {
    /// How long no process ran it: what viewers missed, beside a group of pictures.
    pub away_seconds: f64,
    /// Captured segments that were read back.
    pub segments: u64,
    /// What could not be resumed, for a person.
    pub lost: Option<Text>,
}

/// How far the stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not running.
    #[default]
    Idle,
    /// Looking for or capturing the first batch.
    Fetching,
    /// The first batch is at the processor or waits for its playout.
    Processing,
    /// Output is due and sent.
    Publishing,
    /// Ended, or kept from working, by an error: see `lastError`.
    Error,
}

/// Totals since the stream's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub segments_captured: u64,
    pub bytes_captured: u64,
    pub batches_captured: u64,
    /// Published with the processor's answer.
    pub batches_processed: u64,
    /// Published with the fallback.
    pub batches_fallback: u64,
    /// The same by reason: `noAnswer`, `notSent`, `disconnected`, `processorError`, `tooLarge`, `breakerOpen`,
    /// `badAnswer`, `stopped`, or `sourceLate` where the source left the processor no time.
    pub fallback_reasons: BTreeMap<String, u64>,
    /// Of the source that were there when their time was over: stored, not published.
    pub batches_late: u64,
    /// Output time that has been played.
    pub published_seconds: f64,
    pub bytes_published: u64,
    /// Bits per second that leave now, of all outputs together.
    pub bitrate: f64,
    /// From the capture of what plays now until it played: how far the output is behind the source.
    pub lag_seconds: Option<f64>,
    /// What stood for the source where it had nothing.
    pub hold: Hold,
    /// How often the source came so late, and stayed so, that what followed had to be played later...
    pub playout_moves: u64,
    /// ... and by how much in all.
    pub playout_moved_seconds: f64,
    /// By how many parts per million the output plays faster than real time, following the source's clock.
    pub playout_rate_ppm: f64,
    /// How long before its playout a batch of full length is whole, where its segments come promptly: at the
    /// start the processing budget. Less, and batches are closed shorter instead. None for a source that is not
    /// live, and until it is known.
    pub slack_seconds: Option<f64>,
    /// How long after it was due the last packet left, and the worst ever.
    pub lateness_ms: f64,
    pub max_lateness_ms: f64,
    /// By how much the sound is later than the picture, against the source's own offset, at the start of the
    /// batch that was handed out last; negative: earlier.
    pub av_offset_ms: Option<f64>,
    /// Holes in what was captured.
    pub gaps: u64,
    pub storage: storage::Stats,
    /// For monitoring only.
    #[serde(skip)]
    pub histograms: Histograms,
}

/// What is counted in buckets since the stream's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histograms {
    /// From sending a fragment to its answer.
    pub processor_latency: Histogram,
    /// How long before its playout each batch was decided.
    pub batch_spare: Histogram,
}

/// What stands for the source where it has nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Something stands for it now.
    pub active: bool,
    /// How often, the present time included.
    pub count: u64,
    /// For how long altogether.
    pub seconds: f64,
    /// There is no picture that can be repeated: only the sound goes on.
    pub without_picture: bool,
    /// Silence cannot be made in the sound's configuration: only the picture goes on.
    pub without_sound: bool,
    /// Pictures and frames of the source that came when their time was over.
    pub dropped: u64,
    /// The slate has other codecs than the stream, so that the picture is held.
    pub slate_unfit: bool,
}

impl From<HoldStatus> for Hold {
    fn from(status: HoldStatus) -> Self {
        Self {
            active: status.active,
            count: status.count,
            seconds: status.seconds.to_secs_f64(),
            without_picture: status.without_picture,
            without_sound: status.without_sound,
            dropped: status.dropped,
            slate_unfit: status.slate_unfit,
        }
    }
}

/// Each stage in its own words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Modules {
    pub stream_fetcher: Fetcher,
    pub audio_processor: Processor,
    pub remuxer: Remuxer,
    pub stream_publisher: Publisher,
}

/// The source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fetcher {
    /// `connecting`, `live`, `stalled`, `ended` or `failed`.
    pub state: String,
    /// The playlist's own number of the last segment.
    pub media_sequence: Option<u64>,
    pub target_duration: Option<f64>,
    /// The variant chosen from a master playlist, and the audio rendition beside it.
    pub variant: Option<Text>,
    pub audio_rendition: Option<Name>,
    /// Changes to another variant because one failed, and back.
    pub variant_changes: u64,
    /// Seconds of media that the playlist lists and that were not fetched yet; of the audio rendition too.
    pub behind_edge: f64,
    pub audio_behind_edge: Option<f64>,
    /// How long the last segment took to fetch against how long it plays: above 1 the source is too slow.
    pub fetch_ratio: Option<f64>,
    pub segments: u64,
    pub bytes: u64,
    pub retries: u64,
    pub gaps: u64,
    /// Of these, what the playlist marks as missing (`EXT-X-GAP`).
    pub gaps_marked: u64,
    /// Seconds of media lost in them.
    pub gap_seconds: f64,
    pub discontinuities: u64,
    /// Breaks that began or ended, and date ranges listed.
    pub cues: u64,
    pub date_ranges: u64,
    /// Numberings that began anew, and playlists older than what was seen already.
    pub restarts: u64,
    pub lagging_reloads: u64,
    /// Times that the playlist's window ran past what was read.
    pub windows_missed: u64,
    /// Segments whose date does not follow from the one before, and discontinuities that only their number told.
    pub dates_astray: u64,
    pub discontinuities_inferred: u64,
    /// Seconds since the last segment arrived.
    pub last_segment_age: Option<f64>,
    pub last_error: Option<Text>,
}

/// The connection to the audio processor and what became of the fragments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Processor {
    pub url: ShownUrl,
    pub connected: bool,
    pub in_flight: u64,
    pub queued: u64,
    pub sent: u64,
    pub answered: u64,
    pub errors: u64,
    /// Answers that came after their deadline and were thrown away.
    pub late: u64,
    /// Sent once more on a new connection, and after an error that may pass.
    pub resent: u64,
    pub retried: u64,
    /// Answers to what was answered already, and to what was never asked.
    pub duplicates: u64,
    pub unknown_ids: u64,
    /// Messages that broke the protocol.
    pub bad_messages: u64,
    pub reconnects: u64,
    /// Connections that were ended from this side, by reason. For monitoring only.
    #[serde(skip)]
    pub closed: BTreeMap<&'static str, u64>,
    /// The largest message that the processor says it takes, in bytes.
    pub max_payload: Option<u64>,
    /// What it last said in a `fragment:status`.
    pub processor_status: Option<Text>,
    /// After 5 failures in a row fragments go straight to the fallback.
    pub breaker_open: bool,
    pub last_latency_ms: Option<f64>,
    pub avg_latency_ms: Option<f64>,
    pub max_latency_ms: Option<f64>,
    /// The `processingBudget` in seconds with which every answer so far would have been in time.
    pub budget_needed: Option<f64>,
    pub last_error: Option<Text>,
}

/// Demultiplexing, fitting and putting together again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remuxer {
    pub batches: u64,
    pub video_codec: Option<Name>,
    pub audio_codec: Option<Name>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub sample_rate: Option<u32>,
    pub channels: Option<u16>,
    /// The audio streams that the source's program lists, in its order; empty where it is no transport stream.
    pub audio_streams: Vec<AudioStream>,
    /// Silent frames put in where the source or the answer had none.
    pub silent_frames: u64,
    /// Frames cut from answers that were too long.
    pub trimmed_frames: u64,
    /// Silent frames put in behind answers that were too short; they are among `silent_frames`.
    pub padded_frames: u64,
    /// Frames taken off the front of answers: encoder priming, and the context that was sent along.
    pub priming_frames: u64,
    /// By how much the last answer's sound is later than the original's at the start of its batch; negative: earlier.
    pub fit_error_ms: Option<f64>,
    /// Damaged access units and packets that were dropped.
    pub dropped: u64,
    pub configuration_changes: u64,
    /// At which pictures decoding begins: `regular` (IDR pictures or recovery points), `intra` (I pictures, because the
    /// source has nothing better) or `missing`; null before it is known.
    #[schema(value_type = Option<String>)]
    pub random_access: Option<&'static str>,
    /// SCTE 35 sections, timed ID3 tags and event messages of the source.
    pub cues: u64,
    pub last_cue: Option<Text>,
    pub last_error: Option<Text>,
}

/// All RTMP outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publisher {
    /// At least one output is connected.
    pub connected: bool,
    pub outputs: Vec<Output>,
    pub last_error: Option<Text>,
}

/// One RTMP output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Without query and with the stream key shortened.
    pub url: ShownUrl,
    /// `connecting`, `ready` (a server answers; publishing begins with the media), `publishing`, `waiting` (to reconnect)
    /// or `ended`.
    pub state: String,
    pub connected: bool,
    pub bytes: u64,
    pub published_seconds: f64,
    pub reconnects: u64,
    /// Packets that were due while the output was away.
    pub dropped: u64,
    pub lateness_ms: f64,
    /// What the SRS behind it says, where `srsHttpApi` names one.
    pub srs: Option<srs::Status>,
    pub last_error: Option<Text>,
    /// How long after it was to leave each packet left. For monitoring only.
    #[serde(skip)]
    pub lateness: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_the_documented_names() {
        let settings = crate::config::Invalid::from_json::<crate::config::StreamOptions>(
            br#"{"sourceUrl":"http://h/a.m3u8?key=secret","streamId":"a"}"#,
        )
        .unwrap()
        .resolve()
        .unwrap();
        let mut status = StreamStatus::starting(&settings);
        status.batches.update(4, |batch| batch.outcome = Some(Outcome::Fallback));
        let json = serde_json::to_value(&status).unwrap();
        for name in
            ["isRunning", "phase", "streamId", "sourceUrl", "startTime", "uptime", "lastError", "stats"]
        {
            assert!(json.get(name).is_some(), "{name}");
        }
        for name in ["streamFetcher", "audioProcessor", "remuxer", "streamPublisher"] {
            assert!(json["modules"].get(name).is_some(), "{name}");
        }
        assert_eq!(json["phase"], "fetching");
        assert_eq!(json["batches"][0]["number"], 4);
        assert_eq!(json["batches"][0]["outcome"], "fallback");
        assert!(!json.to_string().contains("secret"));
    }
}
