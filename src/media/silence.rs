//! Silent frames: what stands in a slot for which there is no sound.

use bytes::Bytes;

use super::{AudioCodec, AudioParams, asc, mpeg_audio};

/// Audio object types whose frames have the syntax written here: AAC Main and AAC-LC.
const PLAIN: [u32; 2] = [1, 2];

/// One frame of digital silence in the configuration `params`, or `None` where none can be made.
///
/// For AAC it is written from the syntax (ISO/IEC 14496-3 4.4.2.1, table 4.3): every channel element of the
/// channel configuration with `max_sfb` 0, so that there is no section, scale factor or spectral data. With
/// HE-AAC only the core is written; a decoder treats a frame without SBR data as an upsampled core.
pub fn silent_frame(params: &AudioParams) -> Option<Bytes> {
    match params.codec {
        AudioCodec::Aac => {
            let config = asc::parse(&params.config).filter(|config| PLAIN.contains(&config.core))?;
            silent_aac(config.channel_configuration)
        }
        AudioCodec::MpegAudio | AudioCodec::Ac3 | AudioCodec::Eac3 | AudioCodec::Opus => None,
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
    fn there_is_none_where_the_configuration_is_unknown_or_cut() {
        assert!(silent_frame(&aac(&[0x11, 0x80])).is_none());
        assert!(silent_frame(&aac(&[0x11])).is_none());
        assert!(silent_frame(&aac(&[])).is_none());
    }
}
