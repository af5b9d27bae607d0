//! The tasks of a stream on tokio's paused clock: time moves only when every task waits, so that a task that
//! spins never ends.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::board::{Board, Reports};
use super::desk::Desk;
use super::ingest::{Captured, Timing};
use super::keeper::Keeper;
use super::output::{Output, Port};
use crate::batch::{self, Batcher};
use crate::clock::Clock;
use crate::config::{
    Artifacts, ConfigurationChange, Fallback, Retention, StorageLimits, StreamOptions, StreamSettings,
};
use crate::demo::clip;
use crate::demux::{Demuxer, Input};
use crate::heavy::Share;
use crate::media::{Batch, Flicks, Moment, Origin, OutputAudio, Packet};
use crate::memory::Meter;
use crate::playout::Playout;
use crate::remux::{Filler, Hold, Interleaver, Release, Sound};
use crate::storage::{Disk, Writer};
use crate::{hls, publish, roundtrip};

/// Ten seconds of the clip.
fn batch() -> Batch {
    let buffer_duration = clip::SEGMENT_DURATION * 5;
    let settings = batch::Settings { buffer_duration, processing_budget: clip::SEGMENT_DURATION };
    let (mut demuxer, mut batcher) = (Demuxer::new(), Batcher::new(settings, 0));
    let origin = Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None };
    let pieces = (0..5)
        .flat_map(|n| demuxer.handle_segment(&Input::main(clip::segment(n), false), &origin))
        .collect::<Vec<_>>();
    let mut closed = pieces.into_iter().flat_map(|piece| batcher.handle_piece(piece)).collect::<Vec<_>>();
    closed.pop().unwrap()
}

/// The keeper of a stream "a" without a journal.
pub(super) fn keeper(clock: Clock) -> Arc<Keeper> {
    Arc::new(Keeper::new(&settings(), None, clock))
}

fn settings() -> StreamSettings {
    let options = StreamOptions {
        stream_id: Some("a".to_owned()),
        source_url: Some("http://localhost/a.m3u8".to_owned()),
        ..StreamOptions::default()
    };
    options.resolve().unwrap()
}

/// The board of a stream "a" and the writer of its `artifacts` in `folder`.
pub(super) fn board(clock: Clock, folder: &std::path::Path, artifacts: Artifacts) -> (Arc<Board>, Writer) {
    let settings = settings();
    let disk = Disk::new(folder, StorageLimits::default());
    let writer = Writer::spawn(&disk, &settings.stream_id, artifacts, Retention::default());
    let reports = Reports {
        hls: watch::channel(hls::Status::default()).1,
        roundtrip: watch::channel(roundtrip::Status::default()).1,
        outputs: vec![watch::channel(publish::Status::default()).1],
        srs: vec![watch::channel(None).1],
        meter: Meter::default(),
    };
    (Arc::new(Board::new(&settings, clock, writer.clone(), reports)), writer)
}

pub(super) fn output(
    clock: Clock,
    folder: &std::path::Path,
    playout: watch::Receiver<Option<Playout>>,
) -> Output {
    let (board, writer) = board(clock, folder, Artifacts::None);
    Output {
        clock,
        desk: Desk {
            sound: Sound::new(Fallback::Original, ConfigurationChange::Allow, OutputAudio::Basic),
            release: Release::new(Hold::new(Filler::Still)),
            ..Desk::default()
        },
        share: Share::default(),
        queued: Meter::default().part(),
        ports: Vec::new(),
        board,
        writer,
        playout,
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_ended_is_played_to_its_end_without_spinning() {
    let clock = Clock::start();
    let folder = tempfile::tempdir().unwrap();
    let begins = Playout::anchored(clock.now(), Flicks::ZERO, clip::SEGMENT_DURATION, clip::SEGMENT_DURATION);
    let (playout, playout_seen) = watch::channel(Some(begins));
    let (captured, undecided) = mpsc::channel(1);
    let (outcomes, decided) = mpsc::channel(1);
    let (packets, mut sent) = mpsc::channel::<Packet>(Port::CAPACITY);
    let mut output = output(clock, folder.path(), playout_seen);
    output.ports.push(Port::new(packets));

    let held = Meter::default().part();
    let waiting = Captured { batch: batch(), requested: false, timing: Timing::InTime, held };
    captured.send(waiting).await.unwrap();
    // As when capture and round trip are over.
    drop((playout, captured, outcomes));
    let run = tokio::spawn(output.run(undecided, decided, CancellationToken::new()));
    let (mut pictures, mut frames) = (0, 0);
    while let Some(packet) = sent.recv().await {
        assert!(clock.now() <= begins.due(packet.dts), "handed out before it is due");
        *(if packet.is_video() { &mut pictures } else { &mut frames }) += 1;
    }
    run.await.unwrap();
    assert_eq!(pictures, 250);
    assert!((465..=470).contains(&frames), "{frames}");
}

#[tokio::test]
async fn a_stage_that_panics_is_heard_of_and_one_that_ends_or_is_aborted_is_not() {
    let died = CancellationToken::new();
    super::task(&died, async {}).await.unwrap();
    drop(super::task(&died, std::future::pending::<()>()));
    tokio::task::yield_now().await;
    assert!(!died.is_cancelled());
    super::task(&died, async { panic!("as a test") }).await.unwrap_err();
    assert!(died.is_cancelled());
}

#[tokio::test]
async fn a_port_that_was_full_goes_on_with_a_random_access_picture_or_with_any_frame_of_audio_alone() {
    let batch = batch();
    let packets = |with_video: bool| {
        let mut interleaver = Interleaver::default();
        let video = batch.video.clone().filter(|_| with_video);
        interleaver.handle_batch(&Batch { video, ..batch.clone() }, batch.audio.as_ref());
        std::iter::from_fn(move || interleaver.poll_now())
    };
    for with_video in [true, false] {
        let (queue, mut taken) = mpsc::channel(4);
        let mut port = Port::new(queue);
        let mut all = packets(with_video);
        all.by_ref().take(8).for_each(|packet| port.send(&packet));
        while taken.try_recv().is_ok() {}
        for packet in all {
            port.send(&packet);
            if let Ok(first) = taken.try_recv() {
                assert_eq!(first.is_random_access(), with_video);
                break;
            }
        }
        assert!(!port.is_broken(), "with video: {with_video}");
    }
}
