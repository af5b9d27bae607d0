//! Any bytes as an MP4 file: no panic, an end, every sample inside the input, and the same samples when it is
//! read piece by piece.
//!
//! The last byte of the input is control, so that real files are seeds as they are. With its lowest bit the
//! input is a media segment behind an init segment of ours.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_fmp4::{Codec, Edit, TrackConfig, init_segment, parse, parse_segment};
use overdub_fuzz::mp4;

fn init() -> Bytes {
    let avc =
        Codec::Avc { avcc: Bytes::from_static(b"\x01\x64\x00\x1f\xff\xe0\x00"), width: 640, height: 360 };
    let aac = Codec::Aac { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
    let edit = Some(Edit { delay: 100, media_time: 3_003, duration: 0 });
    init_segment(&[
        TrackConfig { id: 1, timescale: 90_000, codec: avc, language: None, edit },
        TrackConfig { id: 2, timescale: 48_000, codec: aac, language: Some(*b"eng"), edit: None },
    ])
    .expect("an init segment")
}

fuzz_target!(|data: &[u8]| {
    let Some((&control, data)) = data.split_last() else { return };
    let input = Bytes::copy_from_slice(data);
    if control & 1 != 0 {
        if let Ok(movie) = parse_segment(&init(), &input) {
            mp4::check(&movie, &input);
        }
        return;
    }
    let whole = parse(&input);
    let pieces = mp4::read_in_pieces(&input, true);
    match &whole {
        Ok(movie) => {
            mp4::check(movie, &input);
            let (tracks, damage) = pieces.expect("what can be read whole can be read in pieces");
            assert!(movie.tracks.iter().map(|track| &track.samples).eq(&tracks));
            assert_eq!(movie.damage, damage);
        }
        Err(error) => match pieces {
            Ok((tracks, _)) => assert!(tracks.is_empty()),
            Err(in_pieces) => assert_eq!(*error, in_pieces),
        },
    }
    // Without the length a box may promise more than there is.
    let _ = mp4::read_in_pieces(&input, false);
});
