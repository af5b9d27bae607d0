//! What other containers than a transport stream need of its codecs: audio frames out of a buffer, without
//! copying, and parameter sets to a configuration.
//!
//! [`frames`] serves files of whole frames, such as packed audio segments (RFC 8216 3.4); [`VideoSets`] serves
//! streams whose parameter sets stand in the samples (`avc3`, `hev1`) or in a configuration record.

use std::sync::Arc;

use bytes::Bytes;

use super::audio::{Format, Head, Unit};
use super::sets::{Coding, ParameterSets};
use super::{ac3, adts, h264, hevc, mpa};
use crate::event::{AudioParams, Codec, Intra, VideoParams};

/// Audio samples that belong together, raw as they stand in MP4 (AAC without its ADTS header).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    pub params: Arc<AudioParams>,
    /// Audio samples in it, at the rate of `params`.
    pub samples: u32,
    /// A slice of the buffer.
    pub data: Bytes,
}

/// The frames of `buffer`, one after the other; `None` for a codec that does not come in frames with a sync
/// word. AC-3 and E-AC-3 are told apart by the frames themselves. Bytes that are no frame are passed over
/// until two headers in a row fit (or one ends the buffer), and counted in [`Frames::skipped`].
pub fn frames(codec: Codec, buffer: Bytes) -> Option<Frames> {
    let format = AnyFormat::new(codec)?;
    Some(Frames { format, rest: buffer, synced: true, skipped: 0, units: Vec::new(), params: None })
}

/// The codec of the frame at the start of `bytes`, if there is one of a codec that [`frames`] takes.
pub fn codec_at(bytes: &[u8]) -> Option<Codec> {
    [Codec::AacAdts, Codec::Ac3, Codec::MpegAudio].into_iter().find(|codec| {
        let Some(format) = AnyFormat::new(*codec) else { return false };
        format.length_at(bytes).is_some_and(|length| match bytes.get(length..) {
            // The header of the next frame has to stand where this one says; at the end there is none.
            Some([]) => true,
            Some(next) => next.len() < MIN_HEADER || format.length_at(next).is_some(),
            None => false,
        })
    })
}

/// The length of the AC-3 or E-AC-3 syncframe at the start of `bytes` (ETSI TS 102 366 4.1, E.1.2.1), of which an
/// access unit may have several; `None`: none begins here.
pub fn syncframe_length(bytes: &[u8]) -> Option<usize> {
    ac3::frame_length(bytes)
}

/// The longest of the headers that tell a frame's length.
const MIN_HEADER: usize = 7;

/// See [`frames`].
#[derive(Debug)]
pub struct Frames {
    format: AnyFormat,
    rest: Bytes,
    synced: bool,
    skipped: u64,
    /// Of the last frame, last first.
    units: Vec<Unit>,
    params: Option<Arc<AudioParams>>,
}

impl Frames {
    /// Bytes that were in no whole frame, so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.slice(bytes.min(self.rest.len())..);
        self.skipped += bytes as u64;
        self.synced = false;
    }

    /// The length of the frame that stands here.
    fn frame_here(&self) -> Option<usize> {
        let length = self.format.length_at(&self.rest)?;
        let next = self.rest.get(length..)?;
        // A sync word within a frame's own data is common: look where the next one would be.
        let followed = || next.len() < MIN_HEADER || self.format.length_at(next).is_some();
        (self.synced || followed()).then_some(length)
    }
}

impl Iterator for Frames {
    type Item = AudioFrame;

    fn next(&mut self) -> Option<AudioFrame> {
        loop {
            if let (Some(unit), Some(params)) = (self.units.pop(), &self.params) {
                return Some(AudioFrame {
                    params: Arc::clone(params),
                    samples: unit.samples,
                    data: unit.data,
                });
            }
            if self.rest.is_empty() {
                return None;
            }
            let Some(length) = self.frame_here() else {
                let after = self.rest.get(1..).unwrap_or_default();
                let next = memchr::memchr(self.format.sync_byte(), after);
                self.skip(next.map_or(self.rest.len(), |at| at + 1));
                continue;
            };
            let frame = self.rest.split_to(length);
            self.synced = true;
            match self.format.open(frame, &mut self.units) {
                Some(params) => self.params = Some(params),
                None => {
                    self.units.clear();
                    self.skipped += length as u64;
                }
            }
            self.units.reverse();
        }
    }
}

#[derive(Debug)]
enum AnyFormat {
    Adts(adts::Adts),
    Mpeg(mpa::MpegAudio),
    Dolby(ac3::Dolby),
}

impl AnyFormat {
    fn new(codec: Codec) -> Option<Self> {
        Some(match codec {
            Codec::AacAdts => Self::Adts(adts::Adts::default()),
            Codec::MpegAudio => Self::Mpeg(mpa::MpegAudio::default()),
            Codec::Ac3 | Codec::Eac3 => Self::Dolby(ac3::Dolby::default()),
            _ => return None,
        })
    }

    fn length_at(&self, bytes: &[u8]) -> Option<usize> {
        let head = match self {
            Self::Adts(format) => format.sync(bytes, true),
            Self::Mpeg(format) => format.sync(bytes, true),
            Self::Dolby(format) => format.sync(bytes, true),
        };
        match head {
            Head::Frame(length) if length > 0 => Some(length),
            _ => None,
        }
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        match self {
            Self::Adts(format) => format.open(frame, units),
            Self::Mpeg(format) => format.open(frame, units),
            Self::Dolby(format) => format.open(frame, units),
        }
    }

    fn sync_byte(&self) -> u8 {
        match self {
            Self::Adts(_) => adts::Adts::SYNC,
            Self::Mpeg(_) => mpa::MpegAudio::SYNC,
            Self::Dolby(_) => ac3::Dolby::SYNC,
        }
    }
}

/// Parameter sets of H.264 or HEVC, wherever they come from, and the configuration that they make.
#[derive(Debug)]
pub struct VideoSets(AnySets);

#[derive(Debug)]
enum AnySets {
    Avc(ParameterSets<h264::AvcSets>),
    Hevc(ParameterSets<hevc::HevcSets>),
}

impl VideoSets {
    /// `None` for a codec without parameter sets.
    pub fn new(codec: Codec) -> Option<Self> {
        Some(Self(match codec {
            Codec::H264 => AnySets::Avc(ParameterSets::default()),
            Codec::Hevc => AnySets::Hevc(ParameterSets::default()),
            _ => return None,
        }))
    }

    /// Takes a NAL unit (without start code or length). False where it is no parameter set, or a broken one.
    pub fn take(&mut self, nal: &[u8]) -> bool {
        let Some(&first) = nal.first() else { return false };
        let taken = match &mut self.0 {
            // ISO/IEC 14496-10 table 7-1.
            AnySets::Avc(sets) => match first & 0x1F {
                7 => sets.take_sps(nal),
                8 => sets.take_pps(nal),
                _ => return false,
            },
            // ISO/IEC 23008-2 table 7-1.
            AnySets::Hevc(sets) => match first >> 1 & 0x3F {
                32 => sets.take_vps(nal),
                33 => sets.take_sps(nal),
                34 => sets.take_pps(nal),
                _ => return false,
            },
        };
        taken.is_ok()
    }

    /// Whether the access unit that consists of these NAL units (without start codes or lengths) has I slices only, as
    /// far as the sets let their headers be read, and whether sequence parameter sets are among them.
    pub fn intra<'a>(&self, nals: impl IntoIterator<Item = &'a [u8]>) -> Intra {
        let (mut all, mut any, mut with_sets) = (true, false, false);
        for nal in nals {
            let Some((&first, payload)) = nal.split_first() else { continue };
            let slice = match &self.0 {
                AnySets::Avc(_) => match first & 0x1F {
                    1 | 2 | 5 => Some(h264::is_intra(payload)),
                    kind => {
                        with_sets |= kind == 7;
                        None
                    }
                },
                AnySets::Hevc(sets) => match first >> 1 & 0x3F {
                    0..32 => hevc::is_intra(nal, sets),
                    kind => {
                        with_sets |= kind == 33;
                        None
                    }
                },
            };
            any |= slice.is_some();
            all &= slice.unwrap_or(true);
        }
        Intra::of(any && all, with_sets)
    }

    /// The configuration of all sets taken, as the first PPS makes it; `None` before there are enough.
    pub fn params(&mut self) -> Option<Arc<VideoParams>> {
        match &mut self.0 {
            AnySets::Avc(sets) => params(sets),
            AnySets::Hevc(sets) => params(sets),
        }
    }
}

/// Whether decoding can begin at the access unit that consists of these NAL units (without start codes or
/// lengths): an IDR or IRAP picture, or one with a recovery point. `flagged`: the container says so,
/// which is believed of an I picture of H.264 and of nothing else, because some packagers flag every sample.
/// Looks no further than the first slice.
pub fn is_random_access<'a>(codec: Codec, nals: impl IntoIterator<Item = &'a [u8]>, flagged: bool) -> bool {
    let mut recovery_point = false;
    for nal in nals {
        let Some((&first, payload)) = nal.split_first() else { continue };
        match (codec, first & 0x1F, first >> 1 & 0x3F) {
            (Codec::H264, 5, _) => return true,
            (Codec::H264, 6, _) => recovery_point |= h264::has_recovery_point(payload),
            (Codec::H264, 1 | 2, _) => return recovery_point || flagged && h264::is_intra(payload),
            // ISO/IEC 23008-2 7.4.2.2: 16 to 23 are IRAP pictures, what is below 32 is a slice; 39 a prefix SEI.
            (Codec::Hevc, _, kind) if kind < 32 => return recovery_point || (16..24).contains(&kind),
            (Codec::Hevc, _, 39) => {
                recovery_point |= h264::has_recovery_point(payload.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    false
}

fn params<C: Coding>(sets: &mut ParameterSets<C>) -> Option<Arc<VideoParams>> {
    // pic_parameter_set_id: up to 255 (ISO/IEC 14496-10 7.4.2.2).
    let first = (0..=u8::MAX).find(|id| sets.pps(*id).is_some())?;
    sets.params(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    fn mp3(fill: u8) -> Vec<u8> {
        let mut frame = hex!("FFFB9000").to_vec();
        frame.resize(417, fill);
        frame
    }

    #[test]
    fn frames_are_slices_and_garbage_between_them_is_counted() {
        let buffer: Bytes =
            [mp3(1), vec![7, 0xFF, 0xFB], mp3(2), mp3(3), mp3(4)[..100].to_vec()].concat().into();
        let mut frames = frames(Codec::MpegAudio, buffer).expect("frames");
        let found: Vec<_> = frames.by_ref().map(|frame| (frame.samples, frame.data[416])).collect();
        assert_eq!(found, [(1152, 1), (1152, 2), (1152, 3)]);
        assert_eq!(frames.skipped(), 103);
    }

    #[test]
    fn the_codec_is_told_by_the_frame() {
        assert_eq!(codec_at(&[mp3(0), mp3(0)].concat()), Some(Codec::MpegAudio));
        let mut ac3 = hex!("0B770000 14 40 2F84").to_vec(); // 48 kHz, 192 kbit/s
        ac3.resize(768, 0);
        assert_eq!(codec_at(&ac3), Some(Codec::Ac3));
        let mut adts = hex!("FFF15080000000FC").to_vec();
        adts[4] = 20 >> 3;
        adts[5] = (20 << 5) as u8 | 0x1F;
        adts.resize(20, 0);
        assert_eq!(codec_at(&[&adts[..], &adts].concat()), Some(Codec::AacAdts));
        assert_eq!(codec_at(b"G@\0\x10"), None);
        assert_eq!(codec_at(b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), None);
        assert_eq!(codec_at(b""), None);
    }

    #[test]
    fn what_is_no_parameter_set_is_refused() {
        let mut sets = VideoSets::new(Codec::H264).expect("sets");
        for nal in [&[][..], &[0x65, 1], &[0x67], &[0x68]] {
            assert!(!sets.take(nal), "{nal:?}");
        }
        assert_eq!(sets.params(), None);
        assert!(VideoSets::new(Codec::Opus).is_none());
    }

    #[test]
    fn a_flag_is_believed_of_an_intra_picture_only() {
        let avc = |nals: &[&[u8]], flagged| is_random_access(Codec::H264, nals.iter().copied(), flagged);
        let (intra, predicted) = (hex!("41 88").to_vec(), hex!("41 E0").to_vec()); // slice_type 7; 0
        assert!(avc(&[&[0x09, 0xF0], &[0x65, 0x88]], false));
        assert!(avc(&[&intra], true) && !avc(&[&intra], false) && !avc(&[&predicted], true));
        assert!(avc(&[&hex!("06 06 01 C0 80"), &predicted], false), "recovery point");
        let hevc = |kind: u8| is_random_access(Codec::Hevc, [&[kind << 1, 1][..]], true);
        assert!(hevc(19) && hevc(21) && !hevc(1) && !hevc(35));
        // Gradual refresh: recovery_poc_cnt in a prefix SEI, then TRAIL_R.
        let refresh: [&[u8]; 2] = [&hex!("4E 01 06 01 C0 80"), &hex!("02 01 88")];
        assert!(is_random_access(Codec::Hevc, refresh, false));
    }

    #[test]
    fn an_intra_picture_has_i_slices_only() {
        let avc = VideoSets::new(Codec::H264).expect("sets");
        let [i, p, sps] = [hex!("41 88"), hex!("41 E0"), hex!("67 64")];
        assert_eq!(avc.intra([&i[..], &i]), Intra::Slices);
        assert_eq!(avc.intra([&sps[..], &i]), Intra::WithSets);
        // A refresh that wanders over the picture slice by slice.
        assert_eq!(avc.intra([&sps[..], &i, &p]), Intra::No);
        assert_eq!(avc.intra([&sps[..]]), Intra::No);
        // x265, 1920x1080: 510 coding tree blocks, so that addresses have 9 bits.
        let mut hevc = VideoSets::new(Codec::Hevc).expect("sets");
        let sps = hex!(
            "42010102200000030090000003000003007ba003c08010e4d96566924caf016a122012080000030008000003019040"
        );
        assert!(hevc.take(&sps) && hevc.take(&hex!("44 01 C0")));
        let first = |kind: u8| [2, 1, 0xC0 | kind, 0];
        let (i, p) = (first(0b01_1000), first(0b01_0000));
        assert_eq!(hevc.intra([&i[..], &hex!("02 01 40 2C")]), Intra::Slices);
        assert_eq!(hevc.intra([&sps[..], &i, &hex!("02 01 40 2C")]), Intra::WithSets);
        assert_eq!(hevc.intra([&sps[..], &i, &hex!("02 01 40 28")]), Intra::No);
        assert_eq!(hevc.intra([&p[..]]), Intra::No);
    }

    proptest! {
        #[test]
        fn any_bytes_end_and_no_byte_is_given_twice(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            for codec in [Codec::AacAdts, Codec::MpegAudio, Codec::Ac3] {
                let total: usize = frames(codec, bytes.clone().into()).expect("frames").map(|f| f.data.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
