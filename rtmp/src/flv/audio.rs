//! Audio tag bodies: E.4.2.1 (AAC and MP3) and Enhanced RTMP v2 "Enhanced Audio" (Opus, AC-3, E-AC-3).

use bytes::{Buf, Bytes};

use super::{Error, Prefix};

/// SoundFormat.
const MP3: u8 = 2;
const AAC: u8 = 10;
const MP3_8_KHZ: u8 = 14;
/// Enhanced RTMP's ExHeader: the low nibble is a packet type, and a FourCC follows.
const EXTENDED: u8 = 9;
/// AudioPacketType.
const SEQUENCE_START: u8 = 0;
const FRAMES: u8 = 1;
/// AAC tags say 44.1 kHz, 16 bit, stereo whatever they carry (E.4.2.1): the configuration decides.
const AAC_FLAGS: u8 = AAC << 4 | 0x0F;

/// What an MP3 tag says about its sound; decoders trust the frame's own header instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3Format {
    /// Hz.
    pub sample_rate: u32,
    pub stereo: bool,
}

/// Codecs that Enhanced RTMP adds to audio tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFourCc {
    Opus,
    Ac3,
    Eac3,
}

impl AudioFourCc {
    const ALL: [Self; 3] = [Self::Opus, Self::Ac3, Self::Eac3];

    /// As it stands on the wire.
    pub const fn code(self) -> [u8; 4] {
        match self {
            Self::Opus => *b"Opus",
            Self::Ac3 => *b"ac-3",
            Self::Eac3 => *b"ec-3",
        }
    }
}

/// An audio tag body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioTag {
    /// The AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1), whole.
    AacSequenceHeader(Bytes),
    /// One raw AAC frame.
    AacFrame(Bytes),
    /// One MP3 frame with its header.
    Mp3Frame(Mp3Format, Bytes),
    /// Opus: the identification header of RFC 7845 5.1. The others have none.
    EnhancedSequenceHeader(AudioFourCc, Bytes),
    /// One frame; of Opus one packet.
    EnhancedFrame(AudioFourCc, Bytes),
}

impl AudioTag {
    /// What stands before the data.
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::AacSequenceHeader(_) => Prefix::new(&[&[AAC_FLAGS, 0]]),
            Self::AacFrame(_) => Prefix::new(&[&[AAC_FLAGS, 1]]),
            Self::EnhancedSequenceHeader(codec, _) => {
                Prefix::new(&[&[EXTENDED << 4 | SEQUENCE_START], &codec.code()])
            }
            Self::EnhancedFrame(codec, _) => Prefix::new(&[&[EXTENDED << 4 | FRAMES], &codec.code()]),
            Self::Mp3Frame(format, _) => {
                // There is no code for 48 and 32 kHz: they go as 44.1, as FFmpeg and the players have it.
                let (kind, rate) = match format.sample_rate {
                    8_000 => (MP3_8_KHZ, 0),
                    11_025 | 12_000 => (MP3, 1),
                    16_000 | 22_050 | 24_000 => (MP3, 2),
                    _ => (MP3, 3),
                };
                Prefix::new(&[&[kind << 4 | rate << 2 | 1 << 1 | u8::from(format.stereo)]])
            }
        }
    }

    /// The payload behind the prefix.
    pub fn data(&self) -> &Bytes {
        match self {
            Self::AacSequenceHeader(data)
            | Self::AacFrame(data)
            | Self::Mp3Frame(_, data)
            | Self::EnhancedSequenceHeader(_, data)
            | Self::EnhancedFrame(_, data) => data,
        }
    }

    /// Reads a tag body.
    pub fn parse(body: &Bytes) -> Result<Self, Error> {
        let short = Error::TooShort(body.len());
        let mut rest = body.clone();
        let flags = rest.try_get_u8().map_err(|_| short)?;
        match flags >> 4 {
            AAC => match rest.try_get_u8().map_err(|_| short)? {
                0 => Ok(Self::AacSequenceHeader(rest)),
                1 => Ok(Self::AacFrame(rest)),
                other => Err(Error::PacketType(other)),
            },
            MP3 | MP3_8_KHZ => {
                let rates = [8_000, 11_025, 22_050, 44_100];
                let sample_rate = rates[usize::from(flags >> 2 & 3)];
                Ok(Self::Mp3Frame(Mp3Format { sample_rate, stereo: flags & 1 == 1 }, rest))
            }
            EXTENDED => {
                let four_cc = rest.try_get_u32().map_err(|_| short)?.to_be_bytes();
                let known = AudioFourCc::ALL.into_iter().find(|codec| codec.code() == four_cc);
                let codec = known.ok_or(Error::AudioFourCc(four_cc))?;
                match flags & 0x0F {
                    SEQUENCE_START => Ok(Self::EnhancedSequenceHeader(codec, rest)),
                    FRAMES => Ok(Self::EnhancedFrame(codec, rest)),
                    other => Err(Error::PacketType(other)),
                }
            }
            other => Err(Error::SoundFormat(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn tags_read_back_as_written() {
        let data = Bytes::from_static(&hex!("1210aabb"));
        let mp3 = |sample_rate, stereo| AudioTag::Mp3Frame(Mp3Format { sample_rate, stereo }, data.clone());
        for (tag, prefix) in [
            (AudioTag::AacSequenceHeader(data.clone()), &hex!("af00")[..]),
            (AudioTag::AacFrame(data.clone()), &hex!("af01")),
            (mp3(44_100, true), &hex!("2f")),
            (mp3(22_050, false), &hex!("2a")),
            (mp3(11_025, true), &hex!("27")),
            (mp3(8_000, false), &hex!("e2")),
            (AudioTag::EnhancedSequenceHeader(AudioFourCc::Opus, data.clone()), &hex!("90 4f707573")),
            (AudioTag::EnhancedFrame(AudioFourCc::Opus, data.clone()), &hex!("91 4f707573")),
            (AudioTag::EnhancedFrame(AudioFourCc::Ac3, data.clone()), &hex!("91 61632d33")),
            (AudioTag::EnhancedFrame(AudioFourCc::Eac3, data.clone()), &hex!("91 65632d33")),
        ] {
            assert_eq!(tag.prefix().as_slice(), prefix);
            let body = [prefix, tag.data()].concat().into();
            assert_eq!(AudioTag::parse(&body), Ok(tag));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let parse = |bytes: &'static [u8]| AudioTag::parse(&Bytes::from_static(bytes));
        assert_eq!(parse(&[]), Err(Error::TooShort(0)));
        assert_eq!(parse(&hex!("af")), Err(Error::TooShort(1)));
        assert_eq!(parse(&hex!("af05")), Err(Error::PacketType(5)));
        assert_eq!(parse(&hex!("7000")), Err(Error::SoundFormat(7)));
        assert_eq!(parse(&hex!("90 4f7075")), Err(Error::TooShort(4)));
        assert_eq!(parse(&hex!("90 664c6143")), Err(Error::AudioFourCc(*b"fLaC")));
        assert_eq!(parse(&hex!("95 4f707573")), Err(Error::PacketType(5)));
    }
}
