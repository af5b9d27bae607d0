//! Silent frames: what stands in a slot for which there is no sound.

use bytes::Bytes;

use super::{AudioCodec, AudioParams, asc, mpeg_audio};

/// Audio object types whose frames have the syntax written here: AAC Main and AAC-LC.
const PLAIN: [u32; 2] = [1, 2];

/// One frame of digital silence in the configuration `params`, or `None` where none can be made.
///
/// For AAC it is written from the syntax (ISO/IEC 14496-3 4.4.2.1, table 4.3): every channel element of the
/// channel configuration with `max_sfb` 0, so that there is no section, scale factor or spectral data. With
/// HE-AAC only the core is written; a decoder treats a frame without SBR data as an upsampled core. For Opus of one
/// or two channels it is CELT with its silence flag set.
pub fn silent_frame(params: &AudioParams) -> Option<Bytes> {
    match params.codec {
        AudioCodec::Aac => {
            let config = asc::parse(&params.config).filter(|config| PLAIN.contains(&config.core))?;
            silent_aac(config.channel_configuration)
        }
        AudioCodec::Opus => silent_opus(&params.config, params.frame_len),
        AudioCodec::MpegAudio | AudioCodec::Ac3 | AudioCodec::Eac3 => None,
    }
}

/// The same for a track of which `frame` is a frame: the parameters do not say which layer of MPEG audio it is.
pub fn silent_frame_like(params: &AudioParams, frame: &[u8]) -> Option<Bytes> {
    match params.codec {
        AudioCodec::MpegAudio if mpeg_audio::is_layer_3(frame) => {
            mpeg_audio::silent(params.sample_rate, params.channels)
        }
        _ => silent_frame(params),
    }
}

/// The syntactic elements of one channel configuration (ISO/IEC 14496-3 table 1.19), by their `id_syn_ele`.
fn elements(channel_configuration: u32) -> Option<&'static [u8]> {
    Some(match channel_configuration {
        1 => &[SCE],
        2 => &[CPE],
        3 => &[SCE, CPE],
        4 => &[SCE, CPE, SCE],
        5 => &[SCE, CPE, CPE],
        6 => &[SCE, CPE, CPE, LFE],
        7 => &[SCE, CPE, CPE, CPE, LFE],
        _ => return None,
    })
}

const SCE: u8 = 0;
const CPE: u8 = 1;
const LFE: u8 = 3;
const END: u8 = 7;

fn silent_aac(channel_configuration: u32) -> Option<Bytes> {
    let mut out = BitWriter::default();
    let mut tags = [0_u8; 4];
    for &element in elements(channel_configuration)? {
        let tag = tags.get_mut(usize::from(element))?;
        out.put(u32::from(element), 3);
        out.put(u32::from(*tag), 4);
        *tag += 1;
        if element == CPE {
            out.put(1, 1); // common_window
            put_ics_info(&mut out);
            out.put(0, 2); // ms_mask_present
            put_empty_channel(&mut out, false);
            put_empty_channel(&mut out, false);
        } else {
            put_empty_channel(&mut out, true);
        }
    }
    out.put(u32::from(END), 3);
    Some(out.finish())
}

/// `ics_info`: reserved bit, ONLY_LONG_SEQUENCE, sine window, `max_sfb` 0, no predictor.
fn put_ics_info(out: &mut BitWriter) {
    out.put(0, 1 + 2 + 1 + 6 + 1);
}

/// `individual_channel_stream` with nothing in it: `global_gain`, then no pulse, TNS or gain control data.
fn put_empty_channel(out: &mut BitWriter, own_window: bool) {
    out.put(0, 8);
    if own_window {
        put_ics_info(out);
    }
    out.put(0, 3);
}

/// A CELT frame of which only the first symbol is read, the silence flag (RFC 6716 4.3, table 56): ones decode as
/// "set", since that is the less probable value (4.1.3.2).
const SILENT_CELT: [u8; 2] = [0xFF, 0xFE];
/// `config` of a full-band CELT frame of 2.5 ms; the next ones are twice as long each (RFC 6716 table 2).
const CELT_FULL_BAND: u8 = 28;
/// Samples of the longest CELT frame and of the longest packet (RFC 6716 3.2.5), at 48 kHz.
const OPUS_FRAME: u32 = 960;
const OPUS_PACKET: u32 = 5_760;

/// `config` is the payload of `dOps` (Opus in ISOBMFF 4.3.2), `samples` are at 48 kHz.
fn silent_opus(config: &[u8], samples: u32) -> Option<Bytes> {
    let &[_, channels @ 1..=2, _, _, _, _, _, _, _, _, 0] = config else {
        // Other mapping families have several streams in a packet.
        return None;
    };
    let toc = |config: u8, code: u8| config << 3 | (channels - 1) << 2 | code;
    let one = (0..4).find(|doublings| 120 << doublings == samples);
    let mut out = Vec::new();
    if let Some(doublings) = one {
        out.push(toc(CELT_FULL_BAND + doublings, 0));
        out.extend(SILENT_CELT);
    } else if samples > 0 && samples.is_multiple_of(OPUS_FRAME) && samples <= OPUS_PACKET {
        let count = samples / OPUS_FRAME;
        // Code 3: as many frames of one length as the next byte says.
        out.extend([toc(CELT_FULL_BAND + 3, 3), count as u8]);
        (0..count).for_each(|_| out.extend(SILENT_CELT));
    } else {
        return None;
    }
    Some(out.into())
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: usize,
}

impl BitWriter {
    fn put(&mut self, value: u32, count: usize) {
        for shift in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> shift & 1) as u8;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }

    fn finish(self) -> Bytes {
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aac(config: &'static [u8]) -> AudioParams {
        AudioParams { config: Bytes::from_static(config), ..AudioParams::plain_aac() }
    }

    #[test]
    fn a_stereo_frame_is_one_empty_channel_pair() {
        // 001 0000 1 | 00000000000 00 | 00000000 000 | 00000000 000 | 111
        let frame = silent_frame(&aac(&[0x11, 0x90])).unwrap();
        assert_eq!(frame.as_ref(), [0x21, 0x00, 0x00, 0x00, 0x00, 0x1c]);
    }

    #[test]
    fn a_mono_frame_is_one_empty_channel() {
        let frame = silent_frame(&aac(&[0x11, 0x88])).unwrap();
        // 000 0000 00000000 00000000 000 000 111
        assert_eq!(frame.as_ref(), [0x00, 0x00, 0x00, 0x07]);
    }

    #[test]
    fn an_opus_packet_is_as_long_as_those_of_its_track() {
        const STEREO: &[u8] = &[0, 2, 1, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 0];
        let silent = |config, samples| silent_opus(config, samples);
        assert_eq!(silent(STEREO, 120).as_deref(), Some(&[0xE4, 0xFF, 0xFE][..]));
        assert_eq!(silent(STEREO, 480).as_deref(), Some(&[0xF4, 0xFF, 0xFE][..]));
        assert_eq!(silent(STEREO, 960).as_deref(), Some(&[0xFC, 0xFF, 0xFE][..]));
        let mono = [&[0, 1][..], &STEREO[2..]].concat();
        let three = [0xFB, 3, 0xFF, 0xFE, 0xFF, 0xFE, 0xFF, 0xFE];
        assert_eq!(silent(&mono, 2_880).as_deref(), Some(&three[..]));
        for samples in [0, 100, 1_000, 6_720] {
            assert_eq!(silent(STEREO, samples), None, "{samples}");
        }
        let surround = [&[0, 6][..], &STEREO[2..10], &[1, 4, 2, 0, 4, 1, 2, 3, 5]].concat();
        assert_eq!(silent(&surround, 960), None);
    }

    #[test]
    fn there_is_none_where_the_configuration_is_unknown_or_cut() {
        assert!(silent_frame(&aac(&[0x11, 0x80])).is_none());
        assert!(silent_frame(&aac(&[0x11])).is_none());
        assert!(silent_frame(&aac(&[])).is_none());
    }
}
