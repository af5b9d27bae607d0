//! The events of the processor protocol (DESIGN section 5): what is sent, what comes back. Pure.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::failure::ProcessorError;
use super::wire::{self, Event};
use super::{AnswerError, Request};
use crate::media::StreamId;
use crate::outside::{Name, Text};

/// Largest `metadata` kept with an answer, in bytes of JSON: it goes into the status.
const MAX_METADATA: usize = 4096;

/// One `fragment:data`, without its attachment.
#[derive(Serialize)]
struct FragmentData<'a> {
    fragment: Fragment<'a>,
    data: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fragment<'a> {
    id: String,
    stream_id: &'a str,
    batch_number: u64,
    sequence_number: u64,
    content_type: &'static str,
    size: usize,
    /// Seconds.
    duration: f64,
    /// ISO 8601, when it was sent.
    timestamp: &'a str,
    codec: &'a str,
    sample_rate: u32,
    channels: u16,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    file_name: &'a str,
    file_size: usize,
    duration_ms: i64,
    pts_ms: i64,
    /// Frames at the beginning and at the end that are there for the encoder to settle, and are cut off the answer.
    context_frames_before: usize,
    context_frames_after: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    program_date_time: Option<&'a str>,
}

/// What a processor says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FromProcessor {
    Processed {
        id: Name,
        data: Result<Bytes, AnswerError>,
        metadata: Option<Value>,
    },
    Error {
        id: Name,
        error: ProcessorError,
    },
    Ack,
    Status(Text),
    /// An event that the protocol does not have.
    Other(Name),
}

/// An event without what is needed to tell which fragment it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} without fragment.id")]
pub(super) struct NoFragmentId {
    event: Name,
}

/// The id under which batch `number` goes out.
pub(super) fn fragment_id(stream_id: &StreamId, number: u64) -> String {
    format!("{stream_id}_batch-{number}")
}

/// The batch that `id` names, if it is of this stream and written as [`fragment_id`] writes it.
pub(super) fn batch_number(stream_id: &StreamId, id: &str) -> Option<u64> {
    let number = id.strip_prefix(stream_id.as_str())?.strip_prefix("_batch-")?.parse().ok()?;
    (fragment_id(stream_id, number) == id).then_some(number)
}

/// The text frame that goes before the audio of `request`; `timestamp` is the calendar time, ISO 8601.
pub(super) fn fragment_data(
    namespace: &str,
    stream_id: &StreamId,
    request: &Request,
    timestamp: &str,
) -> Result<String, serde_json::Error> {
    let fragment = Fragment {
        id: fragment_id(stream_id, request.number),
        stream_id: stream_id.as_str(),
        batch_number: request.number,
        sequence_number: request.number,
        content_type: "audio/mp4",
        size: request.audio.len(),
        duration: request.duration.to_secs_f64(),
        timestamp,
        codec: &request.params.codec_string,
        sample_rate: request.params.sample_rate,
        channels: request.params.channels,
        metadata: Metadata {
            file_name: &request.file_name,
            file_size: request.audio.len(),
            duration_ms: request.duration.to_millis(),
            pts_ms: request.pts.to_millis(),
            context_frames_before: request.context.0,
            context_frames_after: request.context.1,
            program_date_time: request.program_date_time.as_deref(),
        },
    };
    let argument = FragmentData { fragment, data: json!({"_placeholder": true, "num": 0}) };
    let json = serde_json::to_string(&("fragment:data", argument))?;
    Ok(wire::binary_event(namespace, &json))
}

/// Reads an event. Only `fragment.id` is needed to match it; everything else in it is untrusted.
pub(super) fn read(event: Event) -> Result<FromProcessor, NoFragmentId> {
    let Event { name, argument, attachments, .. } = event;
    let id = argument.get("fragment").and_then(|fragment| fragment.get("id")).and_then(Value::as_str);
    let id = || id.map(Name::new).ok_or_else(|| NoFragmentId { event: Name::new(&name) });
    match name.as_str() {
        "fragment:processed" => Ok(FromProcessor::Processed {
            id: id()?,
            data: data(&argument, attachments),
            metadata: metadata(&argument),
        }),
        "fragment:error" => Ok(FromProcessor::Error { id: id()?, error: processor_error(&argument) }),
        "fragment:ack" => Ok(FromProcessor::Ack),
        "fragment:status" => Ok(FromProcessor::Status(shown(&argument))),
        _ => Ok(FromProcessor::Other(Name::new(&name))),
    }
}

fn data(argument: &Value, mut attachments: Vec<Bytes>) -> Result<Bytes, AnswerError> {
    let index = argument.get("data").and_then(wire::placeholder).ok_or(AnswerError::NoData)?;
    if index >= attachments.len() {
        return Err(AnswerError::NoData);
    }
    Ok(attachments.swap_remove(index))
}

fn metadata(argument: &Value) -> Option<Value> {
    argument.get("metadata").filter(|m| m.is_object() && m.to_string().len() <= MAX_METADATA).cloned()
}

/// `{fragment, error, code?, details?}`; `error` may also be an object with `message`, `code` and
/// `retryable`, which some processors send.
fn processor_error(argument: &Value) -> ProcessorError {
    let empty = Map::new();
    let of = |key: &str| argument.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let (error, details) = (of("error"), of("details"));
    let message = match argument.get("error") {
        Some(Value::String(text)) => Text::new(text),
        Some(Value::Object(object)) => object.get("message").map_or_else(|| Text::new("no message"), shown),
        _ => Text::new("no message"),
    };
    let code = argument.get("code").or_else(|| error.get("code"));
    let code = code.filter(|code| !code.is_null()).map(|code| Name::new(&shown(code)));
    let retryable = [argument.get("retryable"), error.get("retryable"), details.get("retryable")];
    let retryable = retryable.into_iter().flatten().find_map(Value::as_bool);
    ProcessorError::new(code, message, retryable)
}

/// A value as a short line of text.
fn shown(value: &Value) -> Text {
    match value {
        Value::String(text) => Text::new(text),
        other => Text::of(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::wire::{Decoder, Packet};
    use super::*;
    use crate::media::{AudioParams, Flicks, Moment};

    fn event(name: &str, argument: Value, attachments: &[&'static [u8]]) -> Event {
        let attachments = attachments.iter().map(|a| Bytes::from_static(a)).collect();
        Event { name: name.to_owned(), argument, attachments, ack: None }
    }

    #[test]
    fn fragment_data_has_the_agreed_fields() {
        let request = Request {
            number: 7,
            audio: Bytes::from_static(b"12345"),
            duration: Flicks::from_millis(30_016),
            pts: Flicks::from_millis(1_400),
            context: (1, 2),
            params: Arc::new(AudioParams::plain_aac()),
            program_date_time: Some("2026-01-02T03:04:05Z".to_owned()),
            file_name: "audio.fmp4".to_owned(),
            deadline: Moment::ZERO,
            plays_at: Flicks::ZERO,
        };
        let stream_id = StreamId::new("news").unwrap();
        let text = fragment_data("", &stream_id, &request, "2026-01-02T03:04:06.000Z").unwrap();
        let mut decoder = Decoder::new("");
        assert_eq!(decoder.handle_text(&text), Ok(None));
        let Ok(Some(Packet::Event(event))) = decoder.handle_binary(request.audio) else { panic!() };
        assert_eq!(event.name, "fragment:data");
        let expected = json!({
            "fragment": {
                "id": "news_batch-7", "streamId": "news", "batchNumber": 7, "sequenceNumber": 7,
                "contentType": "audio/mp4", "size": 5, "duration": 30.016,
                "timestamp": "2026-01-02T03:04:06.000Z",
                "codec": "mp4a.40.2", "sampleRate": 48000, "channels": 2,
                "metadata": { "fileName": "audio.fmp4", "fileSize": 5, "durationMs": 30016, "ptsMs": 1400,
                              "contextFramesBefore": 1, "contextFramesAfter": 2,
                              "programDateTime": "2026-01-02T03:04:05Z" },
            },
            "data": { "_placeholder": true, "num": 0 },
        });
        assert_eq!(event.argument, expected);
    }

    #[test]
    fn only_ids_that_we_wrote_are_ours() {
        let stream_id = StreamId::new("a").unwrap();
        assert_eq!(batch_number(&stream_id, &fragment_id(&stream_id, 12)), Some(12));
        for foreign in [
            "b_batch-1",
            "a_batch-",
            "a_batch-01",
            "a_batch-+1",
            "a_batch-1 ",
            "a_batch-99999999999999999999",
            "",
        ] {
            assert_eq!(batch_number(&stream_id, foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn an_answer_is_matched_by_its_id_and_its_data_by_the_placeholder() {
        let argument = json!({
            "fragment": {"id": "a_batch-1"}, "data": {"_placeholder": true, "num": 1},
            "metadata": {"processingTime": 1.5},
        });
        let read_back = read(event("fragment:processed", argument, &[b"x", b"y"])).unwrap();
        let FromProcessor::Processed { id, data, metadata } = read_back else { panic!() };
        assert_eq!((id.as_str(), data), ("a_batch-1", Ok(Bytes::from_static(b"y"))));
        assert_eq!(metadata, Some(json!({"processingTime": 1.5})));
    }

    #[test]
    fn an_answer_without_data_is_an_answer_that_says_so() {
        let id = json!({"id": "a_batch-1"});
        for argument in [
            json!({"fragment": id}),
            json!({"fragment": id, "data": "text"}),
            json!({"fragment": id, "data": {"_placeholder": true, "num": 1}}),
        ] {
            let Ok(FromProcessor::Processed { data, .. }) =
                read(event("fragment:processed", argument, &[b"x"]))
            else {
                panic!()
            };
            assert_eq!(data, Err(AnswerError::NoData));
        }
    }

    #[test]
    fn events_without_an_id_are_refused_and_foreign_ones_named() {
        for argument in [Value::Null, json!([]), json!({"fragment": {"id": 1}}), json!({"fragment": "x"})] {
            assert!(read(event("fragment:processed", argument.clone(), &[])).is_err());
            assert!(read(event("fragment:error", argument, &[])).is_err());
        }
        assert_eq!(read(event("hello\n", Value::Null, &[])), Ok(FromProcessor::Other("hello\n".into())));
    }

    #[test]
    fn errors_are_read_in_all_their_spellings() {
        let error = |argument: Value| match read(event("fragment:error", argument, &[])) {
            Ok(FromProcessor::Error { error, .. }) => error,
            other => panic!("{other:?}"),
        };
        let plain = error(json!({"fragment": {"id": "x"}, "error": "busy", "code": "BUSY"}));
        assert_eq!(plain, ProcessorError::new(Some("BUSY".into()), "busy".into(), None));
        assert!(plain.is_retryable());
        let nested = json!({"message": "m", "code": 503, "retryable": false});
        let nested = error(json!({"fragment": {"id": "x"}, "error": nested}));
        assert_eq!(nested, ProcessorError::new(Some("503".into()), "m".into(), Some(false)));
        assert!(!nested.is_retryable());
        let bare = error(json!({"fragment": {"id": "x"}}));
        assert_eq!(bare, ProcessorError::new(None, "no message".into(), None));
        let hostile = error(json!({"fragment": {"id": "x"}, "error": "\u{1b}[2J".repeat(1000)}));
        assert!(hostile.message.starts_with("<U+001B>[2J<U+001B>") && hostile.message.ends_with("bytes]"));
    }
}
