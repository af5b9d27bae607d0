//! Round trips at every cut, interleaving, and what a hostile peer may send.

use bytes::{Buf, BufMut, Bytes};
use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::Error;

const LIMIT: usize = 100_000;

fn decode_in(parts: &[&[u8]], decoder: &mut Decoder) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for part in parts {
        let mut rest = *part;
        while let Some(message) = decoder.receive(&mut rest)? {
            messages.push(message);
        }
        assert!(rest.is_empty());
    }
    Ok(messages)
}

fn decoder(chunk_size: usize) -> Decoder {
    let mut decoder = Decoder::new(LIMIT);
    decoder.set_chunk_size(chunk_size as u32).unwrap();
    decoder
}

fn encode(messages: &[Message], chunk_size: usize, prefix: usize) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.set_chunk_size(chunk_size);
    let mut output = Output::default();
    for message in messages {
        let header = Header {
            chunk_stream: message.chunk_stream as u8,
            timestamp: message.timestamp,
            kind: message.kind,
            stream: message.stream,
        };
        let (head, body) = message.payload.split_at(prefix.min(message.payload.len()));
        encoder.message(header, head, message.payload.slice_ref(body), &mut output);
    }
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// Like an encoder of another make: messages of different chunk streams interleaved chunk by chunk.
fn interleave(messages: &[Message], chunk_size: usize, order: &[usize]) -> Vec<u8> {
    let mut queues: Vec<(Message, Vec<Bytes>)> = Vec::new();
    for message in messages {
        let mut payload = message.payload.clone();
        let mut parts = vec![payload.split_to(payload.len().min(chunk_size))];
        while payload.has_remaining() {
            parts.push(payload.split_to(payload.len().min(chunk_size)));
        }
        parts.reverse();
        queues.push((message.clone(), parts));
    }
    let mut out = Vec::new();
    let mut turn = order.iter().cycle();
    let mut started = vec![false; queues.len()];
    while queues.iter().any(|(_, parts)| !parts.is_empty()) {
        let pick = turn.next().unwrap() % queues.len();
        let pick = (pick..pick + queues.len()).map(|i| i % queues.len()).find(|&i| !queues[i].1.is_empty());
        let Some(pick) = pick else { break };
        let (message, parts) = &mut queues[pick];
        let id = message.chunk_stream - 64;
        let extended = message.timestamp.get() >= EXTENDED;
        // Basic headers of two and of three bytes.
        let format = if started[pick] { 0xC0 } else { 0 };
        if pick % 2 == 0 {
            out.extend([format, id as u8]);
        } else {
            out.extend([format | 1, id as u8, (id >> 8) as u8]);
        }
        if !started[pick] {
            out.put_uint(u64::from(message.timestamp.get().min(EXTENDED)), 3);
            out.put_uint(message.payload.len() as u64, 3);
            out.put_u8(message.kind);
            out.put_u32_le(message.stream);
        }
        if extended {
            out.put_u32(message.timestamp.get());
        }
        out.extend(parts.pop().unwrap());
        started[pick] = true;
    }
    out
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        any::<u32>(),
        Just(0xFF_FFFE),
        Just(0xFF_FFFF),
        Just(0x100_0000),
        Just(u32::MAX - 1),
        Just(u32::MAX),
        Just(0)
    ]
    .prop_map(Timestamp::new)
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1..300_usize, Just(1), Just(2), Just(127), Just(128), Just(129), Just(4096), Just(65_536)]
}

fn message() -> impl Strategy<Value = Message> {
    (2..64_u32, timestamp(), any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..600)).prop_map(
        |(chunk_stream, timestamp, kind, stream, payload)| Message {
            chunk_stream,
            timestamp,
            kind,
            stream,
            payload: payload.into(),
        },
    )
}

proptest! {
    #[test]
    fn messages_survive_any_chunk_size_and_every_split(
        messages in prop::collection::vec(message(), 1..4), size in size(), prefix in 0..20_usize,
    ) {
        let bytes = encode(&messages, size, prefix);
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            prop_assert_eq!(&decode_in(&[a, b], &mut decoder(size)).unwrap(), &messages);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&decode_in(&single, &mut decoder(size)).unwrap(), &messages);
    }

    #[test]
    fn interleaved_chunk_streams_are_told_apart(
        mut messages in prop::collection::vec(message(), 2..6), size in size(),
        order in prop::collection::vec(0..6_usize, 1..20), step in 1..50_usize,
    ) {
        for (index, message) in messages.iter_mut().enumerate() {
            // Ids of two-byte headers reach 319, of three-byte ones 65599.
            message.chunk_stream = 64 + index as u32 * 40 + if index % 2 == 1 { 60_000 } else { 0 };
        }
        let bytes = interleave(&messages, size, &order);
        let parts: Vec<&[u8]> = bytes.chunks(step).collect();
        let mut got = decode_in(&parts, &mut decoder(size)).unwrap();
        let key = |message: &Message| message.chunk_stream;
        got.sort_by_key(key);
        messages.sort_by_key(key);
        prop_assert_eq!(got, messages);
    }

    #[test]
    fn hostile_bytes_never_panic_and_hold_no_more_than_was_sent(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..8_u8, Just(0xFF)], 0..2_000), size in size(),
    ) {
        let mut decoder = decoder(size);
        let mut rest = &bytes[..];
        while let Ok(Some(_)) = decoder.receive(&mut rest) {}
        prop_assert!(decoder.held() <= bytes.len());
    }
}

#[test]
fn a_payload_leaves_by_reference() {
    let body = Bytes::from(vec![7; 1000]);
    let mut output = Output::default();
    let mut encoder = Encoder::default();
    encoder.set_chunk_size(300);
    let header = Header { chunk_stream: 6, timestamp: Timestamp::ZERO, kind: 9, stream: 1 };
    encoder.message(header, &[1, 2], body.clone(), &mut output);
    let range = body.as_ptr_range();
    let mut slices = [std::io::IoSlice::new(&[]); 16];
    let count = output.chunks_vectored(&mut slices);
    let own: usize = slices[..count].iter().filter(|s| !range.contains(&s.as_ptr())).map(|s| s.len()).sum();
    assert_eq!((count, own), (8, 12 + 2 + 3));
}

#[test]
fn type_1_2_and_3_headers_refer_to_the_header_before() {
    let bytes = hex!(
        "03 000064 000001 08 01000000 aa" // type 0: time 100
        "43 000005 000002 09 bbbb"        // type 1: +5, another length and type
        "83 000007 cccc"                  // type 2: +7
        "c3 dddd"                         // type 3: +7 again
    );
    let messages = decode_in(&[&bytes], &mut Decoder::new(LIMIT)).unwrap();
    let seen: Vec<_> =
        messages.iter().map(|m| (m.timestamp.get(), m.kind, m.stream, m.payload.len())).collect();
    assert_eq!(seen, [(100, 8, 1, 1), (105, 9, 1, 2), (112, 9, 1, 2), (119, 9, 1, 2)]);
}

#[test]
fn a_type_3_header_repeats_the_extended_timestamp() {
    let bytes = hex!("03 ffffff 000003 08 01000000 01000000 aabb c3 01000000 cc");
    let messages = decode_in(&[&bytes], &mut decoder(2)).unwrap();
    assert_eq!(messages[0].timestamp.get(), 0x0100_0000);
    assert_eq!(messages[0].payload[..], hex!("aabbcc"));
    // An extended delta, and a sum that wraps at 32 bits.
    let bytes = hex!("03 ffffff 000001 08 01000000 fffffff0 aa 83 ffffff 01000000 bb c3 01000000 cc");
    let messages = decode_in(&[&bytes], &mut decoder(2)).unwrap();
    let stamps: Vec<_> = messages.iter().map(|m| m.timestamp.get()).collect();
    assert_eq!(stamps, [0xFFFF_FFF0, 0x00FF_FFF0, 0x01FF_FFF0]);
}

#[test]
fn an_aborted_message_is_forgotten() {
    let mut decoder = decoder(2);
    assert_eq!(decode_in(&[&hex!("03 000000 000003 08 01000000 aabb")], &mut decoder), Ok(vec![]));
    decoder.abort(3);
    decoder.abort(77);
    assert_eq!(decoder.held(), 0);
    let messages = decode_in(&[&hex!("03 000001 000001 08 01000000 cc")], &mut decoder).unwrap();
    assert_eq!(messages[0].payload[..], hex!("cc"));
}

#[test]
fn broken_headers_are_errors_that_say_where() {
    let cases: [(&[u8], Error); 4] = [
        (&hex!("c5"), Error::NoPreviousChunk { stream: 5, format: 3, offset: 0 }),
        (
            &hex!("03 000000 000003 08 00000000 aabb 03 000000 000003 08 00000000"),
            Error::Interrupted { stream: 3, offset: 14 },
        ),
        (
            &hex!("03 000000 ffffff 08 00000000"),
            Error::MessageTooLong { stream: 3, len: 0xFF_FFFF, limit: LIMIT, offset: 0 },
        ),
        (&[], Error::TooManyStreams { limit: MAX_STREAMS, offset: 64 * 13 }),
    ];
    for (bytes, error) in cases {
        let many: Vec<u8> =
            (0..65).flat_map(|id| [&[0, id], &hex!("000000 000000 08 00000000")[..]].concat()).collect();
        let bytes = if bytes.is_empty() { &many } else { bytes };
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(
            decode_in(&single, &mut decoder(2)),
            Err(error.clone()),
            "the place is that of the header"
        );
        assert_eq!(decode_in(&[bytes], &mut decoder(2)), Err(error));
    }
    assert_eq!(Decoder::new(1).set_chunk_size(0), Err(Error::ChunkSize(0)));
    assert_eq!(Decoder::new(1).set_chunk_size(0x8000_0000), Err(Error::ChunkSize(0x8000_0000)));
}

#[test]
fn unfinished_messages_of_many_streams_are_bounded_together() {
    let mut decoder = decoder(LIMIT);
    let mut result = Ok(());
    for id in 0..5_u8 {
        let mut chunk = vec![3 + id];
        chunk.extend(hex!("000000 018000 08 00000000"));
        chunk.extend(vec![0; 0x17FFF]);
        // Each stops one byte short of its message; only the chunk size lets them lie beside each other.
        decoder.set_chunk_size(0x17FFF).unwrap();
        result = decode_in(&[&chunk], &mut decoder).map(|_| ());
        if result.is_err() {
            break;
        }
        assert!(decoder.held() <= 2 * LIMIT);
    }
    assert!(matches!(result, Err(Error::TooMuchUnfinished { .. })));
}

/// Found by fuzzing: what came last of a header that was refused stayed behind, and the next call underflowed.
#[test]
fn a_header_that_comes_in_two_parts_is_refused_in_the_same_way_each_time() {
    // Type 0 on chunk stream 3: a message of 16 MiB, more than is taken.
    let header = hex!("03 000000 FFFFFF 08 00000000");
    for cut in 1..header.len() {
        let mut decoder = Decoder::new(LIMIT);
        assert_eq!(decode_in(&[&header[..cut]], &mut decoder).unwrap(), []);
        for _ in 0..3 {
            let refused = decoder.receive(&mut &header[cut..]).unwrap_err();
            assert!(matches!(refused, Error::MessageTooLong { offset: 0, .. }), "cut at {cut}: {refused}");
            assert_eq!(decoder.held(), cut);
        }
    }
}
