//! What a stream is, by its content.

use super::audio::{Format, Head};
use super::elementary::VideoSets;
use super::{ac3, adts, latm, mpa};
use crate::event::Codec;

/// So many headers of frames stand one frame apart: the sync words are 11 to 16 bits, so that four of them in
/// place by chance are not to be expected in the bytes of any stream.
const CHAIN: usize = 4;

/// The codec of the elementary stream that `bytes` are from, which may begin and end anywhere; `None`: none that
/// shows itself. `ended`: no more bytes come.
pub(crate) fn recognise(bytes: &[u8], ended: bool) -> Option<Codec> {
    let video = [Codec::H264, Codec::Hevc].into_iter().find(|&codec| has_parameter_sets(bytes, codec));
    video.or_else(|| {
        let audio = [
            (chain::<adts::Adts>(bytes, ended), Codec::AacAdts),
            (chain::<latm::Latm>(bytes, ended), Codec::AacLatm),
            (chain::<mpa::MpegAudio>(bytes, ended), Codec::MpegAudio),
            (chain::<ac3::Dolby>(bytes, ended), Codec::Ac3),
        ];
        let first = audio.into_iter().filter_map(|(at, codec)| Some((at?, codec))).min_by_key(|it| it.0);
        first.map(|(at, codec)| if codec == Codec::Ac3 { ac3::codec_at(&bytes[at..]) } else { codec })
    })
}

/// A frame of `codec` stands at the start of `bytes`, as far as its header says.
pub(crate) fn is_frame_of(codec: Codec, bytes: &[u8]) -> bool {
    fn is_frame<F: Format>(bytes: &[u8]) -> bool {
        matches!(F::default().sync(bytes, true), Head::Frame(1..))
    }
    match codec {
        Codec::AacAdts => is_frame::<adts::Adts>(bytes),
        Codec::AacLatm => is_frame::<latm::Latm>(bytes),
        Codec::MpegAudio => is_frame::<mpa::MpegAudio>(bytes),
        Codec::Ac3 | Codec::Eac3 => is_frame::<ac3::Dolby>(bytes),
        _ => false,
    }
}

/// Whether a unit of some elementary stream begins in `bytes`, the first of a PES packet: a NAL unit anywhere (24 bits
/// and more, which 184 bytes of noise hardly have), or an audio frame or a tag at the start.
pub(crate) fn begins_unit(bytes: &[u8]) -> bool {
    const AUDIO: [Codec; 4] = [Codec::AacAdts, Codec::AacLatm, Codec::MpegAudio, Codec::Ac3];
    // control_header_prefix: 0x3FF in 11 bits ("Opus in MPEG-TS").
    let opus = matches!(*bytes, [0x7F, second, ..] if second & 0xE0 == 0xE0);
    // forbidden_zero_bit of H.264 and HEVC.
    let nal = memchr::memmem::find_iter(bytes, &[0, 0, 1])
        .any(|at| bytes.get(at + 3).is_some_and(|header| header & 0x80 == 0));
    nal || opus || bytes.starts_with(b"ID3") || AUDIO.into_iter().any(|codec| is_frame_of(codec, bytes))
}

/// Where the first chain of frames begins.
fn chain<F: Format>(bytes: &[u8], ended: bool) -> Option<usize> {
    let format = F::default();
    let follows = |start: &usize| {
        let mut at = *start;
        for frames in 0..CHAIN {
            match bytes.get(at..) {
                // At the end there are no more to come.
                Some([]) | None => return ended && frames > 1 && at == bytes.len(),
                Some(rest) => match format.sync(rest, true) {
                    Head::Frame(length @ 1..) => at += length,
                    _ => return false,
                },
            }
        }
        true
    };
    memchr::memchr_iter(F::SYNC, bytes).find(follows)
}

/// NAL units in `bytes` make a decoder configuration.
fn has_parameter_sets(bytes: &[u8], codec: Codec) -> bool {
    let Some(mut sets) = VideoSets::new(codec) else { return false };
    let mut codes = memchr::memmem::find_iter(bytes, &[0, 0, 1]);
    let Some(mut start) = codes.next() else { return false };
    let mut taken = false;
    for next in codes {
        let unit = &bytes[start + 3..next];
        let zeros = unit.iter().rev().take_while(|&&byte| byte == 0).count();
        taken |= sets.take(&unit[..unit.len() - zeros]);
        start = next;
    }
    taken && sets.params().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_frames_in_a_row_are_a_stream_and_three_are_chance() {
        // 48 kHz stereo, frames of 20 bytes.
        let mut frame = vec![0xFF, 0xF1, 0x4C, 0x80, 0x02, 0x9F, 0xFC];
        frame.resize(20, 0);
        let three = frame.repeat(3);
        assert_eq!(recognise(&three, false), None);
        assert_eq!(recognise(&three, true), Some(Codec::AacAdts));
        let mut four = vec![0xFF, 0x0B, 0x77, 0x56];
        four.extend(frame.repeat(4));
        assert_eq!(recognise(&four, false), Some(Codec::AacAdts));
        assert_eq!(recognise(&[0; 100], true), None);
    }

    #[test]
    fn mpeg_audio_latm_and_ac3_are_told_from_each_other() {
        let mut mp3 = vec![0xFF, 0xFB, 0x90, 0];
        mp3.resize(417, 0);
        let mut latm = vec![0x56, 0xE0, 17];
        latm.resize(20, 0);
        // 48 kHz, 32 kbit/s; then 11 as bsid.
        let mut ac3 = vec![0x0B, 0x77, 0, 0, 0, 0x40, 0x40];
        ac3.resize(128, 0);
        let mut eac3 = vec![0x0B, 0x77, 0, 49, 0x34, 0x80];
        eac3.resize(100, 0);
        for (frame, codec) in
            [(mp3, Codec::MpegAudio), (latm, Codec::AacLatm), (ac3, Codec::Ac3), (eac3, Codec::Eac3)]
        {
            assert_eq!(recognise(&frame.repeat(4), false), Some(codec));
            assert!(is_frame_of(codec, &frame));
        }
    }
}
