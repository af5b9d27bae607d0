use super::*;

#[test]
fn the_sound_of_the_main_playlist_is_left_out_beside_a_separate_one() {
    let both = mp4::init(Some(&video(SPS_320, 320, 180)), Some(&aac(&hex!("1210"), 44_100))).unwrap();
    let sound = audio_init(&aac_48());
    let muxed = Bytes::from([video_segment(0, 2_000), audio_segment(0..86)].concat());
    let inputs =
        [main_input(&both, muxed.clone(), false, 0), audio_input(&sound, audio_segment(0..94), false, 0)];
    let mut demuxer = Demuxer::new();
    demuxer.set_separate_audio(true);
    let pieces = demux_all(&mut demuxer, &inputs);
    assert_eq!(shape(&pieces), [(0, 50, 94)]);
    assert_eq!(pieces[0].audio.as_ref().unwrap().0.sample_rate, 48_000);

    // Back to the muxed one: a period of its own.
    assert!(demuxer.set_separate_audio(false).is_empty());
    let pieces = demuxer.handle_segment(&main_input(&both, muxed, false, 0), &origin(2));
    assert_eq!(shape(&pieces), [(1, 50, 86)]);
}

#[test]
fn an_unannounced_rendition_is_counted_and_nothing_else() {
    let sound = audio_init(&aac_48());
    let mut demuxer = Demuxer::new();
    let input = audio_input(&sound, audio_segment(0..94), false, 0);
    assert!(demuxer.handle_segment(&input, &origin(0)).is_empty());
    assert_eq!(demuxer.damage().events, 1);
}

#[test]
fn a_refused_segment_of_the_sound_is_a_hole_in_the_sound_alone() {
    let picture = video_init(&video(SPS_320, 320, 180));
    let sound = audio_init(&aac_48());
    let mut demuxer = Demuxer::new();
    demuxer.set_separate_audio(true);
    let frames = |second: u64| (second * 48_000).div_ceil(1_024)..((second + 2) * 48_000).div_ceil(1_024);
    let mut pieces = Vec::new();
    for (index, second) in (0..8).step_by(2).enumerate() {
        let start = second as i64 * 1_000;
        let main = main_input(&picture, video_segment(start, start + 2_000), false, 0);
        pieces.extend(demuxer.handle_segment(&main, &origin(index as u64)));
        let data = if second == 2 { Bytes::from_static(b"<html>") } else { audio_segment(frames(second)) };
        pieces.extend(demuxer.handle_segment(&audio_input(&sound, data, false, 0), &origin(100)));
    }
    assert_eq!(shape(&pieces), [(0, 50, 94), (0, 50, 0), (0, 50, 94), (0, 50, 93)]);
    assert_eq!((demuxer.damage().refused, demuxer.damage().late), (1, 0));
}
