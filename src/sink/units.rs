//! Decoder configurations and NAL units inside tags. Pure.

use overdub_rtmp::flv::VideoCodec;

/// What is wrong inside a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("configuration of {0} bytes is too short")]
    Short(usize),
    #[error("configuration version {0} is not 1")]
    Version(u8),
    #[error("configuration without parameter sets")]
    NoParameterSets,
    #[error("parameter set at byte {0} is empty or runs over the end")]
    ParameterSet(usize),
    #[error("length fields of 3 bytes")]
    LengthSize,
    #[error("audio object type 0")]
    ObjectType,
    #[error("no data")]
    Empty,
    #[error("length field at byte {offset} says {len} of {left} bytes")]
    Length { offset: usize, len: usize, left: usize },
    #[error("unit at byte {0} has its forbidden bit set")]
    ForbiddenBit(usize),
}

/// Bytes per NAL length field that a video configuration declares.
pub(super) fn length_size(codec: VideoCodec, config: &[u8]) -> Result<usize, Error> {
    let short = Error::Short(config.len());
    let version = *config.first().ok_or(short)?;
    if version != 1 {
        return Err(Error::Version(version));
    }
    let field = match codec {
        VideoCodec::Avc => {
            // ISO/IEC 14496-15 5.3.3.1.2: at least one SPS and one PPS, or nothing decodes.
            let rest = parameter_sets(config, 6, *config.get(5).ok_or(short)? & 0x1F)?;
            parameter_sets(config, rest + 1, *config.get(rest).ok_or(short)?)?;
            config.get(4)
        }
        VideoCodec::Hevc => {
            // 8.3.3.1.2: numOfArrays at byte 22.
            if *config.get(22).ok_or(short)? == 0 {
                return Err(Error::NoParameterSets);
            }
            config.get(21)
        }
    };
    match field.ok_or(short)? & 3 {
        2 => Err(Error::LengthSize),
        size => Ok(usize::from(size) + 1),
    }
}

/// Walks `count` parameter sets from byte `at`; returns the byte behind them.
fn parameter_sets(config: &[u8], mut at: usize, count: u8) -> Result<usize, Error> {
    if count == 0 {
        return Err(Error::NoParameterSets);
    }
    for _ in 0..count {
        let rest = config.get(at..).unwrap_or_default();
        let [high, low, body @ ..] = rest else { return Err(Error::ParameterSet(at)) };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if len == 0 || len > body.len() {
            return Err(Error::ParameterSet(at));
        }
        at += 2 + len;
    }
    Ok(at)
}

/// Checks an AudioSpecificConfig as far as every decoder must (ISO/IEC 14496-3 1.6.2.1).
pub(super) fn audio_config(config: &[u8]) -> Result<(), Error> {
    match config {
        [first, _, ..] if first >> 3 == 0 => Err(Error::ObjectType),
        [_, _, ..] => Ok(()),
        _ => Err(Error::Short(config.len())),
    }
}

/// Checks that `data` is NAL units behind length fields of `size` bytes, to the last byte.
pub(super) fn nal_units(data: &[u8], size: usize) -> Result<(), Error> {
    if data.is_empty() {
        return Err(Error::Empty);
    }
    let mut rest = data;
    while !rest.is_empty() {
        let offset = data.len() - rest.len();
        let wrong = |len| Error::Length { offset, len, left: rest.len().saturating_sub(size) };
        let (field, body) = rest.split_at_checked(size).ok_or_else(|| wrong(0))?;
        let len = field.iter().fold(0_usize, |len, &byte| len << 8 | usize::from(byte));
        let (unit, behind) = body.split_at_checked(len).ok_or_else(|| wrong(len))?;
        match unit.first() {
            None => return Err(wrong(0)),
            Some(header) if header & 0x80 != 0 => return Err(Error::ForbiddenBit(offset + size)),
            Some(_) => rest = behind,
        }
    }
    Ok(())
}
