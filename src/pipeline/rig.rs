//! One stream on tokio's paused clock: its tasks from the captured segment to the packet that an output is handed, and
//! between them the round trip with a processor that does what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::output::{Output, Port};
use super::{Shared, Stream};
use crate::clock::Clock;
use crate::config::{Artifacts, StorageLimits, StreamOptions};
use crate::demo::clip;
use crate::hls;
use crate::media::{Moment, Packet, Rendition};
use crate::memory::Meter;
use crate::outside::ShownUrl;
use crate::preview;
use crate::remux::{Hold, Release};
use crate::roundtrip::simulated::{self, Script};
use crate::roundtrip::{self, Failure, Outcome};
use crate::status::StreamStatus;
use crate::storage::Disk;

/// What came of a run.
pub(super) struct Run {
    /// With the moment at which each was handed to the output, and when it was due.
    pub packets: Vec<(Packet, Moment, Moment)>,
    /// `ok`, or why not.
    pub outcomes: BTreeMap<u64, &'static str>,
    pub status: StreamStatus,
    pub roundtrip: roundtrip::Status,
}

/// Segment `number` of the source.
pub(super) fn segment(number: u64, discontinuity: bool, data: Bytes) -> hls::Segment {
    hls::Segment {
        number,
        rendition: Rendition::Main,
        media_sequence: number,
        discontinuity,
        discontinuity_sequence: 0,
        duration: clip::SEGMENT_DURATION,
        program_date_time: None,
        url: ShownUrl::default(),
        extension: "ts".to_owned(),
        init: None,
        data,
        offset: 0,
        captured_at: Moment::ZERO,
    }
}

/// Runs a stream with these settings to the end of `source`: segments of [`clip::SEGMENT_DURATION`], each with the
/// moment at which it is captured.
pub(super) async fn run(
    options: StreamOptions,
    script: Script,
    source: impl IntoIterator<Item = (Moment, hls::Segment), IntoIter: Send> + Send + 'static,
) -> Run {
    let mut packets = Vec::new();
    let take = |packet, handed_out, due| packets.push((packet, handed_out, due));
    let run = play(options, script, source, Meter::default(), take).await;
    Run { packets, ..run }
}

/// The same with a preview beside it, each packet given to `take`, and what is held counted by `meter`.
pub(super) async fn play(
    options: StreamOptions,
    script: Script,
    source: impl IntoIterator<Item = (Moment, hls::Segment), IntoIter: Send> + Send + 'static,
    meter: Meter,
    mut take: impl FnMut(Packet, Moment, Moment),
) -> Run {
    let clock = Clock::start();
    let folder = tempfile::tempdir().unwrap();
    let options = StreamOptions {
        stream_id: Some("a".to_owned()),
        source_url: Some("http://localhost/a.m3u8".to_owned()),
        artifacts: Some(Artifacts::None),
        ..options
    };
    let settings = Arc::new(options.resolve().unwrap());
    let disk = Disk::new(folder.path(), StorageLimits::default());
    let shared =
        Shared { clock, disk, journals: None, persistent: false, shares: crate::heavy::Shares::default() };
    let stream = Stream::new(&settings, meter.clone(), &Arc::new(shared));

    let (playout, playout_seen) = watch::channel(None);
    let (events, segments) = mpsc::channel(1);
    let (requests, requested) = mpsc::channel(super::UNDECIDED);
    let (ended, mut decided) = mpsc::channel::<Outcome>(super::UNDECIDED);
    let (outcomes, noted) = mpsc::channel(super::UNDECIDED);
    let (captured, undecided) = mpsc::channel(stream.undecided_batches());
    let (packets, mut released) = mpsc::channel(Port::CAPACITY);
    let desk = Desk {
        release: Release::new(Hold::new(super::slate::filler(&stream.settings, &stream.board).await)),
        ..Desk::default()
    };
    let (shown, preview) = mpsc::channel(Port::CAPACITY);
    let watching = preview::Settings { clock, share: stream.share.clone(), meter: meter.clone() };
    let never = CancellationToken::new();
    tokio::spawn(preview::run(watching, playout_seen.clone(), preview, Arc::default(), never));
    let output = Output {
        desk,
        share: stream.share.clone(),
        queued: meter.part(),
        ports: vec![Port::new(packets), Port::new(shown)],
        board: Arc::clone(&stream.board),
        writer: stream.writer.clone(),
        ..super::tests::output(clock, folder.path(), playout_seen.clone())
    };
    let (shown, roundtrip) = watch::channel(roundtrip::Status::default());
    let settings = roundtrip::Settings {
        share: stream.share.clone(),
        meter: meter.clone(),
        ..super::roundtrip_settings(&stream.settings)
    };
    tokio::spawn(simulated::run(settings, clock, (requested, ended), shown, playout_seen.clone(), script));
    tokio::spawn(stream.ingest(None, playout, requests, captured).run(segments, CancellationToken::new()));
    tokio::spawn(output.run(undecided, noted, CancellationToken::new()));
    let counted = meter.clone();
    tokio::spawn(async move {
        events.send(hls::Event::TargetDuration(clip::SEGMENT_DURATION)).await.unwrap();
        for (at, segment) in source {
            clock.sleep_until(at).await;
            let data = counted.wrap(segment.data);
            let segment = hls::Segment { captured_at: clock.now(), data, ..segment };
            events.send(hls::Event::Segment(segment)).await.unwrap();
        }
    });
    let note = tokio::spawn(async move {
        let mut all = BTreeMap::new();
        while let Some(outcome) = decided.recv().await {
            let reason = outcome.result.as_ref().map_or_else(Failure::reason, |_| "ok");
            assert_eq!(all.insert(outcome.number, reason), None, "one outcome for each batch");
            outcomes.send(outcome).await.unwrap();
        }
        all
    });
    while let Some(packet) = released.recv().await {
        let due = playout_seen.borrow().expect("fixed by now").due(packet.dts);
        take(packet, clock.now(), due);
    }
    let roundtrip = roundtrip.borrow().clone();
    let outcomes = note.await.unwrap();
    Run { packets: Vec::new(), outcomes, status: stream.board.snapshot(), roundtrip }
}
