//! How fast the media crates are, in bytes of the input per second: `cargo bench`.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use overdub::demo::clip;
use overdub::demux::{Demuxer, Input};
use overdub::media::{AudioTrack, Flicks, Moment, Origin, VideoTrack, mp4};

fn main() {
    divan::main();
}

/// A minute of the demo's clip, segment by segment.
fn segments() -> Vec<Bytes> {
    (0..30).map(clip::segment).collect()
}

fn bytes(segments: &[Bytes]) -> BytesCount {
    BytesCount::new(segments.iter().map(Bytes::len).sum::<usize>())
}

fn origin() -> Origin {
    Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None }
}

/// MPEG-TS to access units and audio frames.
#[divan::bench]
fn ts_to_samples(bencher: Bencher<'_, '_>) {
    let segments = segments();
    bencher.counter(bytes(&segments)).bench(|| {
        let mut demuxer = Demuxer::new();
        segments
            .iter()
            .map(|data| demuxer.handle_segment(&Input::main(data.clone(), false), &origin()).len())
            .sum::<usize>()
    });
}

/// Samples to one fragmented MP4 with both tracks.
#[divan::bench]
fn samples_to_fmp4(bencher: Bencher<'_, '_>) {
    let segments = segments();
    let (video, audio) = tracks(&segments);
    bencher
        .counter(bytes(&segments))
        .bench(|| mp4::file(Some(&video), Some(&audio), Flicks::ZERO).expect("a file").len());
}

fn tracks(segments: &[Bytes]) -> (VideoTrack, AudioTrack) {
    let mut demuxer = Demuxer::new();
    let pieces: Vec<_> = segments
        .iter()
        .flat_map(|data| demuxer.handle_segment(&Input::main(data.clone(), false), &origin()))
        .filter_map(|piece| piece.video.zip(piece.audio))
        .collect();
    let ((video, _), (audio, _)) = pieces.first().cloned().expect("both tracks");
    let samples = pieces.iter().flat_map(|((_, samples), _)| samples.clone()).collect();
    let frames = pieces.iter().flat_map(|(_, (_, frames))| frames.iter().map(|frame| frame.data.clone()));
    (
        VideoTrack { params: video, samples },
        AudioTrack { params: audio, start: Flicks::ZERO, frames: frames.collect() },
    )
}
