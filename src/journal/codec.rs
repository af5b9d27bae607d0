//! A record as text: one line that says what follows, and the record as JSON.
//!
//! ```text
//! overdub-journal 1 crc32 89abcdef bytes 1234
//! {"settings":{...},...}
//! ```

use super::Record;

/// The form of what follows the first line. Another version is not read: what it means is not known.
pub const VERSION: u32 = 1;

/// No record is longer: 2,000 segments of 400 bytes, and settings of eight addresses of 4 KiB.
pub const MAX_BYTES: usize = 2 << 20;

const MAGIC: &str = "overdub-journal";

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("not a journal")]
    NotAJournal,
    #[error("written by a version of Overdub with journals of form {0}; this one reads form {VERSION}")]
    Version(u32),
    #[error("cut off: {have} bytes of {want}")]
    Truncated { have: usize, want: usize },
    #[error("damaged: the checksum is {have:08x}, not {want:08x}")]
    Checksum { have: u32, want: u32 },
    #[error("longer than any journal ({0} bytes)")]
    TooLong(usize),
    /// The checksum is right and the content is not: line and column of the JSON, without quoting it, for it
    /// may hold secrets.
    #[error("not understood at line {line}, column {column}")]
    Content { line: usize, column: usize },
}

/// The text of `record`.
///
/// # Errors
///
/// Where a number in it cannot be said in JSON (a start offset that is not finite, which no settings have).
pub fn encode(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::to_vec(record)?;
    let crc = crc32fast::hash(&body);
    let mut text = format!("{MAGIC} {VERSION} crc32 {crc:08x} bytes {}\n", body.len()).into_bytes();
    text.extend_from_slice(&body);
    text.push(b'\n');
    Ok(text)
}

/// The record in `text`.
///
/// # Errors
///
/// For everything that [`encode`] of this version has not written.
pub fn decode(text: &[u8]) -> Result<Record, DecodeError> {
    if text.len() > MAX_BYTES {
        return Err(DecodeError::TooLong(text.len()));
    }
    let line = text.iter().position(|byte| *byte == b'\n').ok_or(DecodeError::NotAJournal)?;
    let (head, body) = (&text[..line], &text[line + 1..]);
    let head = std::str::from_utf8(head).map_err(|_| DecodeError::NotAJournal)?;
    let mut words = head.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(DecodeError::NotAJournal);
    }
    let version: u32 = words.next().and_then(|word| word.parse().ok()).ok_or(DecodeError::NotAJournal)?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let mut named = |name| (words.next() == Some(name)).then(|| words.next()).flatten();
    let crc = named("crc32").and_then(|word| u32::from_str_radix(word, 16).ok());
    let length = named("bytes").and_then(|word| word.parse::<usize>().ok());
    let (Some(want), Some(length)) = (crc, length) else { return Err(DecodeError::NotAJournal) };
    let Some(body) = body.get(..length) else {
        return Err(DecodeError::Truncated { have: body.len(), want: length });
    };
    let have = crc32fast::hash(body);
    if have != want {
        return Err(DecodeError::Checksum { have, want });
    }
    serde_json::from_slice(body)
        .map_err(|error| DecodeError::Content { line: error.line(), column: error.column() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BatchMark, Place, SegmentMark, Track};
    use super::*;
    use crate::config::StreamOptions;
    use crate::media::Rendition;

    fn record(numbers: &[i64]) -> Record {
        let at = |k: usize| numbers.get(k % numbers.len().max(1)).copied().unwrap_or_default();
        let place = |k: usize| Place {
            media_sequence: at(k).unsigned_abs(),
            discontinuity_sequence: at(k + 1).unsigned_abs(),
            date: (at(k) % 2 == 0).then(|| "2026-11-25T04:00:00.000Z".to_owned()),
            from_start: at(k + 2).unsigned_abs(),
        };
        Record {
            settings: StreamOptions {
                stream_id: Some("a".to_owned()),
                source_url: Some("http://h/ä?token=1".to_owned()),
                ..StreamOptions::default()
            },
            started_at: at(0),
            saved_at: at(1),
            clean: at(2) % 2 == 0,
            next_segment: at(3).unsigned_abs(),
            next_batch: at(4).unsigned_abs(),
            complete: at(5) % 2 == 0,
            target_duration: at(5).unsigned_abs(),
            position: (at(6) % 3 != 0).then_some(at(6)),
            main: (at(7) % 3 != 0).then(|| place(7)),
            audio: (at(8) % 2 != 0).then(|| place(8)),
            batches: (0..numbers.len() % 5)
                .map(|k| BatchMark {
                    number: at(k).unsigned_abs(),
                    first_segment: at(k + 1).unsigned_abs(),
                    end_segment: at(k + 2).unsigned_abs(),
                    captured_at: at(k + 3),
                    start: at(k + 4),
                    end: at(k + 5),
                    shift: at(k + 6),
                    source: at(k + 7),
                    track: if at(k) % 2 == 0 { Track::Video } else { Track::Audio },
                })
                .collect(),
            segments: (0..numbers.len() % 7)
                .map(|k| SegmentMark {
                    number: at(k).unsigned_abs(),
                    rendition: if at(k) % 2 == 0 { Rendition::Main } else { Rendition::Audio },
                    extension: "ts".to_owned(),
                    init: (at(k) % 2 == 0).then(|| at(k).unsigned_abs()),
                    place: place(k),
                    duration: at(k + 3).unsigned_abs(),
                    discontinuity: at(k) % 3 == 0,
                    bytes: at(k + 4).unsigned_abs(),
                    captured_at: at(k + 5),
                })
                .collect(),
        }
    }

    proptest! {
        #[test]
        fn every_record_comes_back(numbers in prop::collection::vec(any::<i64>(), 0..20)) {
            let record = record(&numbers);
            let text = encode(&record).unwrap();
            prop_assert!(decode(&text).unwrap() == record);
        }

        #[test]
        fn one_changed_bit_is_noticed_or_changes_nothing(
            numbers in prop::collection::vec(any::<i64>(), 0..20),
            at: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            let record = record(&numbers);
            let mut text = encode(&record).unwrap();
            let at = at.index(text.len());
            text[at] ^= 1 << bit;
            // Nothing changes with the line's end, and with hexadecimal digits in upper case.
            prop_assert!(decode(&text).map_or(true, |read| read == record));
        }

        #[test]
        fn anything_else_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode(&bytes).is_err());
            let mut behind = format!("{MAGIC} {VERSION} ").into_bytes();
            behind.extend_from_slice(&bytes);
            prop_assert!(decode(&behind).is_err());
        }
    }

    #[test]
    fn a_journal_cut_anywhere_is_an_error() {
        let text = encode(&record(&[1, 2, 3, 4, 5, 6, 7, 8, 9])).unwrap();
        for length in 0..text.len() - 1 {
            assert!(decode(&text[..length]).is_err(), "{length}");
        }
        // Only the last line's end may be missing.
        assert!(decode(&text[..text.len() - 1]).is_ok());
    }

    #[test]
    fn other_versions_and_wrong_contents_say_what_they_are() {
        let text = String::from_utf8(encode(&record(&[1])).unwrap()).unwrap();
        let other = text.replacen(" 1 ", " 2 ", 1);
        assert_eq!(decode(other.as_bytes()).err(), Some(DecodeError::Version(2)));
        let body = "{\"settings\":{\"secret\":1}}";
        let wrong =
            format!("{MAGIC} 1 crc32 {:08x} bytes {}\n{body}", crc32fast::hash(body.as_bytes()), body.len());
        let error = decode(wrong.as_bytes()).err().unwrap();
        assert!(matches!(error, DecodeError::Content { line: 1, .. }), "{error}");
        assert!(!error.to_string().contains("secret"));
        assert_eq!(decode(&vec![b'a'; MAX_BYTES + 1]).err(), Some(DecodeError::TooLong(MAX_BYTES + 1)));
        assert_eq!(decode(b"").err(), Some(DecodeError::NotAJournal));
    }
}
