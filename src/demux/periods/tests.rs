use super::*;
use crate::media::{Moment, VideoCodec};

fn video(width: u32, config: &'static [u8]) -> Arc<VideoParams> {
    let config = Bytes::from_static(config);
    let codec_string = "avc1.64001f".into();
    Arc::new(VideoParams { codec: VideoCodec::Avc, config, width, height: 720, codec_string })
}

fn audio(config: &'static [u8]) -> Arc<AudioParams> {
    Arc::new(AudioParams { config: Bytes::from_static(config), ..AudioParams::plain_aac() })
}

fn picture(ms: i64) -> StampedPicture {
    let dts = Flicks::from_millis(ms);
    StampedPicture {
        dts,
        pts: dts,
        source: StampSource::Header,
        random_access: true,
        intra: Intra::WithSets,
        data: Bytes::new(),
    }
}

fn frame(ms: i64) -> StampedFrame {
    StampedFrame { pts: Flicks::from_millis(ms), data: Bytes::new() }
}

fn origin() -> Origin {
    Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None }
}

fn started() -> Periods {
    let mut periods = Periods::default();
    periods.begin(false);
    periods.video_params(video(1280, b"a"));
    periods.audio_params(audio(b"a"));
    periods
}

/// Period, number of pictures and of frames of each piece.
fn shape(pieces: &[Piece]) -> Vec<(u64, usize, usize)> {
    let count = |piece: &Piece| {
        let video = piece.video.as_ref().map_or(0, |(_, samples)| samples.len());
        let audio = piece.audio.as_ref().map_or(0, |(_, frames)| frames.len());
        (piece.period, video, audio)
    };
    pieces.iter().map(count).collect()
}

#[test]
fn a_segment_of_one_clock_is_one_piece() {
    let mut periods = started();
    for t in (0..1_000).step_by(40) {
        periods.picture(picture(t));
        periods.frame(frame(t - 300), StampSource::Header);
    }
    let pieces = periods.end(&origin());
    assert_eq!(shape(&pieces), [(0, 25, 25)]);
    assert!(pieces[0].video.as_ref().unwrap().1.iter().all(|s| s.duration == Flicks::from_millis(40)));
}

#[test]
fn a_jump_inside_a_segment_splits_it_and_late_audio_stays_with_its_clock() {
    let mut periods = started();
    periods.picture(picture(0));
    periods.frame(frame(0), StampSource::Header);
    periods.picture(picture(100_000));
    periods.frame(frame(40), StampSource::Header);
    periods.frame(frame(100_000), StampSource::Header);
    periods.picture(picture(100_040));
    assert_eq!(shape(&periods.end(&origin())), [(0, 1, 2), (1, 2, 1)]);
    periods.begin(false);
    periods.picture(picture(100_080));
    periods.frame(frame(100_040), StampSource::Header);
    assert_eq!(shape(&periods.end(&origin())), [(1, 1, 1)]);
}

#[test]
fn a_jump_backwards_splits_too() {
    let mut periods = started();
    for t in [5_000, 5_040, 1_000, 1_040] {
        periods.picture(picture(t));
    }
    assert_eq!(shape(&periods.end(&origin())), [(0, 2, 0), (1, 2, 0)]);
}

#[test]
fn another_size_begins_a_period_and_the_audio_is_cut_at_its_time() {
    let mut periods = started();
    periods.picture(picture(0));
    periods.picture(picture(40));
    periods.video_params(video(640, b"b"));
    periods.picture(picture(80));
    periods.picture(picture(120));
    for t in [0, 20, 60, 80, 100] {
        periods.frame(frame(t), StampSource::Header);
    }
    assert_eq!(shape(&periods.end(&origin())), [(0, 2, 3), (1, 2, 2)]);
}

#[test]
fn another_picture_parameter_set_splits_the_piece_but_not_the_period() {
    let mut periods = started();
    periods.picture(picture(0));
    periods.video_params(video(1280, b"b"));
    periods.picture(picture(40));
    assert_eq!(shape(&periods.end(&origin())), [(0, 1, 0), (0, 1, 0)]);
}

#[test]
fn another_audio_configuration_begins_a_period() {
    let mut periods = started();
    for t in [0, 20] {
        periods.picture(picture(t));
        periods.frame(frame(t), StampSource::Header);
    }
    periods.audio_params(audio(b"b"));
    periods.frame(frame(40), StampSource::Header);
    periods.picture(picture(40));
    assert_eq!(shape(&periods.end(&origin())), [(0, 2, 2), (1, 1, 1)]);
}

#[test]
fn a_discontinuity_begins_a_period_even_where_the_stamps_go_on() {
    let mut periods = started();
    periods.picture(picture(0));
    periods.end(&origin());
    periods.begin(true);
    periods.picture(picture(40));
    assert_eq!(shape(&periods.end(&origin())), [(1, 1, 0)]);
}

#[test]
fn a_track_that_never_jumped_joins_at_the_next_segment() {
    let mut periods = started();
    periods.picture(picture(0));
    periods.frame(frame(0), StampSource::Header);
    periods.picture(picture(100_000));
    periods.picture(picture(100_040));
    periods.end(&origin());
    periods.begin(false);
    periods.picture(picture(100_080));
    periods.frame(frame(100_040), StampSource::Header);
    assert_eq!(shape(&periods.end(&origin())), [(1, 1, 1)]);
}

#[test]
fn a_hostile_segment_opens_a_bounded_number_of_pieces() {
    let mut periods = started();
    for n in 0..10_000 {
        periods.picture(picture(if n % 2 == 0 { 0 } else { 1_000_000 }));
    }
    assert!(periods.end(&origin()).len() <= MAX_PIECES);
}

#[test]
fn another_size_at_the_border_of_segments_begins_a_period_too() {
    let mut periods = started();
    periods.picture(picture(0));
    periods.frame(frame(0), StampSource::Header);
    periods.end(&origin());
    periods.begin(false);
    periods.video_params(video(640, b"b"));
    periods.picture(picture(40));
    periods.frame(frame(20), StampSource::Header);
    periods.frame(frame(40), StampSource::Header);
    assert_eq!(shape(&periods.end(&origin())), [(0, 0, 1), (1, 1, 1)]);
    periods.begin(false);
    periods.picture(picture(80));
    periods.frame(frame(60), StampSource::Header);
    assert_eq!(shape(&periods.end(&origin())), [(1, 1, 1)]);
}
