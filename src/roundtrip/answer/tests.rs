use proptest::prelude::*;

use super::*;
use crate::media::{self, AudioCodec, AudioTrack, OutputAudio, asc};

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

/// As if it were the answer to a fragment of its own length.
fn read(data: &Bytes, undeclared_priming: u32) -> Result<Processed, AnswerError> {
    let contents = take_apart(data)?;
    let samples = contents.frames.len() as i64 * i64::from(contents.params.frame_len);
    let duration = Flicks::from_samples(samples, contents.params.sample_rate);
    super::read(data, &Terms { duration, sent: data.len(), undeclared_priming, outputs: OutputAudio::Basic })
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
    assert_eq!(read_vec(vec![0xFF, 0xFD, 0x90, 0x64]), looks_like(Some("mpeg audio"))); // layer II
    assert_eq!(read_vec(vec![0xFF, 0xFB, 0x90, 0x64]), Err(AnswerError::Truncated { at: 0, len: 4 }));
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

/// 0.3 s of a 440 Hz tone in each container and codec:
/// `ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3 -ac 2 -b:a 64k -fflags +bitexact
/// -flags:a +bitexact -c:a CODEC FILE`, the fragmented ones with `-movflags frag_keyframe+empty_moov` and
/// `frag_keyframe+delay_moov`; flac with `-strict -2`. video_only.mp4:
/// `ffmpeg -f lavfi -i testsrc=size=32x32:rate=10:duration=0.3 -c:v libx264 FILE`.
macro_rules! fixture {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("fixtures/", $name)))
    };
}

#[test]
fn the_same_encoding_is_the_same_frames_in_every_container() {
    let adts = read(&fixture!("aac.adts"), 0).unwrap();
    for data in [fixture!("aac.mp4"), fixture!("aac_fragmented.mp4"), fixture!("aac_fragmented_edit.mp4")] {
        let mp4 = read(&data, 0).unwrap();
        assert_eq!(mp4.frames, adts.frames);
        assert_eq!((mp4.params.sample_rate, mp4.params.channels, mp4.params.frame_len), (48_000, 2, 1024));
        assert_eq!(mp4.params.codec_string, "mp4a.40.2");
        assert!(mp4.params.config.starts_with(&adts.params.config), "{:02x?}", mp4.params.config);
    }
}

#[test]
fn declared_priming_counts_before_the_setting() {
    let priming = |data: &Bytes| {
        let contents = take_apart(data)?;
        Ok::<_, AnswerError>((contents.priming.unwrap_or(1_600), contents.trailing))
    };
    // 16 frames are 16384 samples, of which 14400 are the tone.
    assert_eq!(priming(&fixture!("aac.mp4")), Ok((1_024, 960)));
    assert_eq!(priming(&fixture!("opus.mp4")), Ok((312, 648)));
    assert_eq!(priming(&fixture!("mp3.mp4")), Ok((1_105, 623)));
    // LAME's note: 576 samples of delay and 1152 of padding, and the decoder's 529.
    assert_eq!(priming(&fixture!("tone.mp3")), Ok((1_105, 623)));
    assert_eq!(priming(&fixture!("aac_fragmented_edit.mp4")), Ok((1_024, 960)));
    assert_eq!(priming(&fixture!("aac_fragmented.mp4")), Ok((1_600, 960)));
    assert_eq!(priming(&fixture!("aac.adts")), Ok((1_600, 0)));
}

#[test]
fn other_codecs_have_their_own_grid() {
    let grid = |data: Bytes| {
        let contents = take_apart(&data).unwrap();
        let params = &contents.params;
        assert!(contents.frames.iter().map(Bytes::len).sum::<usize>() > 1_000);
        (params.codec, params.sample_rate, params.channels, params.frame_len, contents.frames.len())
    };
    assert_eq!(grid(fixture!("mp3.mp4")), (AudioCodec::MpegAudio, 48_000, 2, 1_152, 14));
    assert_eq!(grid(fixture!("ac3.mp4")), (AudioCodec::Ac3, 48_000, 2, 1_536, 10));
    assert_eq!(grid(fixture!("eac3.mp4")), (AudioCodec::Eac3, 48_000, 2, 1_536, 10));
    assert_eq!(grid(fixture!("opus.mp4")), (AudioCodec::Opus, 48_000, 2, 960, 16));
}

#[test]
fn mp4_without_usable_sound_says_why() {
    assert_eq!(read(&fixture!("video_only.mp4"), 0), Err(AnswerError::NoAudioTrack));
    let unsupported = AnswerError::Unsupported("sample entry fLaC".into());
    assert_eq!(read(&fixture!("flac.mp4"), 0), Err(unsupported));
    assert_eq!(
        read(&fixture!("aac.mp4"), 20_000),
        read(&fixture!("aac.mp4"), 0),
        "the setting is for what is not declared"
    );
    let all = 16 * 1_024;
    assert_eq!(
        read(&fixture!("aac_fragmented.mp4"), all),
        Err(AnswerError::NothingPresented { total: all.into() })
    );
}

#[test]
fn mp3_without_a_container_is_the_same_frames() {
    let raw = read(&fixture!("tone.mp3"), 0).unwrap();
    let boxed = read(&fixture!("mp3.mp4"), 0).unwrap();
    // The first frame of the file is a note; the encoder's last one is not in both.
    assert_eq!(raw.frames[..], boxed.frames[..raw.frames.len()]);
    assert_eq!(raw.params, boxed.params);
    let whole = fixture!("tone.mp3");
    for cut in 1..whole.len() {
        if let Ok(processed) = read(&whole.slice(..cut), 0) {
            assert!(raw.frames.starts_with(&processed.frames), "cut at {cut}");
        }
    }
    let mut holed = whole.to_vec();
    let second = 20 + 2 * 192;
    assert_eq!(holed[second], 0xFF);
    holed[second] = 0;
    assert_eq!(read_vec(holed), Err(AnswerError::Broken { at: second }));
}

#[test]
fn what_the_outputs_do_not_carry_is_refused_by_name() {
    for (data, codec) in [
        (fixture!("opus.mp4"), AudioCodec::Opus),
        (fixture!("ac3.mp4"), AudioCodec::Ac3),
        (fixture!("eac3.mp4"), AudioCodec::Eac3),
    ] {
        assert_eq!(read(&data, 0), Err(AnswerError::NotCarried { codec }));
        let duration = Flicks::from_millis(1_000);
        let outputs = OutputAudio::Enhanced;
        let terms = Terms { duration, sent: data.len(), undeclared_priming: 0, outputs };
        assert_eq!(super::read(&data, &terms).map(|answer| answer.params.codec), Ok(codec));
    }
    for carried in [fixture!("mp3.mp4"), fixture!("tone.mp3"), fixture!("aac.mp4"), fixture!("aac.adts")] {
        assert!(read(&carried, 0).is_ok());
    }
}

#[test]
fn a_tenth_or_a_second_too_long_or_too_short_is_the_sound_and_more_is_not() {
    let seconds = |answer: usize, sent: f64| {
        let data = Bytes::from(adts(&vec![&b"frame"[..]; answer * 375 / 8], 2));
        let duration = Flicks::from_millis((sent * 1e3) as i64);
        let terms = Terms { duration, sent: data.len(), undeclared_priming: 0, outputs: OutputAudio::Basic };
        super::read(&data, &terms).map(|processed| processed.frames.len())
    };
    for (answer, sent) in [(32, 30.0), (32, 35.5), (32, 29.1), (8, 7.1), (8, 8.9), (8, 8.0)] {
        assert!(seconds(answer, sent).is_ok(), "{answer} for {sent}");
    }
    assert_eq!(seconds(8, 9.5), Err(AnswerError::WrongDuration { answer_ms: 8_000, fragment_ms: 9_500 }));
    for (answer, sent) in [(32, 36.0), (32, 29.0), (8, 6.9), (16, 32.0), (32, 16.0), (8, 0.0)] {
        assert!(
            matches!(seconds(answer, sent), Err(AnswerError::WrongDuration { .. })),
            "{answer} for {sent}"
        );
    }
}

#[test]
fn an_answer_may_have_many_times_the_bytes_of_what_was_sent_but_not_any_number() {
    let data = Bytes::from(adts(&vec![&[0; 2_000][..]; 1_000], 2));
    let terms = |sent| Terms {
        duration: Flicks::from_samples(1_000 * 1_024, 48_000),
        sent,
        undeclared_priming: 0,
        outputs: OutputAudio::Basic,
    };
    assert!(super::read(&data, &terms(data.len() / 15)).is_ok());
    let sent = data.len() / 20;
    let too_large = AnswerError::TooLarge { bytes: data.len(), limit: sent * 16 };
    assert_eq!(super::read(&data, &terms(sent)), Err(too_large));
    // A megabyte is little, whatever was sent.
    let short = data.slice(..500 * 2_007);
    let duration = Flicks::from_samples(500 * 1_024, 48_000);
    assert!(super::read(&short, &Terms { duration, ..terms(0) }).is_ok());
}

/// HE-AAC has the grid of its core, however it is signalled: explicitly (object type 5 or 29 first), or by the
/// frames alone, where the file speaks of a core only.
#[test]
fn he_aac_has_the_grid_of_its_core() {
    let answer = |config: &'static [u8], channels: u16| {
        let params = asc::parse(config).unwrap();
        let params = AudioParams {
            codec: AudioCodec::Aac,
            config: Bytes::from_static(config),
            sample_rate: params.sample_rate,
            channels: params.channels.unwrap_or(channels),
            frame_len: params.frame_len,
            codec_string: params.codec_string,
        };
        let frames = vec![Bytes::from_static(&[0x21, 0, 0, 0, 0, 0x1c]); 100];
        let track = AudioTrack { params: Arc::new(params), start: Flicks::ZERO, frames };
        let file = media::mp4::file(None, Some(&track), Flicks::ZERO).unwrap().to_bytes();
        let processed = read(&file, 0).unwrap();
        assert_eq!(processed.params, track.params);
        let AudioParams { sample_rate, channels, frame_len, codec_string, .. } = &*processed.params;
        (*sample_rate, *channels, *frame_len, codec_string.clone(), processed.frames.len())
    };
    let sbr = (24_000, 2, 1024, "mp4a.40.5".to_owned(), 100);
    assert_eq!(answer(&[0x2b, 0x11, 0x88, 0x00], 2), sbr);
    let ps = (24_000, 2, 1024, "mp4a.40.29".to_owned(), 100);
    assert_eq!(answer(&[0xeb, 0x09, 0x88, 0x00], 2), ps);
    // AAC-LC at 24 kHz with the sync extension behind it, and without: implicit.
    let implicit = (24_000, 2, 1024, "mp4a.40.2".to_owned(), 100);
    assert_eq!(answer(&[0x13, 0x10, 0x56, 0xe5, 0x98], 2), implicit);
    assert_eq!(answer(&[0x13, 0x10], 2), implicit);
}

/// `aac_fragmented.mp4` without its AudioSpecificConfig, as FFmpeg writes the beginning of a file whose frames it has
/// not seen, after `change`.
fn without_config(change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut data = fixture!("aac_fragmented.mp4").to_vec();
    let config = [0x05, 0x80, 0x80, 0x80, 0x05, 0x11, 0x90];
    let at = data.windows(config.len()).position(|window| window == config).expect("the descriptor");
    data[at] = 0x7F;
    change(&mut data);
    data.into()
}

#[test]
fn a_missing_configuration_is_told_from_the_frames_or_the_answer_is_refused() {
    let told = read(&without_config(|_| {}), 0).unwrap();
    let stated = read(&fixture!("aac_fragmented.mp4"), 0).unwrap();
    assert_eq!((told.params.sample_rate, told.params.channels), (48_000, 2));
    assert_eq!(told.frames, stated.frames);
    // The sample entry speaks of one channel, and the frames are pairs.
    let mono = without_config(|data| {
        let at = data.windows(4).position(|window| window == b"mp4a").expect("the sample entry");
        data[at + 4 + 17] = 1;
    });
    assert_eq!(read(&mono, 0), Err(AnswerError::NoConfig));
    // A rate at which a frame is neither as long as it is said to be, nor half of it.
    let fast = without_config(|data| {
        let at = data.windows(4).position(|window| window == b"mp4a").expect("the sample entry");
        data[at + 4 + 24..at + 4 + 26].copy_from_slice(&32_000_u16.to_be_bytes());
    });
    assert_eq!(read(&fast, 0), Err(AnswerError::NoConfig));
}

/// `aac.mp4` with its last eight frames in a chunk of their own, which uses a second sample entry: the same
/// as the first, after `change`.
fn with_second_entry(change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut data = fixture!("aac.mp4").to_vec();
    let find = |data: &[u8], kind: &[u8]| data.windows(4).position(|w| w == kind).expect("the box");
    let word = |data: &[u8], at: usize| u32::from_be_bytes(data[at..at + 4].try_into().expect("a word"));
    // The `moov` is behind the samples, whose offsets stay what they are.
    let append = |data: &mut Vec<u8>, kind: &[u8; 4], more: &[u8]| {
        for parent in [b"moov", b"trak", b"mdia", b"minf", b"stbl", kind] {
            let at = find(data, parent) - 4;
            let grown = word(data, at) + more.len() as u32;
            data[at..at + 4].copy_from_slice(&grown.to_be_bytes());
        }
        let at = find(data, kind);
        let end = at - 4 + word(data, at - 4) as usize - more.len();
        data.splice(end..end, more.iter().copied());
        data[at + 11] += 1; // the number of entries, behind version and flags
    };
    let stsd = find(&data, b"stsd");
    let mut entry = data[stsd + 12..stsd - 4 + word(&data, stsd - 4) as usize].to_vec();
    change(&mut entry);
    append(&mut data, b"stsd", &entry);
    let stsc = find(&data, b"stsc");
    data[stsc + 16..stsc + 20].copy_from_slice(&8_u32.to_be_bytes());
    append(&mut data, b"stsc", &[0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 2]);
    let (stsz, stco) = (find(&data, b"stsz") + 16, find(&data, b"stco") + 12);
    let second = word(&data, stco) + (0..8).map(|n| word(&data, stsz + 4 * n)).sum::<u32>();
    append(&mut data, b"stco", &second.to_be_bytes());
    data.into()
}

#[test]
fn frames_of_another_sample_entry_are_taken_only_if_it_says_the_same() {
    let same = read(&with_second_entry(|_| {}), 0).unwrap();
    assert_eq!(same.frames, read(&fixture!("aac.mp4"), 0).unwrap().frames);
    // A mono AudioSpecificConfig instead of stereo.
    let mono = with_second_entry(|entry| {
        let asc = entry.windows(2).position(|w| w == [0x11, 0x90]).expect("the configuration");
        entry[asc + 1] = 0x88;
    });
    assert_eq!(read(&mono, 0), Err(AnswerError::ConfigurationChange { frame: 8 }));
}

#[test]
fn mp4_cut_at_any_byte_never_passes_for_whole() {
    // Behind the last sample of a fragmented file may come an index that nobody needs.
    for (data, whole_from) in [
        (fixture!("aac.mp4"), fixture!("aac.mp4").len()),
        (fixture!("aac_fragmented.mp4"), end_of_mdat(&fixture!("aac_fragmented.mp4"))),
    ] {
        let frames = read(&data, 0).unwrap().frames;
        for cut in 0..data.len() {
            let result = read(&data.slice(..cut), 0);
            if cut < whole_from {
                assert!(result.is_err(), "cut at {cut} of {}", data.len());
            } else if let Ok(processed) = result {
                assert_eq!(processed.frames, frames);
            }
        }
    }
}

/// Where the last `mdat` ends.
fn end_of_mdat(data: &[u8]) -> usize {
    let at = data.windows(4).rposition(|window| window == b"mdat").unwrap() - 4;
    at + u32::from_be_bytes(*data[at..].first_chunk().unwrap()) as usize
}

proptest! {
    #[test]
    fn no_damage_to_mp3_panics_or_makes_frames_of_other_bytes(at in 0_usize..2_900, value: u8) {
        let mut data = fixture!("tone.mp3").to_vec();
        data[at] = value;
        let len = data.len();
        if let Ok(processed) = read_vec(data) {
            prop_assert!(processed.frames.iter().map(Bytes::len).sum::<usize>() <= len);
        }
    }

    #[test]
    fn no_damage_to_mp4_panics(at in 0_usize..3_600, value: u8, fragmented: bool) {
        let mut data = if fragmented { fixture!("aac_fragmented.mp4") } else { fixture!("aac.mp4") }.to_vec();
        let at = at % data.len();
        data[at] = value;
        if let Ok(processed) = read_vec(data) {
            prop_assert!(processed.frames.len() <= MAX_FRAMES && processed.params.frame_len > 0);
        }
    }
}
