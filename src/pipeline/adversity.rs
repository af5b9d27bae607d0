//! Ten minutes of stream with a processor that misbehaves, on tokio's paused clock: the tasks of a stream from the
//! captured segment to the packet that an output is handed, and between them the round trip with a processor that
//! does what it is told. Whatever that is, the output has no gap, and each batch is accounted for.
//!
//! The processor's good answers are silence, so that what was published can be told from the original.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::rig;
use crate::config::{Span, StreamOptions};
use crate::demo::clip;
use crate::echo::{Delay, Options};
use crate::media::{Flicks, Moment, Packet, PacketKind, silent_frame};
use crate::roundtrip::simulated::Script;
use crate::status;

/// Of source; the output is as long.
const LENGTH: Duration = Duration::from_secs(620);
/// A picture of the clip.
const PICTURE: Flicks = Flicks::from_millis(40);

/// What came of a case.
struct Run {
    name: &'static str,
    run: rig::Run,
}

impl std::ops::Deref for Run {
    type Target = rig::Run;

    fn deref(&self) -> &rig::Run {
        &self.run
    }
}

struct Case {
    name: &'static str,
    faults: &'static [&'static str],
    delay: Duration,
    reorder: bool,
    lost_every: Option<Duration>,
    batch: Duration,
    context_frames: usize,
}

const CASE: Case = Case {
    name: "",
    faults: &[],
    delay: Duration::from_millis(500),
    reorder: false,
    lost_every: None,
    batch: Duration::from_secs(4),
    context_frames: 0,
};

async fn run(case: Case) -> Run {
    let options = StreamOptions {
        buffer_duration: Some(Span(case.batch)),
        context_frames: Some(case.context_frames),
        ..StreamOptions::default()
    };
    let rules = case.faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let delay = Delay::fixed(case.delay);
    let script =
        Script { options: Options { delay, rules, reorder: case.reorder }, lost_every: case.lost_every };
    let source = (0..LENGTH.as_secs() / clip::SEGMENT_DURATION.as_secs()).map(|number| {
        let at = Moment::ZERO + clip::SEGMENT_DURATION * (number as u32 + 1);
        (at, rig::segment(number, false, clip::segment(number)))
    });
    Run { name: case.name, run: rig::run(options, script, source).await }
}

impl Run {
    /// What holds whatever the processor does.
    fn assert_whole(&self) {
        let name = self.name;
        let (mut video, mut audio): (Vec<&Packet>, Vec<&Packet>) = (Vec::new(), Vec::new());
        for (packet, handed_out, due) in &self.packets {
            assert!(handed_out <= due, "{name}: {:?} was handed out {handed_out:?}, due {due:?}", packet.dts);
            (if packet.is_video() { &mut video } else { &mut audio }).push(packet);
        }
        let ends = Flicks::from_duration(LENGTH);
        for (what, track, step) in [("video", &video, PICTURE), ("audio", &audio, audio[0].duration)] {
            for pair in track.windows(2) {
                assert_eq!(pair[1].dts - pair[0].dts, step, "{name}: {what} behind {:?}", pair[0].dts);
            }
            let last = track.last().unwrap();
            assert!(ends - last.dts < Flicks::from_millis(100), "{name}: {what} ends at {:?}", last.dts);
        }
        assert!(video[0].dts.max(audio[0].dts) < Flicks::from_millis(100), "{name}: begins late");
        let merged = self.packets.windows(2).all(|pair| pair[0].0.dts <= pair[1].0.dts);
        assert!(merged, "{name}: packets are not in one order");
    }

    /// Each batch is published as its outcome says, and the status says the same.
    fn assert_accounted(&self) {
        let name = self.name;
        let mut sounds: BTreeMap<u64, BTreeSet<bool>> = BTreeMap::new();
        for (packet, ..) in &self.packets {
            if let PacketKind::Audio { params } = &packet.kind {
                let silence: Bytes = silent_frame(params).unwrap();
                sounds.entry(packet.batch).or_default().insert(packet.data == silence);
            }
        }
        let published: Vec<u64> = sounds.keys().copied().collect();
        assert_eq!(published, self.outcomes.keys().copied().collect::<Vec<_>>(), "{name}: batches");
        for (number, silent) in &sounds {
            let processed = self.outcomes[number] == "ok";
            assert_eq!(
                *silent,
                BTreeSet::from([processed]),
                "{name}: batch {number}, {}",
                self.outcomes[number]
            );
        }
        let stats = &self.status.stats;
        let total = self.outcomes.len() as u64;
        assert_eq!((stats.batches_captured, stats.batches_processed), (total, self.processed()), "{name}");
        assert_eq!(stats.batches_fallback, total - self.processed(), "{name}");
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for reason in self.outcomes.values().filter(|reason| **reason != "ok") {
            *reasons.entry((*reason).to_owned()).or_default() += 1;
        }
        assert_eq!(stats.fallback_reasons, reasons, "{name}");
        for batch in self.status.batches.iter() {
            let processed = self.outcomes[&batch.number] == "ok";
            let (outcome, sound) = if processed {
                (status::Outcome::Processed, "processed")
            } else {
                (status::Outcome::Fallback, "original")
            };
            assert_eq!((batch.outcome, batch.sound), (Some(outcome), Some(sound)), "{name}: {batch:?}");
            assert_eq!(
                (batch.reason.is_none(), batch.fit.is_some()),
                (processed, processed),
                "{name}: {batch:?}"
            );
        }
        println!("{name}: {total} batches, {} processed, fallbacks {reasons:?}", self.processed());
    }

    fn processed(&self) -> u64 {
        self.outcomes.values().filter(|reason| **reason == "ok").count() as u64
    }

    /// Nothing went wrong for other reasons than these.
    fn assert_reasons(&self, expected: &[&str]) {
        let seen: BTreeSet<&str> = self.outcomes.values().copied().filter(|reason| *reason != "ok").collect();
        assert_eq!(seen, expected.iter().copied().collect(), "{}", self.name);
    }
}

/// Runs ten minutes and checks what always holds.
async fn ten_minutes(case: Case) -> Run {
    let run = run(case).await;
    run.assert_whole();
    run.assert_accounted();
    run
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_always_late() {
    let batch = Duration::from_secs(30);
    let run = ten_minutes(Case { name: "always late", faults: &["late:1:60s"], batch, ..CASE }).await;
    run.assert_reasons(&["breakerOpen", "noAnswer"]);
    assert_eq!(run.processed(), 0);
    assert!(run.roundtrip.late_answers > 3, "{:#?}", run.roundtrip);
    assert!(run.roundtrip.budget_needed > Some(20.0), "{:#?}", run.roundtrip);
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_come() {
    let run = ten_minutes(Case { name: "never", faults: &["drop:1"], ..CASE }).await;
    run.assert_reasons(&["breakerOpen", "noAnswer"]);
    assert_eq!(run.processed(), 0);
    // Five to open the breaker, what was in flight with them, and a probe each 30 s.
    assert!((5..=30).contains(&run.roundtrip.sent), "{:#?}", run.roundtrip);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_wrong() {
    let faults = &["garbage:25%", "truncate:25%", "empty:25%", "length:100%:100"];
    let run = ten_minutes(Case { name: "wrong", faults, ..CASE }).await;
    run.assert_reasons(&["badAnswer", "breakerOpen"]);
    assert_eq!(run.processed(), 0);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_too_short_too_long_and_primed() {
    let faults = &["length:2:-3", "length:3:3", "priming:5:1600"];
    let run = run(Case { name: "other lengths", faults, ..CASE }).await;
    run.assert_whole();
    run.assert_reasons(&[]);
    let fit = &run.status.modules.remuxer;
    let frames = (fit.padded_frames, fit.trimmed_frames, fit.priming_frames);
    println!("{}: frames put in, cut off the end, cut off the front: {frames:?}", run.name);
    assert!(frames.0 > 300 && frames.1 > 100 && frames.2 > 15, "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_out_of_order() {
    let case = Case { name: "out of order", faults: &["silence:1"], reorder: true, ..CASE };
    let run = ten_minutes(case).await;
    run.assert_reasons(if run.outcomes.len() % 2 == 0 { &[] } else { &["noAnswer"] });
    assert!(run.processed() + 1 >= run.outcomes.len() as u64);
    assert_eq!((run.roundtrip.duplicates, run.roundtrip.unknown_ids), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn answers_after_a_reconnect() {
    let case = Case {
        name: "after a reconnect",
        faults: &["silence:1"],
        delay: Duration::from_secs(3),
        lost_every: Some(Duration::from_secs(7)),
        ..CASE
    };
    let run = ten_minutes(case).await;
    run.assert_reasons(&[]);
    assert!(run.roundtrip.connections > 70 && run.roundtrip.resent > 20, "{:#?}", run.roundtrip);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_instead_of_every_third_answer() {
    let run = ten_minutes(Case { name: "cut", faults: &["disconnect:3", "silence:1"], ..CASE }).await;
    run.assert_reasons(&[]);
    assert!(run.roundtrip.resent > 50, "{:#?}", run.roundtrip);
}

#[tokio::test(start_paused = true)]
async fn errors_for_three_in_ten_with_soft_borders_and_without() {
    for context_frames in [0, 2] {
        let faults = &["fail:30%:PROCESSING_FAILED", "silence:1"];
        let run = ten_minutes(Case { name: "30 % errors", faults, context_frames, ..CASE }).await;
        run.assert_reasons(&["processorError"]);
        let share = run.processed() as f64 / run.outcomes.len() as f64;
        assert!((0.6..0.8).contains(&share), "{share}");
    }
    // "Not now" is asked again.
    let run = ten_minutes(Case { name: "30 % busy", faults: &["fail:30%:BUSY", "silence:1"], ..CASE }).await;
    run.assert_reasons(&[]);
    assert!(run.roundtrip.retried > 30, "{:#?}", run.roundtrip);
}
