//! AMF0 values (Adobe "Action Message Format - AMF 0", December 2007).
//!
//! Objects keep the order of their properties, and decoding is bounded in depth and never allocates from a
//! count on the wire; what a value costs is proportional to the bytes that it came from.

use bytes::{Buf, BufMut};

/// Deepest nesting that is decoded. Real commands nest twice; each level costs a stack frame here.
pub const MAX_DEPTH: usize = 16;

/// One AMF0 value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    /// Properties in their order on the wire.
    Object(Vec<(String, Value)>),
    /// Like an object, but marked as an associative array (2.10): what onMetaData carries.
    EcmaArray(Vec<(String, Value)>),
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970 (2.13); the time zone on the wire is reserved.
    Date(f64),
    Null,
    Undefined,
}

/// The bytes are not AMF0 that this side takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("value ends early")]
    Truncated,
    #[error("nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// References, AMF3, movie clips, record sets: nobody publishes with them.
    #[error("unsupported marker {0:#04x}")]
    Marker(u8),
    #[error("object ends without its end marker")]
    NoEnd,
}

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
const XML_DOCUMENT: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;

/// Decodes values until the input ends.
pub fn decode_all(mut input: &[u8]) -> Result<Vec<Value>, Error> {
    let mut values = Vec::new();
    while input.has_remaining() {
        values.push(decode(&mut input)?);
    }
    Ok(values)
}

/// Decodes one value and moves `input` behind it.
pub fn decode(input: &mut &[u8]) -> Result<Value, Error> {
    decode_value(input, 0)
}

fn decode_value(input: &mut &[u8], depth: usize) -> Result<Value, Error> {
    if depth >= MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let truncated = |_| Error::Truncated;
    Ok(match input.try_get_u8().map_err(truncated)? {
        NUMBER => Value::Number(input.try_get_f64().map_err(truncated)?),
        BOOLEAN => Value::Boolean(input.try_get_u8().map_err(truncated)? != 0),
        STRING => Value::String(decode_name(input)?),
        LONG_STRING | XML_DOCUMENT => {
            let len = input.try_get_u32().map_err(truncated)?;
            Value::String(decode_text(input, usize::try_from(len).map_err(|_| Error::Truncated)?)?)
        }
        OBJECT => Value::Object(decode_properties(input, depth)?),
        TYPED_OBJECT => {
            decode_name(input)?;
            Value::Object(decode_properties(input, depth)?)
        }
        ECMA_ARRAY => {
            // The count is only a hint (2.10), and some encoders write 0: the end marker decides.
            input.try_get_u32().map_err(truncated)?;
            Value::EcmaArray(decode_properties(input, depth)?)
        }
        STRICT_ARRAY => {
            let count = input.try_get_u32().map_err(truncated)?;
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(decode_value(input, depth + 1)?);
            }
            Value::StrictArray(values)
        }
        DATE => {
            let millis = input.try_get_f64().map_err(truncated)?;
            input.try_get_i16().map_err(truncated)?;
            Value::Date(millis)
        }
        NULL => Value::Null,
        UNDEFINED => Value::Undefined,
        other => return Err(Error::Marker(other)),
    })
}

fn decode_properties(input: &mut &[u8], depth: usize) -> Result<Vec<(String, Value)>, Error> {
    let mut properties = Vec::new();
    loop {
        let name = decode_name(input)?;
        if name.is_empty() {
            // An empty name is legal before a value too, but nobody sends one.
            return match input.try_get_u8() {
                Ok(OBJECT_END) => Ok(properties),
                Ok(_) => Err(Error::NoEnd),
                Err(_) => Err(Error::Truncated),
            };
        }
        properties.push((name, decode_value(input, depth + 1)?));
    }
}

fn decode_name(input: &mut &[u8]) -> Result<String, Error> {
    let len = input.try_get_u16().map_err(|_| Error::Truncated)?;
    decode_text(input, usize::from(len))
}

fn decode_text(input: &mut &[u8], len: usize) -> Result<String, Error> {
    let (text, rest) = input.split_at_checked(len).ok_or(Error::Truncated)?;
    *input = rest;
    // Old encoders write Latin-1; a name is only ever compared or shown.
    Ok(String::from_utf8_lossy(text).into_owned())
}

impl Value {
    /// A string value.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An object with these properties.
    pub fn object<const N: usize>(properties: [(&str, Self); N]) -> Self {
        Self::Object(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The property `name` of an object or an associative array.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => {
                properties.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a number value.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Appends the encoded value to `out`.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(NUMBER);
                out.put_f64(*number);
            }
            Self::Boolean(yes) => {
                out.put_u8(BOOLEAN);
                out.put_u8(u8::from(*yes));
            }
            Self::String(text) if text.len() <= usize::from(u16::MAX) => {
                out.put_u8(STRING);
                encode_name(text, out);
            }
            Self::String(text) => {
                out.put_u8(LONG_STRING);
                let text = cut(text, u32::MAX as usize);
                out.put_u32(text.len() as u32);
                out.put_slice(text.as_bytes());
            }
            Self::Object(properties) => {
                out.put_u8(OBJECT);
                encode_properties(properties, out);
            }
            Self::EcmaArray(properties) => {
                out.put_u8(ECMA_ARRAY);
                out.put_u32(properties.len() as u32);
                encode_properties(properties, out);
            }
            Self::StrictArray(values) => {
                out.put_u8(STRICT_ARRAY);
                out.put_u32(values.len() as u32);
                values.iter().for_each(|value| value.encode(out));
            }
            Self::Date(millis) => {
                out.put_u8(DATE);
                out.put_f64(*millis);
                out.put_i16(0);
            }
            Self::Null => out.put_u8(NULL),
            Self::Undefined => out.put_u8(UNDEFINED),
        }
    }
}

fn encode_properties(properties: &[(String, Value)], out: &mut impl BufMut) {
    for (name, value) in properties {
        encode_name(name, out);
        value.encode(out);
    }
    out.put_u16(0);
    out.put_u8(OBJECT_END);
}

fn encode_name(name: &str, out: &mut impl BufMut) {
    let name = cut(name, usize::from(u16::MAX));
    out.put_u16(name.len() as u16);
    out.put_slice(name.as_bytes());
}

/// `text` or as much of it as fits `limit` bytes, whole characters.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e9..1e9).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z/?=é]{0,12}".prop_map(Value::String),
            Just(Value::String("x".repeat(70_000))),
            (0.0..1e12).prop_map(Value::Date),
            Just(Value::Null),
            Just(Value::Undefined),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let properties = prop::collection::vec(("[a-z]{1,6}", inner.clone()), 0..4);
            prop_oneof![
                properties.clone().prop_map(Value::Object),
                properties.prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..4).prop_map(Value::StrictArray),
            ]
        })
    }

    fn encoded(values: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        values.iter().for_each(|value| value.encode(&mut out));
        out
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_the_same(values in prop::collection::vec(value(), 0..4)) {
            prop_assert_eq!(decode_all(&encoded(&values)), Ok(values));
        }

        #[test]
        fn hostile_bytes_end_in_a_value_or_an_error(bytes in prop::collection::vec(0_u8..0x14, 0..200)) {
            let _ = decode_all(&bytes);
        }

        #[test]
        fn a_truncated_value_is_an_error(value in value(), keep in 0.0..1.0) {
            let bytes = encoded(&[value]);
            let keep = (bytes.len() as f64 * keep) as usize;
            prop_assert!(decode(&mut &bytes[..keep]).is_err());
        }
    }

    #[test]
    fn nesting_without_end_is_refused_before_the_stack_is() {
        let bytes: Vec<u8> = [STRICT_ARRAY, 0, 0, 0, 1].repeat(400_000);
        assert_eq!(decode_all(&bytes), Err(Error::TooDeep));
        let bytes: Vec<u8> = [OBJECT, 0, 1, b'a'].repeat(400_000);
        assert_eq!(decode_all(&bytes), Err(Error::TooDeep));
    }

    #[test]
    fn a_count_of_four_billion_allocates_nothing() {
        assert_eq!(decode_all(&[STRICT_ARRAY, 0xFF, 0xFF, 0xFF, 0xFF, NULL]), Err(Error::Truncated));
    }
}
