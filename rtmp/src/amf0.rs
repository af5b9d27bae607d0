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
    /// The n-th complex value of this message again (2.9). It is not resolved: copies of copies could grow without
    /// bound, and nothing that publishing needs is sent this way.
    Reference(u16),
}

/// The bytes are not AMF0 that this side takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("value ends early")]
    Truncated,
    #[error("nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// AMF3, movie clips, record sets, or a marker that does not exist. How long such a value is cannot be known.
    #[error("unsupported marker {0:#04x}")]
    Marker(u8),
}

/// What stopped the decoder inside a value, and as much of that value as came before.
struct Broken {
    kept: Option<Value>,
    error: Error,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self { kept: None, error }
    }
}

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
/// A value that the sender could not write (2.15); nothing follows.
const UNSUPPORTED: u8 = 0x0D;
const XML_DOCUMENT: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;

/// Decodes values until the input ends.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, Error> {
    match decode_most(input) {
        (values, None) => Ok(values),
        (_, Some(error)) => Err(error),
    }
}

/// Decodes values until the input ends or cannot be read any further, and says why then. Objects and arrays that
/// break off keep what came before. Real servers append stray bytes to their answers (librtmp-based ones), send
/// markers of their own, or leave out the end of an object; what a publisher needs comes first.
pub fn decode_most(mut input: &[u8]) -> (Vec<Value>, Option<Error>) {
    let mut values = Vec::new();
    while input.has_remaining() {
        match decode_value(&mut input, 0) {
            Ok(value) => values.push(value),
            Err(Broken { kept, error }) => {
                values.extend(kept);
                return (values, Some(error));
            }
        }
    }
    (values, None)
}

/// Decodes one value and moves `input` behind it.
pub fn decode(input: &mut &[u8]) -> Result<Value, Error> {
    decode_value(input, 0).map_err(|broken| broken.error)
}

fn decode_value(input: &mut &[u8], depth: usize) -> Result<Value, Broken> {
    if depth >= MAX_DEPTH {
        return Err(Error::TooDeep.into());
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
        OBJECT => return whole(Value::Object, decode_properties(input, depth)),
        TYPED_OBJECT => {
            decode_name(input)?;
            return whole(Value::Object, decode_properties(input, depth));
        }
        ECMA_ARRAY => {
            // The count is only a hint (2.10), and some encoders write 0: the end marker decides.
            input.try_get_u32().map_err(truncated)?;
            return whole(Value::EcmaArray, decode_properties(input, depth));
        }
        STRICT_ARRAY => {
            let count = input.try_get_u32().map_err(truncated)?;
            return whole(Value::StrictArray, decode_elements(input, count, depth));
        }
        DATE => {
            let millis = input.try_get_f64().map_err(truncated)?;
            input.try_get_i16().map_err(truncated)?;
            Value::Date(millis)
        }
        NULL => Value::Null,
        UNDEFINED | UNSUPPORTED => Value::Undefined,
        REFERENCE => Value::Reference(input.try_get_u16().map_err(truncated)?),
        other => return Err(Error::Marker(other).into()),
    })
}

/// A value of these parts; a broken one where the parts broke off.
fn whole<T>(build: fn(Vec<T>) -> Value, (parts, broken): (Vec<T>, Option<Error>)) -> Result<Value, Broken> {
    let value = build(parts);
    match broken {
        None => Ok(value),
        Some(error) => Err(Broken { kept: Some(value), error }),
    }
}

fn decode_elements(input: &mut &[u8], count: u32, depth: usize) -> (Vec<Value>, Option<Error>) {
    let mut values = Vec::new();
    for _ in 0..count {
        match decode_value(input, depth + 1) {
            Ok(value) => values.push(value),
            Err(Broken { kept, error }) => {
                values.extend(kept);
                return (values, Some(error));
            }
        }
    }
    (values, None)
}

fn decode_properties(input: &mut &[u8], depth: usize) -> (Vec<(String, Value)>, Option<Error>) {
    let mut properties = Vec::new();
    loop {
        let name = match decode_name(input) {
            Ok(name) => name,
            Err(error) => return (properties, Some(error)),
        };
        // An empty name is legal before a value too: only the marker tells the end.
        if name.is_empty() && input.first() == Some(&OBJECT_END) {
            input.advance(1);
            return (properties, None);
        }
        match decode_value(input, depth + 1) {
            Ok(value) => properties.push((name, value)),
            Err(Broken { kept, error }) => {
                properties.extend(kept.map(|value| (name, value)));
                return (properties, Some(error));
            }
        }
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
            Self::Reference(index) => {
                out.put_u8(REFERENCE);
                out.put_u16(*index);
            }
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
            any::<u16>().prop_map(Value::Reference),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let properties = prop::collection::vec(("[a-z]{0,6}", inner.clone()), 0..4);
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
            let (most, stopped) = decode_most(&bytes);
            prop_assert_eq!(decode_all(&bytes), stopped.map_or(Ok(most), Err));
        }

        #[test]
        fn what_comes_before_an_unreadable_byte_is_kept(
            values in prop::collection::vec(value(), 0..4), rest in prop::collection::vec(any::<u8>(), 0..9),
            marker in prop::sample::select(&[0x04_u8, 0x09, 0x0E, 0x11, 0x12, 0xFF][..]),
        ) {
            let mut bytes = encoded(&values);
            bytes.push(marker);
            bytes.extend(rest);
            prop_assert_eq!(decode_most(&bytes), (values, Some(Error::Marker(marker))));
        }

        #[test]
        fn a_truncated_value_is_an_error(value in value(), keep in 0.0..1.0) {
            let bytes = encoded(&[value]);
            let keep = (bytes.len() as f64 * keep) as usize;
            prop_assert!(decode(&mut &bytes[..keep]).is_err());
        }
    }

    #[test]
    fn an_object_that_breaks_off_keeps_its_properties() {
        let info = Value::object([
            ("level", Value::string("status")),
            ("code", Value::string("NetConnection.Connect.Success")),
        ]);
        let whole = encoded(&[Value::Null, info.clone()]);
        let without_end = &whole[..whole.len() - 3];
        let odd = |tail: &[u8]| decode_most(&[without_end, tail].concat());
        assert_eq!(odd(&[]), (vec![Value::Null, info.clone()], Some(Error::Truncated)));
        assert_eq!(odd(&[0, 0]), (vec![Value::Null, info.clone()], Some(Error::Truncated)));
        // A property that cannot be read, and whatever is behind it.
        let broken = (vec![Value::Null, info.clone()], Some(Error::Marker(0x11)));
        assert_eq!(odd(&[0, 1, b'x', 0x11, 0x0A, 0x0B, 0x01, 0, 0, 9]), broken);
        // The same within an array within an object.
        let mut nested = vec![OBJECT, 0, 1, b'a', STRICT_ARRAY, 0, 0, 0, 2];
        nested.extend(&whole[1..whole.len() - 3]);
        nested.extend([0, 1, b'x', 0xFF]);
        let kept = Value::object([("a", Value::StrictArray(vec![info]))]);
        assert_eq!(decode_most(&nested), (vec![kept], Some(Error::Marker(0xFF))));
    }

    #[test]
    fn values_that_only_old_servers_send_are_read() {
        let text = |text: &[u8]| [&[0, text.len() as u8][..], text].concat();
        let object = [&text(b"a")[..], &[NULL, 0, 0, OBJECT_END]].concat();
        for (bytes, value) in [
            (vec![UNSUPPORTED], Value::Undefined),
            (vec![REFERENCE, 0, 7], Value::Reference(7)),
            ([&[TYPED_OBJECT][..], &text(b"Class"), &object].concat(), Value::object([("a", Value::Null)])),
            // Counts that are too small and too large.
            (
                [&[ECMA_ARRAY, 0, 0, 0, 0][..], &object].concat(),
                Value::EcmaArray(vec![("a".into(), Value::Null)]),
            ),
            (
                [&[ECMA_ARRAY, 0xFF, 0xFF, 0xFF, 0xFF][..], &object].concat(),
                Value::EcmaArray(vec![("a".into(), Value::Null)]),
            ),
            ([&[LONG_STRING, 0, 0][..], &text(b"long")].concat(), Value::string("long")),
            ([&[XML_DOCUMENT, 0, 0][..], &text(b"<x/>")].concat(), Value::string("<x/>")),
            ([&[DATE][..], &1e12_f64.to_be_bytes(), &[0xFF, 0xC4]].concat(), Value::Date(1e12)),
            (vec![OBJECT, 0, 0, NULL, 0, 0, OBJECT_END], Value::object([("", Value::Null)])),
        ] {
            assert_eq!(decode_all(&bytes), Ok(vec![value]), "{bytes:x?}");
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
