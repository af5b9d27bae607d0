//! Audio tag bodies (E.4.2.1): AAC and MP3.

use bytes::{Buf, Bytes};

use super::{Error, Prefix};

/// SoundFormat.
const MP3: u8 = 2;
const AAC: u8 = 10;
const MP3_8_KHZ: u8 = 14;
/// AAC tags say 44.1 kHz, 16 bit, stereo whatever they carry (E.4.2.1): the configuration decides.
const AAC_FLAGS: u8 = AAC << 4 | 0x0F;

/// What an MP3 tag says about its sound; decoders trust the frame's own header instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3Format {
    /// Hz.
    pub sample_rate: u32,
    pub stereo: bool,
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
}

impl AudioTag {
    /// What stands before the data.
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::AacSequenceHeader(_) => Prefix::new(&[&[AAC_FLAGS, 0]]),
            Self::AacFrame(_) => Prefix::new(&[&[AAC_FLAGS, 1]]),
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
            Self::AacSequenceHeader(data) | Self::AacFrame(data) | Self::Mp3Frame(_, data) => data,
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
        assert_eq!(parse(&hex!("9000")), Err(Error::SoundFormat(9)));
    }
}
