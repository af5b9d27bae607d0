//! What the stages of a stream say of themselves, as one snapshot.

mod holes;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::resume::Plan;
use super::{modules, trouble};
use crate::batch::GridStats;
use crate::clock::{Clock, wall_clock};
use crate::config::{Fallback, StreamSettings};
use crate::demux::{AudioStream, Damage, RandomAccess};
use crate::histogram::Histogram;
use crate::media::{Batch, Cue, Flicks, Moment, Piece};
use crate::memory::Meter;
use crate::outside::{Name, Text};
use crate::playout::Playout;
use crate::remux::{FitReport, Used};
use crate::roundtrip::{Failure, Outcome as RoundtripOutcome};
use crate::status::{BatchState, BatchStatus, Fit, Outcome, Output, Phase, Publisher, Resumed, StreamStatus};
use crate::storage::Writer;
use crate::{hls, publish, roundtrip, srs};

/// Where the tasks of a stream leave their news; [`Board::snapshot`] puts it together when somebody asks.
#[derive(Debug)]
pub(super) struct Board {
    clock: Clock,
    started: Moment,
    hls: watch::Receiver<hls::Status>,
    roundtrip: watch::Receiver<roundtrip::Status>,
    outputs: Vec<watch::Receiver<publish::Status>>,
    srs: Vec<watch::Receiver<Option<srs::Status>>>,
    writer: Writer,
    meter: Meter,
    fallback: Fallback,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    status: StreamStatus,
    ended: Option<Moment>,
    source_failed: bool,
    last_capture: Option<Moment>,
    in_play: VecDeque<InPlay>,
    position: Flicks,
    /// Of the output.
    played: Flicks,
    grid: GridStats,
    /// What was said of random access: each once, however the source changes.
    access_told: Vec<RandomAccess>,
}

/// A batch between its capture and the end of its playout.
#[derive(Clone, Copy, Debug)]
struct InPlay {
    number: u64,
    captured_at: Moment,
    /// Where it begins on the output axis.
    start: Flicks,
}

/// The receiving ends of what the stages report by themselves.
pub(super) struct Reports {
    pub hls: watch::Receiver<hls::Status>,
    pub roundtrip: watch::Receiver<roundtrip::Status>,
    pub outputs: Vec<watch::Receiver<publish::Status>>,
    /// What the SRS behind each output says, where one is asked.
    pub srs: Vec<watch::Receiver<Option<srs::Status>>>,
    pub meter: Meter,
}

/// Batches whose capture times are remembered for the lag: more are never between capture and playout.
const MAX_IN_PLAY: usize = 64;

/// Upper bounds of [`Board::spare`] in milliseconds: from nothing left to the longest usual budget.
static SPARE: [u64; 12] = [0, 100, 500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 30_000, 120_000];

impl Board {
    pub(super) fn new(settings: &StreamSettings, clock: Clock, writer: Writer, reports: Reports) -> Self {
        let mut status = StreamStatus::starting(settings);
        status.stats.histograms.batch_spare = Histogram::new(&SPARE);
        let now = time::OffsetDateTime::from(wall_clock());
        status.start_time = now.format(&time::format_description::well_known::Rfc3339).ok();
        let Reports { hls, roundtrip, outputs, srs, meter } = reports;
        let kept = Kept {
            status,
            ended: None,
            source_failed: false,
            last_capture: None,
            in_play: VecDeque::new(),
            position: Flicks::ZERO,
            played: Flicks::ZERO,
            grid: GridStats::default(),
            access_told: Vec::new(),
        };
        Self {
            clock,
            started: clock.now(),
            hls,
            roundtrip,
            outputs,
            srs,
            writer,
            meter,
            fallback: settings.fallback,
            kept: Mutex::new(kept),
        }
    }

    /// Something went wrong that a person should know.
    pub(super) fn error(&self, message: Text) {
        tracing::error!(error = &*message);
        self.kept().status.last_error = Some(message);
    }

    /// The stream goes on where an earlier process left it.
    pub(super) fn resumed(&self, plan: &Plan) {
        self.kept().status.resumed = Some(Resumed {
            away_seconds: plan.away.as_secs_f64(),
            segments: plan.replay.len() as u64,
            lost: plan.lost.as_deref().map(Text::new),
        });
    }

    /// A journal is there and cannot be used: the stream begins anew.
    pub(super) fn not_resumed(&self, reason: &str) {
        tracing::warn!(reason, "not resumed: the stream begins anew");
        self.kept().status.last_error = Some(format!("not resumed: {reason}").into());
    }

    /// The source cannot be read at the moment; the next piece of it says that it can again.
    pub(super) fn source_failed(&self, error: Text) {
        let mut kept = self.kept();
        kept.source_failed = true;
        kept.status.last_error = Some(error);
    }

    pub(super) fn piece(&self, piece: &Piece) {
        let mut kept = self.kept();
        kept.source_failed = false;
        kept.last_capture = Some(piece.origin.captured_at);
        let remuxer = &mut kept.status.modules.remuxer;
        if let Some((params, _)) = &piece.video {
            remuxer.video_codec = Some(Name::new(&params.codec_string));
            (remuxer.width, remuxer.height) = (Some(params.width), Some(params.height));
        }
        if let Some((params, _)) = &piece.audio {
            remuxer.audio_codec = Some(Name::new(&params.codec_string));
            (remuxer.sample_rate, remuxer.channels) = (Some(params.sample_rate), Some(params.channels));
        }
    }

    pub(super) fn demuxed(&self, segment: u64, damage: &Damage, grid: GridStats) {
        let mut kept = self.kept();
        kept.grid = grid;
        let remuxer = &mut kept.status.modules.remuxer;
        remuxer.dropped = damage.dropped + grid.dropped;
        if damage.last.is_some() && remuxer.last_error != damage.last {
            tracing::warn!(
                segment,
                events = damage.events,
                last = damage.last.as_deref(),
                "damage in the source"
            );
            remuxer.last_error.clone_from(&damage.last);
        }
    }

    /// A segment could not be read, or not what matters of it.
    pub(super) fn refused(&self, segment: u64, reason: &str) {
        self.kept().status.last_error = Some(format!("segment {segment}: {reason}").into());
    }

    /// The audio streams that the source's program lists.
    pub(super) fn audio_streams(&self, streams: Vec<AudioStream>) {
        self.kept().status.modules.remuxer.audio_streams = streams;
    }

    /// At which pictures decoding begins; what viewers notice of it is said when it changes.
    pub(super) fn random_access(&self, access: RandomAccess) {
        let mut kept = self.kept();
        let name = match access {
            RandomAccess::Awaited => return,
            RandomAccess::Regular => "regular",
            RandomAccess::Intra => "intra",
            RandomAccess::Missing => "missing",
        };
        kept.status.modules.remuxer.random_access = Some(name);
        if access == RandomAccess::Regular || kept.access_told.contains(&access) {
            return;
        }
        kept.access_told.push(access);
        let message = match access {
            RandomAccess::Intra => {
                "the source has neither IDR pictures nor recovery points: decoding begins at its I pictures, \
                 and pictures right behind a start may be wrong"
            }
            _ => {
                "the source has no picture at which decoding can begin (IDR, recovery point or I picture): outputs \
                 get no video until one comes"
            }
        };
        tracing::warn!("{message}");
        kept.status.modules.remuxer.last_error = Some(message.into());
    }

    pub(super) fn cue(&self, cue: &Cue) {
        let mut kept = self.kept();
        let remuxer = &mut kept.status.modules.remuxer;
        remuxer.cues += 1;
        remuxer.last_cue = Some(Text::of(&cue.kind));
    }

    /// A batch was captured, and is played by this clock.
    pub(super) fn captured(&self, batch: &Batch, playout: &Playout) {
        let (captured_at, plays_at) = (self.epoch(batch.captured_at), self.epoch(playout.due(batch.start)));
        let deadline_at = self.epoch(playout.deadline(batch.start));
        let mut kept = self.kept();
        kept.status.stats.batches_captured += 1;
        kept.status.modules.remuxer.batches += 1;
        if kept.in_play.len() == MAX_IN_PLAY {
            kept.in_play.pop_front();
        }
        kept.in_play.push_back(InPlay {
            number: batch.number,
            captured_at: batch.captured_at,
            start: batch.start,
        });
        if kept.status.phase == Phase::Fetching {
            kept.status.phase = Phase::Processing;
        }
        let duration_ms = batch.duration.to_millis();
        kept.status.batches.update(batch.number, |entry| {
            entry.duration_ms = duration_ms;
            entry.captured_at = Some(captured_at);
            entry.deadline_at = Some(deadline_at);
            entry.plays_at = Some(plays_at);
        });
    }

    /// How much later the sound is than the picture, against the source.
    pub(super) fn av_offset(&self, millis: f64) {
        self.kept().status.stats.av_offset_ms = Some(millis);
    }

    /// The calendar time of `moment` in milliseconds since 1970. Told when it is needed, so that a calendar that
    /// was set in the meantime counts.
    fn epoch(&self, moment: Moment) -> i64 {
        let wall = wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = self.clock.now();
        let apart =
            moment.saturating_since(now).as_millis() as i64 - now.saturating_since(moment).as_millis() as i64;
        wall.as_millis() as i64 + apart
    }

    pub(super) fn batch(&self, number: u64, change: impl FnOnce(&mut BatchStatus)) {
        self.kept().status.batches.update(number, change);
    }

    /// At which pace the output goes, and how much time it has.
    pub(super) fn paced(&self, playout: Option<&Playout>, slack: Option<f64>) {
        let mut kept = self.kept();
        kept.status.stats.playout_rate_ppm = playout.map_or(0.0, |playout| playout.rate().ppm());
        kept.status.stats.slack_seconds = slack;
    }

    pub(super) fn decided(&self, number: u64, outcome: Option<&RoundtripOutcome>, changes: u64) {
        let mut kept = self.kept();
        kept.status.modules.remuxer.configuration_changes = changes;
        let Some(outcome) = outcome else { return };
        let stats = &mut kept.status.stats;
        let (result, reason) = match &outcome.result {
            Ok(_) => {
                stats.batches_processed += 1;
                (Outcome::Processed, None)
            }
            Err(failure) => {
                tracing::warn!(batch = number, %failure, "fallback");
                stats.batches_fallback += 1;
                *stats.fallback_reasons.entry(failure.reason().to_owned()).or_default() += 1;
                (Outcome::Fallback, Some(Text::of(failure)))
            }
        };
        if let Some(reason) = &reason {
            kept.status.last_error = Some(format!("batch {number}: {reason}").into());
        }
        let latency_ms = outcome.latency.map(|latency| latency.as_secs_f64() * 1e3);
        let sent_at = outcome.sent_at.map(|at| self.epoch(at));
        let answered_at = outcome.sent_at.zip(outcome.latency).map(|(at, latency)| self.epoch(at + latency));
        kept.status.batches.update(number, |entry| {
            entry.outcome = Some(result);
            entry.reason = reason;
            entry.failure = outcome.result.as_ref().err().map(Failure::reason);
            entry.latency_ms = latency_ms;
            (entry.sent_at, entry.answered_at) = (sent_at, answered_at);
        });
    }

    /// What is heard in batch `number`, and how the answer was put there.
    pub(super) fn sounds(&self, number: u64, used: Used, report: Option<FitReport>) {
        let sound = match used {
            Used::Processed => "processed",
            Used::Original => "original",
            Used::Silence => "silence",
            Used::Nothing => "none",
        };
        let fit = report.map(|report| Fit {
            priming: report.priming_removed as u64,
            trimmed: report.trimmed as u64,
            padded: report.padded as u64,
            error_ms: report.error.to_secs_f64() * 1e3,
        });
        let mut kept = self.kept();
        kept.status.batches.update(number, |entry| (entry.sound, entry.fit) = (Some(sound), fit));
        let Some(fit) = fit else { return };
        let remuxer = &mut kept.status.modules.remuxer;
        remuxer.priming_frames += fit.priming;
        remuxer.trimmed_frames += fit.trimmed;
        remuxer.padded_frames += fit.padded;
        remuxer.fit_error_ms = Some(fit.error_ms);
    }

    /// A batch was decided this long before its playout.
    pub(super) fn spare(&self, spare: Duration) {
        self.kept().status.stats.histograms.batch_spare.record(spare);
    }

    /// The playout clock has come to `position`, and the output has been played up to `played`.
    pub(super) fn released(&self, position: Flicks, played: Flicks) {
        let now = self.epoch(self.clock.now());
        let mut kept = self.kept();
        kept.position = position;
        // A clock that waits for a source goes back; what was played stays so.
        kept.played = kept.played.max(played);
        if position < Flicks::ZERO {
            return;
        }
        kept.status.phase = Phase::Publishing;
        // The newest batch that has begun plays; those before it are done.
        while kept.in_play.get(1).is_some_and(|next| next.start <= position) {
            if let Some(batch) = kept.in_play.pop_front() {
                kept.status.batches.update(batch.number, |entry| entry.state = BatchState::Published);
            }
        }
        if let Some(batch) = kept.in_play.front().copied()
            && batch.start <= position
        {
            kept.status.batches.update(batch.number, |entry| {
                entry.state = BatchState::Publishing;
                entry.published_at.get_or_insert(now);
            });
        }
    }

    /// The stream is over; `error` is why, where it was not asked for.
    pub(super) fn ended(&self, error: Option<Text>) {
        let mut kept = self.kept();
        kept.ended = Some(self.clock.now());
        kept.status.is_running = false;
        kept.status.phase = if error.is_some() { Phase::Error } else { Phase::Idle };
        kept.status.last_error = error.or(kept.status.last_error.take());
        for batch in std::mem::take(&mut kept.in_play) {
            kept.status.batches.update(batch.number, |entry| {
                entry.state = match entry.state {
                    BatchState::Publishing | BatchState::Published => BatchState::Published,
                    _ => BatchState::Dropped,
                };
            });
        }
    }

    pub(super) fn snapshot(&self) -> StreamStatus {
        let now = self.clock.now();
        let kept = self.kept();
        let mut status = kept.status.clone();
        let until = kept.ended.unwrap_or(now);
        status.uptime = until.saturating_since(self.started).as_secs_f64();
        if kept.source_failed && status.is_running && status.phase == Phase::Fetching {
            status.phase = Phase::Error;
        }
        let source = self.hls.borrow().clone();
        status.stats.segments_captured = source.segments;
        status.stats.bytes_captured = source.bytes;
        status.stats.gaps = source.gaps;
        let age = kept.last_capture.map(|at| now.saturating_since(at).as_secs_f64());
        status.modules.stream_fetcher =
            modules::fetcher(&source, age, kept.ended.is_some(), kept.source_failed);
        let roundtrip = self.roundtrip.borrow().clone();
        for fragment in &roundtrip.fragments {
            status.batches.update(fragment.number, |entry| {
                entry.sent_at = Some(self.epoch(fragment.sent_at));
                entry.answered_at = fragment.answered_at.map(|at| self.epoch(at));
            });
        }
        let heard = trouble::Heard {
            fallback: self.fallback,
            now: status.batches.on_air().and_then(|batch| batch.sound),
        };
        let away = roundtrip.away.as_ref().map(|away| trouble::processor(away, now, heard));
        status.modules.audio_processor = modules::processor(&roundtrip, away.clone());
        status.modules.remuxer.silent_frames = kept.grid.inserted + status.modules.remuxer.padded_frames;
        let each = self.outputs.iter().zip(&self.srs);
        let outputs: Vec<Output> =
            each.map(|(output, srs)| modules::output(&output.borrow(), srs.borrow().clone(), now)).collect();
        status.stats.bytes_published = outputs.iter().map(|output| output.bytes).sum();
        status.stats.published_seconds = kept.played.to_secs_f64();
        status.stats.lag_seconds = kept.in_play.front().and_then(|playing| {
            let played = kept.position - playing.start;
            (played >= Flicks::ZERO)
                .then(|| now.saturating_since(playing.captured_at).as_secs_f64() - played.to_secs_f64())
        });
        status.stats.histograms.processor_latency.clone_from(&self.roundtrip.borrow().latencies);
        for output in &self.outputs {
            let output = output.borrow();
            let lateness = output.lateness.last.as_secs_f64() * 1e3;
            let max = output.lateness.max.as_secs_f64() * 1e3;
            status.stats.lateness_ms = status.stats.lateness_ms.max(lateness);
            status.stats.bitrate += output.bitrate;
            status.stats.max_lateness_ms = status.stats.max_lateness_ms.max(max);
        }
        status.modules.stream_publisher = Publisher {
            connected: outputs.iter().any(|output| output.connected),
            last_error: outputs.iter().find_map(|output| output.last_error.clone()),
            outputs,
        };
        status.stats.storage = self.writer.stats();
        status.memory = self.meter.usage();
        let modules = &status.modules;
        let source = kept.source_failed.then(|| source.last_error.clone()).flatten();
        let output = modules.stream_publisher.outputs.iter().find_map(trouble::output);
        let stages = [
            &modules.stream_publisher.last_error,
            &modules.stream_fetcher.last_error,
            &modules.audio_processor.last_error,
        ];
        let past = stages.into_iter().flatten().next().cloned();
        // What is wrong now goes before what was wrong last.
        let present = [source, away, output].into_iter().flatten().next().filter(|_| status.is_running);
        status.last_error = present.or(status.last_error).or(past);
        status
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Only plain assignments happen under the lock: a poisoned one is still whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
