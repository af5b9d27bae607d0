use proptest::prelude::*;

use super::*;

/// ADTS of AAC-LC, 48 kHz, stereo (channel configuration 2) or mono.
fn adts(frames: &[&[u8]], channels: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let len = frame.len() + 7;
        out.extend([0xFF, 0xF1, 0x4C, channels << 6 | (len >> 11) as u8, (len >> 3) as u8]);
        out.extend([(len << 5) as u8 | 0x1F, 0xFC]);
        out.extend_from_slice(frame);
    }
    out
}

fn read_vec(data: Vec<u8>) -> Result<Processed, AnswerError> {
    read(&Bytes::from(data), 0)
}

#[test]
fn adts_is_taken_apart_without_copying() {
    let data = Bytes::from(adts(&[b"one", b"three", &[0x1E; 300]], 2));
    let processed = read(&data, 1600).unwrap();
    assert_eq!(processed.frames, [&b"one"[..], b"three", &[0x1E; 300]]);
    assert_eq!(processed.frames[0].as_ptr(), data[7..].as_ptr());
    assert_eq!((processed.priming, processed.trailing), (1600, 0));
    let params = &*processed.params;
    assert_eq!((params.sample_rate, params.channels, params.frame_len), (48_000, 2, 1024));
    assert_eq!((&params.config[..], params.codec_string.as_str()), (&[0x11, 0x90][..], "mp4a.40.2"));
    assert_eq!(processed.raw, data);
}

#[test]
fn id3_tags_around_adts_are_passed_over() {
    let mut data = b"ID3\x04\0\0\0\0\0\x03abc".to_vec();
    data.extend(adts(&[b"frame"], 2));
    data.extend(b"TAG".iter().chain(&[0; 125]));
    assert_eq!(read_vec(data).unwrap().frames, [&b"frame"[..]]);
    assert!(read_vec(b"ID3\x04\0\0\x7f\x7f\x7f\x7f".to_vec()).is_err());
}

#[test]
fn every_kind_of_bad_answer_has_its_name() {
    let looks_like = |looks_like| Err(AnswerError::Unrecognised { looks_like });
    assert_eq!(read_vec(Vec::new()), Err(AnswerError::Empty));
    assert_eq!(read_vec(b"RIFF....WAVE".to_vec()), looks_like(Some("wav")));
    assert_eq!(read_vec(b"{\"error\":1}".to_vec()), looks_like(Some("json")));
    assert_eq!(read_vec(vec![0xFF, 0xFB, 0x90, 0x64]), looks_like(Some("mp3 without a container")));
    assert_eq!(read_vec(vec![0xA5; 4096]), looks_like(None));

    let mut changed = adts(&[b"a"], 2);
    changed.extend(adts(&[b"b"], 1));
    assert_eq!(read_vec(changed), Err(AnswerError::ConfigurationChange { frame: 1 }));

    let mut holed = adts(&[b"a"], 2);
    holed.extend(b"hole");
    holed.extend(adts(&[b"b", b"c"], 2));
    assert_eq!(read_vec(holed), Err(AnswerError::Broken { at: 8 }));

    let mut several = adts(&[b"a"], 2);
    several[6] |= 1;
    assert!(matches!(read_vec(several), Err(AnswerError::Unsupported(_))));
    assert_eq!(read_vec(adts(&vec![&b"x"[..]; MAX_FRAMES + 1], 2)), Err(AnswerError::TooLong));
}

#[test]
fn adts_cut_at_any_byte_is_truncated_or_shorter_by_whole_frames() {
    let frames: [&[u8]; 3] = [b"one", b"three", b"seven!!"];
    let whole = adts(&frames, 2);
    let ends = [10, 22, 36];
    assert_eq!(whole.len(), ends[2]);
    for cut in 1..whole.len() {
        let result = read_vec(whole[..cut].to_vec());
        match ends.iter().position(|&end| end == cut) {
            Some(index) => assert_eq!(result.unwrap().frames.len(), index + 1),
            None => assert!(result.is_err(), "cut at {cut}: {result:?}"),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read_vec(data);
    }

    #[test]
    fn no_damage_to_adts_panics(at in 0_usize..36, value: u8) {
        let mut data = adts(&[b"one", b"three", b"seven!!"], 2);
        data[at] = value;
        let _ = read_vec(data);
    }
}
