//! AMF0 on hostile bytes: no panic, no stack and no memory beyond what the bytes pay for, and what was decoded
//! survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overdub_rtmp::amf0::{MAX_DEPTH, Value, decode_all, decode_most};

/// Values in it, and how deep it is.
fn measure(value: &Value) -> (usize, usize) {
    let inner: Vec<&Value> = match value {
        Value::Object(properties) | Value::EcmaArray(properties) => {
            properties.iter().map(|(_, value)| value).collect()
        }
        Value::StrictArray(values) => values.iter().collect(),
        _ => Vec::new(),
    };
    let measured = inner.into_iter().map(measure);
    measured.fold((1, 1), |(count, depth), (values, deep)| (count + values, depth.max(deep + 1)))
}

fn encode(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.encode(&mut out));
    out
}

fuzz_target!(|data: &[u8]| {
    let (values, stopped) = decode_most(data);
    assert_eq!(decode_all(data).is_err(), stopped.is_some());
    for value in &values {
        let (count, depth) = measure(value);
        assert!(count <= data.len(), "{count} values from {} bytes", data.len());
        assert!(depth <= MAX_DEPTH, "nested {depth} deep");
    }
    // Compared as bytes: NaN is no number's equal, and text that was no UTF-8 has been repaired by now.
    let bytes = encode(&values);
    let again = decode_all(&bytes);
    assert!(again.is_ok(), "what was decoded does not decode again: {again:?}");
    assert_eq!(encode(&again.unwrap_or_default()), bytes);
});
