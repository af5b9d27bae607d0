//! Segments that make as much as they can of each byte: counted, not timed.

use overdub_ts::{BYTES_PER_SAMPLE, FREE_SAMPLES, MAX_SEGMENT_MEDIA};

use super::*;
use crate::demux::SegmentError;
use crate::media::id3;

/// Most samples that a segment of so many bytes may give.
fn allowed(bytes: usize) -> usize {
    (FREE_SAMPLES + bytes as u64 / BYTES_PER_SAMPLE) as usize
}

fn frames(pieces: &[Piece]) -> usize {
    shape(pieces).iter().map(|(_, video, audio)| video + audio).sum()
}

/// An ADTS frame of 48 kHz stereo, `length` bytes long.
fn adts(length: usize) -> Vec<u8> {
    let mut frame = hex!("FFF14C80001FFC").to_vec();
    frame[3] |= (length >> 11) as u8;
    frame[4] = (length >> 3) as u8;
    frame[5] |= (length << 5) as u8;
    frame.resize(length, 0x21);
    frame
}

#[test]
fn packed_audio_of_minimal_frames_is_cut_short_and_the_rest_is_told() {
    for length in [8, 16, 64] {
        let data = [id3::tests::tag(90_000), adts(length).repeat((4 << 20) / length)].concat();
        let limit = allowed(data.len());
        let mut demuxer = Demuxer::new();
        let pieces = demuxer.handle_segment(&Input::main(data.into(), false), &origin(0));
        assert!((FREE_SAMPLES as usize..=limit).contains(&frames(&pieces)), "{}", frames(&pieces));
        let last = demuxer.damage().last.clone().expect("it is told");
        assert!(last.contains("more samples than a segment"), "{last}");
    }
    // A quarter of an hour is the most, however few bytes its frames have.
    let data = [id3::tests::tag(90_000), adts(130).repeat(60_000)].concat();
    let mut demuxer = Demuxer::new();
    let pieces = demuxer.handle_segment(&Input::main(data.into(), false), &origin(0));
    let most = MAX_SEGMENT_MEDIA.0 / 1_920;
    assert!((most - 1..=most + 1).contains(&(frames(&pieces) as i64)), "{}", frames(&pieces));
}

#[test]
fn a_minute_of_digital_silence_is_whole() {
    let count = 60 * 48_000 / 1_024;
    let data = [id3::tests::tag(90_000), adts(13).repeat(count)].concat();
    let mut demuxer = Demuxer::new();
    let pieces = demuxer.handle_segment(&Input::main(data.into(), false), &origin(0));
    assert_eq!((frames(&pieces), demuxer.damage().events), (count, 0));
}

#[test]
fn fragments_of_minimal_samples_are_cut_short_and_the_next_segment_is_whole() {
    let init = audio_init(&aac_48());
    // 400,000 samples that say their size, and as many that all have one byte.
    let each = vec![(1_024, true, Bytes::from_static(&[1])); 100_000];
    let told = fragment(mp4::AUDIO_TRACK, 0, each);
    let mut demuxer = Demuxer::new();
    let limit = allowed(told.len());
    let pieces = demuxer.handle_segment(&main_input(&init, told, false, 0), &origin(0));
    assert!((FREE_SAMPLES as usize..=limit).contains(&frames(&pieces)), "{}", frames(&pieces));
    assert!(matches!(demuxer.damage().last_refusal, Some(SegmentError::TooMuch { .. })));
    let next = audio_segment(5_000_000..5_000_047);
    let pieces = demuxer.handle_segment(&main_input(&init, next, true, 1), &origin(1));
    assert_eq!(frames(&pieces), 47);
}

#[test]
fn event_messages_without_end_are_counted_and_not_kept() {
    let mut emsg = hex!("00000000 656D7367 00000000").to_vec();
    emsg.extend(b"urn:x\0v\0");
    emsg.extend([1_000_u32, 250, 500, 9].map(u32::to_be_bytes).concat());
    let length = (emsg.len() as u32).to_be_bytes();
    emsg[..4].copy_from_slice(&length);
    let init = video_init(&video(SPS_320, 320, 180));
    let data = Bytes::from([emsg.repeat(3_000), video_segment(2_000, 3_000).to_vec()].concat());
    let mut demuxer = Demuxer::new();
    let pieces = demuxer.handle_segment(&main_input(&init, data, false, 0), &origin(0));
    assert_eq!((frames(&pieces), demuxer.take_cues().len()), (25, 64));
    let last = demuxer.damage().last.clone().expect("it is told");
    assert!(last.starts_with("2936 cues"), "{last}");
}
