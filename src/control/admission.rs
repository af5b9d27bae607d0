//! Whether one more stream fits. Pure.
//!
//! What a stream holds in memory is its bitrate times how long it holds it: from capture to playout, and in the
//! preview's window after that. Its buffers are shared between all who read them, so nothing counts twice.

use std::time::Duration;

use super::StartError;
use crate::config::{ServiceLimits, StreamSettings};
use crate::preview;
use crate::status::StreamStatus;

/// How long a segment is gathered for before its batch can close, beyond `bufferDuration`: a long target duration.
const TARGET_DURATION: Duration = Duration::from_secs(10);

/// Tasks, connections, queues, playlists and the audio of a batch in one piece.
const BASE_BYTES: u64 = 12 << 20;

/// Bits a second of a source that says nothing of itself: 1080p at a usual rate.
const ASSUMED_RATE: f64 = 8e6;

/// Before this a stream's own rate says little.
const MEASURED_AFTER: f64 = 60.0;

/// A stream may hold this many times what it is expected to: a source of 32 Mbit/s that said nothing of
/// its bitrate, or a usual one that is caught up with.
const SHARE_OF_EXPECTED: u64 = 4;

/// Whatever its settings are: segments of a playlist may have 64 MB, and two may be there at once.
const LEAST_SHARE: u64 = 256 << 20;

/// Files and sockets of a stream beside one for each output: segments and playlists on their way, the processor,
/// what is being written, the name server.
const FILES: u64 = 16;

/// Those of the service itself, and viewers of pages and previews.
const SERVICE_FILES: u64 = 64;

/// Bytes that a stream holds at most in ordinary running. `bits_per_second` is of its source, where known.
pub(super) fn memory(settings: &StreamSettings, bits_per_second: Option<f64>) -> u64 {
    let limit = settings.choice.max_bandwidth.map(|bits| bits as f64);
    let rate = bits_per_second.or(limit).unwrap_or(ASSUMED_RATE);
    let held = settings.buffer_duration + settings.processing_budget + TARGET_DURATION + preview::HELD;
    BASE_BYTES.saturating_add((rate / 8.0 * held.as_secs_f64()) as u64)
}

/// Bytes that a stream may hold as measured; one that holds more is started again.
pub(super) fn share(limits: &ServiceLimits, settings: &StreamSettings) -> u64 {
    let expected = memory(settings, None).saturating_mul(SHARE_OF_EXPECTED);
    limits.stream_share.unwrap_or(expected.max(LEAST_SHARE))
}

/// What a running stream is counted as: by what its source was measured to be.
pub(super) fn memory_of(settings: &StreamSettings, status: &StreamStatus) -> u64 {
    let measured = status.uptime >= MEASURED_AFTER && status.stats.bytes_captured > 0;
    memory(settings, measured.then(|| status.stats.bytes_captured as f64 * 8.0 / status.uptime))
}

/// Whether a stream with these settings fits beside those that run.
pub(super) fn admit<'a>(
    limits: &ServiceLimits,
    running: impl Iterator<Item = (&'a StreamSettings, StreamStatus)>,
    settings: &StreamSettings,
) -> Result<(), StartError> {
    let (mut streams, mut taken, mut files) = (0_usize, 0_u64, SERVICE_FILES);
    for (settings, status) in running {
        streams += 1;
        taken = taken.saturating_add(memory_of(settings, &status));
        files += files_of(settings);
    }
    if streams >= limits.max_streams {
        return Err(StartError::Full { limit: limits.max_streams });
    }
    let needed = memory(settings, None);
    if let Some(limit) = limits.max_stream_memory.filter(|limit| needed > *limit) {
        return Err(StartError::StreamMemory { needed: Mb(needed), limit: Mb(limit) });
    }
    if let Some(limit) = limits.max_memory.filter(|limit| taken.saturating_add(needed) > *limit) {
        return Err(StartError::Memory { needed: Mb(needed), taken: Mb(taken), limit: Mb(limit) });
    }
    if let Some(limit) = limits.open_files.filter(|limit| files + files_of(settings) > *limit) {
        return Err(StartError::OpenFiles { needed: files + files_of(settings), limit });
    }
    Ok(())
}

fn files_of(settings: &StreamSettings) -> u64 {
    FILES + settings.srs_rtmp_urls.len() as u64
}

/// Bytes, shown in megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mb(pub u64);

impl std::fmt::Display for Mb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MB", self.0.div_ceil(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Span, StreamOptions};

    fn settings(change: impl FnOnce(&mut StreamOptions)) -> StreamSettings {
        let mut options = StreamOptions {
            stream_id: Some("a".to_owned()),
            source_url: Some("http://h/a.m3u8".to_owned()),
            ..StreamOptions::default()
        };
        change(&mut options);
        options.resolve().unwrap()
    }

    const NONE: ServiceLimits = ServiceLimits {
        max_streams: 100,
        max_memory: None,
        max_stream_memory: None,
        stream_share: None,
        open_files: None,
    };

    fn admit_beside(limits: ServiceLimits, running: usize, new: &StreamSettings) -> Result<(), StartError> {
        let old = settings(|_| {});
        let running = (0..running).map(|_| (&old, StreamStatus::starting(&old)));
        admit(&limits, running, new)
    }

    #[test]
    fn memory_is_bitrate_times_the_time_that_media_is_held() {
        let plain = settings(|_| {});
        // 30 s + 12 s + 10 s + 54 s at 8 and at 3 Mbit/s.
        assert_eq!(memory(&plain, None) - BASE_BYTES, 106_000_000);
        assert_eq!(memory(&plain, Some(3e6)) - BASE_BYTES, 39_750_000);
        let limited = settings(|options| options.source_max_bandwidth = Some(3_000_000));
        assert_eq!(memory(&limited, None), memory(&plain, Some(3e6)));

        let mut status = StreamStatus::starting(&plain);
        (status.uptime, status.stats.bytes_captured) = (59.0, 375_000 * 59);
        assert_eq!(memory_of(&plain, &status), memory(&plain, None));
        (status.uptime, status.stats.bytes_captured) = (600.0, 375_000 * 600);
        assert_eq!(memory_of(&plain, &status), memory(&plain, Some(3e6)));
    }

    #[test]
    fn a_share_is_what_was_set_or_a_multiple_of_what_is_expected() {
        let plain = settings(|_| {});
        assert_eq!(share(&NONE, &plain), 4 * memory(&plain, None));
        let set = ServiceLimits { stream_share: Some(1_000), ..NONE };
        assert_eq!(share(&set, &plain), 1_000);
        let thin = settings(|options| options.source_max_bandwidth = Some(64_000));
        assert_eq!(share(&NONE, &thin), LEAST_SHARE);
        // 20 Mbit/s that nobody announced.
        assert!(2 * memory(&plain, Some(20e6)) > share(&NONE, &plain));
        assert!(memory(&plain, Some(20e6)) * 3 / 2 < share(&NONE, &plain));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit_that_it_meets() {
        let plain = settings(|_| {});
        let long = settings(|options| options.processing_budget = Some(Span(Duration::from_secs(600))));
        assert_eq!(admit_beside(NONE, 99, &plain), Ok(()));
        assert_eq!(admit_beside(NONE, 100, &plain), Err(StartError::Full { limit: 100 }));

        let limits = ServiceLimits { max_stream_memory: Some(500_000_000), ..NONE };
        assert_eq!(admit_beside(limits, 0, &plain), Ok(()));
        let refused = admit_beside(limits, 0, &long).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the stream would hold about 707 MB in memory (bufferDuration and processingBudget at 8 Mbit/s, or sourceMaxBandwidth), more than the 500 MB of maxStreamMemory"
        );

        let limits = ServiceLimits { max_memory: Some(1_000_000_000), ..NONE };
        assert_eq!(admit_beside(limits, 7, &plain), Ok(()));
        assert!(matches!(admit_beside(limits, 8, &plain), Err(StartError::Memory { .. })));

        let limits = ServiceLimits { open_files: Some(1_024), ..NONE };
        assert_eq!(admit_beside(limits, 55, &plain), Ok(()));
        let refused = admit_beside(limits, 56, &plain);
        assert_eq!(refused, Err(StartError::OpenFiles { needed: 64 + 57 * 17, limit: 1_024 }));
    }
}
