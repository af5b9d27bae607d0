//! The round trip: the audio of a batch to the processor and back, in time or not at all.
//!
//! [`run`] is the task of one stream. Pure parts: `wire` (Engine.IO and Socket.IO packets), `message`
//! (the events of the protocol), `refusal` (why a connection is not made or kept), `inflight` (deadlines, order, retries, the circuit breaker), `answer`
//! (what came back, to audio frames), `backoff`. Shells: `link` (one WebSocket connection after the
//! other), `client` (the machine, the link and the channels).

pub(crate) mod answer;
mod backoff;
mod client;
mod failure;
mod incoming;
pub(crate) mod inflight;
mod link;
mod message;
mod refusal;
#[cfg(test)]
pub(crate) mod simulated;
mod status;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

pub use answer::{AnswerError, Processed};
pub use client::run;
pub use failure::{Failure, ProcessorError, SizeLimit};
pub use status::{Away, BreakerState, FragmentTimes, Status};
pub use wire::{BadProcessorUrl, Endpoint, MAX_ANSWER_BYTES};

use crate::heavy::Share;
use crate::media::{AudioParams, Flicks, Moment, OutputAudio, StreamId};
use crate::memory::Meter;
use crate::redact;

/// How a stream talks to its processor.
#[derive(Clone)]
pub struct Settings {
    /// `http`, `https`, `ws` or `wss`; see [`Endpoint::new`] for its path.
    pub url: url::Url,
    /// The Engine.IO path, `/socket.io` where it is not given.
    pub engine_path: Option<String>,
    pub stream_id: StreamId,
    /// Most fragments that the processor holds unanswered.
    pub max_concurrent: usize,
    /// Largest fragment to send, in bytes; the server's own limit applies too.
    pub max_fragment_bytes: usize,
    /// For everything up to being let into the namespace.
    pub connect_timeout: Duration,
    /// For one fragment to leave; a connection that takes longer is given up.
    pub write_timeout: Duration,
    /// Credentials, sent with the Socket.IO connect packet.
    pub auth: Option<Value>,
    /// Additional HTTP headers of the WebSocket handshake.
    pub headers: Vec<(String, String)>,
    /// Certificates in PEM that are trusted beside the built-in and the system's ones.
    pub ca_file: Option<PathBuf>,
    /// Priming in samples of answers that declare none (`processorPriming`).
    pub processor_priming: u32,
    /// What answers may be in.
    pub output_audio: OutputAudio,
    /// The stream's `processingBudget`; the status says which one would have been enough.
    pub processing_budget: Duration,
    /// Where what takes long is done, and counted what is held.
    pub share: Share,
    pub meter: Meter,
}

impl Settings {
    /// The defaults, for the processor at `url`.
    pub fn new(url: url::Url, stream_id: StreamId) -> Self {
        Self {
            url,
            engine_path: None,
            stream_id,
            max_concurrent: 3,
            max_fragment_bytes: MAX_ANSWER_BYTES,
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(15),
            auth: None,
            headers: Vec::new(),
            ca_file: None,
            processor_priming: 0,
            output_audio: OutputAudio::default(),
            processing_budget: Duration::from_secs(12),
            share: Share::default(),
            meter: Meter::default(),
        }
    }
}

/// Without what opens a door: the query of the URL, credentials, values of headers.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Settings")
            .field("url", &redact::url(self.url.as_str()))
            .field("engine_path", &self.engine_path)
            .field("stream_id", &self.stream_id)
            .field("max_concurrent", &self.max_concurrent)
            .field("max_fragment_bytes", &self.max_fragment_bytes)
            .field("connect_timeout", &self.connect_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("auth", &self.auth.as_ref().map(|_| redact::HIDDEN))
            .field("headers", &headers)
            .field("ca_file", &self.ca_file)
            .field("processor_priming", &self.processor_priming)
            .field("output_audio", &self.output_audio)
            .field("processing_budget", &self.processing_budget)
            .finish_non_exhaustive()
    }
}

/// The audio of one batch, to be processed before `deadline`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The batch's number. Each request's number is greater than the one's before.
    pub number: u64,
    /// Fragmented MP4 with one audio track.
    pub audio: Bytes,
    /// Of all of `audio`.
    pub duration: Flicks,
    /// How many frames at its beginning and at its end belong to its neighbours and come off the answer again.
    pub context: (usize, usize),
    /// Of the first frame, on the source's axis.
    pub pts: Flicks,
    pub params: Arc<AudioParams>,
    /// EXT-X-PROGRAM-DATE-TIME of the batch, as the playlist said it.
    pub program_date_time: Option<String>,
    /// The name under which the audio is stored, for the processor's information.
    pub file_name: String,
    /// From this moment on an answer is too late.
    pub deadline: Moment,
    /// Output time at which it plays: where the deadline lies when the playout clock changes.
    pub plays_at: Flicks,
}

/// How the round trip of one batch ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub number: u64,
    pub result: Result<Processed, Failure>,
    /// When the fragment was last sent; `None` when it never was.
    pub sent_at: Option<Moment>,
    /// From the last sending of the fragment to its answer, or to its error; `None` without either.
    pub latency: Option<Duration>,
    /// `metadata` of the answer as the processor wrote it: untrusted, for display.
    pub metadata: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_print_without_secrets() {
        let url = "https://user:pass1@host/?token=pass2".parse().unwrap();
        let mut settings = Settings::new(url, StreamId::new("a").unwrap());
        settings.auth = Some(serde_json::json!({"key": "pass3"}));
        settings.headers.push(("authorization".to_owned(), "pass4".to_owned()));
        let printed = format!("{settings:?}");
        assert!(!printed.contains("pass") && printed.contains("authorization"), "{printed}");
    }
}
