use proptest::prelude::*;
use serde_json::json;

use super::*;

fn decode(text: &str) -> Result<Option<Packet>, WireError> {
    Decoder::new("").handle_text(text)
}

#[test]
fn the_handshakes_of_node_and_python_are_understood() {
    let node = r#"0{"sid":"3SAcDJ0n4zpLrGC1AAAA","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    let open = Open { heartbeat: Duration::from_secs(45), max_payload: Some(1_000_000) };
    assert_eq!(decode(node), Ok(Some(Packet::Open(open))));
    let without_limit = r#"0{"sid":"x","upgrades":[],"pingInterval":5,"pingTimeout":5}"#;
    let open = Open { heartbeat: MIN_HEARTBEAT, max_payload: None };
    assert_eq!(decode(without_limit), Ok(Some(Packet::Open(open))));
    assert!(matches!(decode("0{}"), Err(WireError::BadOpen(_))));
    let endless = format!(r#"0{{"pingInterval":{},"pingTimeout":1}}"#, u64::MAX);
    assert!(
        matches!(decode(&endless), Ok(Some(Packet::Open(Open { heartbeat, .. }))) if heartbeat == MAX_HEARTBEAT)
    );
}

#[test]
fn control_packets_are_told_apart() {
    assert_eq!(decode("2"), Ok(Some(Packet::Ping)));
    assert_eq!(decode("1"), Ok(Some(Packet::Close)));
    assert_eq!(decode(r#"40{"sid":"x"}"#), Ok(Some(Packet::Connected)));
    for old in ["40", "40/", "40/,", "40/other", "40{}", r#"40/other,{"x":1}"#, "40[", r#"40{"sid":1}"#] {
        assert_eq!(decode(old), Ok(Some(Packet::ConnectedWithoutId)), "{old}");
    }
    assert_eq!(decode(r#"40/other,{"sid":"x"}"#), Ok(Some(Packet::Ignored)));
    assert_eq!(decode("41"), Ok(Some(Packet::Disconnected)));
    assert_eq!(decode(r#"44{"message":"no entry"}"#), Ok(Some(Packet::Refused("no entry".into()))));
    assert_eq!(decode(r#"44"no""#), Ok(Some(Packet::Refused("no".into()))));
    assert_eq!(decode("44"), Ok(Some(Packet::Refused("no reason given".into()))));
    for quiet in ["3", "5", "6", "431[]"] {
        assert_eq!(decode(quiet), Ok(Some(Packet::Ignored)), "{quiet}");
    }
    assert_eq!(decode(""), Err(WireError::NoType));
    assert_eq!(decode("x"), Err(WireError::NoType));
}

#[test]
fn a_binary_event_is_whole_with_its_last_attachment() {
    let mut decoder = Decoder::new("");
    let text = r#"452-["fragment:processed",{"data":{"_placeholder":true,"num":1}}]"#;
    assert_eq!(decoder.handle_text(text), Ok(None));
    // A heartbeat may come between an event and its attachments: it is another protocol layer.
    assert_eq!(decoder.handle_text("2"), Ok(Some(Packet::Ping)));
    assert_eq!(decoder.handle_binary(Bytes::from_static(b"\x1e")), Ok(None));
    let Ok(Some(Packet::Event(event))) = decoder.handle_binary(Bytes::from_static(b"b")) else { panic!() };
    assert_eq!(event.name, "fragment:processed");
    assert_eq!(event.attachments, ["\x1e", "b"]);
    assert_eq!(placeholder(&event.argument["data"]), Some(1));
    assert_eq!(decoder.handle_binary(Bytes::new()), Err(WireError::UnexpectedBinary));
}

#[test]
fn an_event_cut_off_by_another_message_is_dropped_and_the_next_is_whole() {
    let mut decoder = Decoder::new("");
    decoder.handle_text(r#"451-["a",{}]"#).unwrap();
    assert_eq!(decoder.handle_text(r#"42["b"]"#), Err(WireError::CutOff { missing: 1 }));
    assert!(matches!(decoder.handle_text(r#"42["c"]"#), Ok(Some(Packet::Event(e))) if e.name == "c"));
}

#[test]
fn namespaces_are_kept_apart() {
    let mut decoder = Decoder::new("/dub");
    assert_eq!(decoder.handle_text(r#"40/dub,{"sid":"x"}"#), Ok(Some(Packet::Connected)));
    assert_eq!(decoder.handle_text("41/dub"), Ok(Some(Packet::Disconnected)));
    assert_eq!(decoder.handle_text("41"), Ok(Some(Packet::Ignored)));
    let Ok(Some(Packet::Event(event))) = decoder.handle_text(r#"42/dub,17["x",1]"#) else { panic!() };
    assert_eq!((event.ack, event.argument), (Some(17), json!(1)));
    assert_eq!(connect("/dub", None), "40/dub,");
    assert_eq!(connect("", Some(&json!({"token": "t"}))), r#"40{"token":"t"}"#);
    assert_eq!(binary_event("/dub", "[]"), "451-/dub,[]");
    assert_eq!(acknowledgement("", 17), "4317[]");
    assert_eq!(disconnect("/dub"), "41/dub,");
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    assert_eq!(decode(r#"459-["a"]"#), Err(WireError::TooManyAttachments(9)));
    assert_eq!(decode(r#"45["a"]"#), Err(WireError::BadHeader));
    assert_eq!(decode(r#"4599999999999999999999-["a"]"#), Err(WireError::BadHeader));
    assert_eq!(decode(r#"4299999999999999999999["a"]"#), Err(WireError::BadHeader));
    assert!(matches!(decode("42{}"), Err(WireError::BadEvent(_))));
    assert!(matches!(decode("42[1]"), Err(WireError::BadEvent(_))));
    let nested = format!("42{}", "[".repeat(100_000));
    assert!(matches!(decode(&nested), Err(WireError::BadEvent(_))));
    let long = format!("42[\"{}\"]", "x".repeat(MAX_TEXT_BYTES));
    assert_eq!(decode(&long), Err(WireError::TextTooLong(long.len())));
    for other in
        [json!({}), json!({"_placeholder": false, "num": 0}), json!({"_placeholder": true, "num": -1})]
    {
        assert_eq!(placeholder(&other), None, "{other}");
    }
}

#[test]
fn attachments_together_are_bounded() {
    let mut decoder = Decoder::new("");
    decoder.handle_text(r#"452-["a",{}]"#).unwrap();
    let half = Bytes::from(vec![0; MAX_ANSWER_BYTES / 2 + 1]);
    assert_eq!(decoder.handle_binary(half.clone()), Ok(None));
    let total = half.len() * 2;
    assert_eq!(decoder.handle_binary(half), Err(WireError::AttachmentsTooLong(total)));
}

proptest! {
    #[test]
    fn no_text_panics_and_the_decoder_goes_on(texts in prop::collection::vec("[0-9]{0,3}-?[/,\\[\\]\"a-z0-9{}:]{0,24}", 0..8)) {
        let mut decoder = Decoder::new("");
        for text in &texts {
            let _ = decoder.handle_text(text);
            let _ = decoder.handle_binary(Bytes::from_static(b"x"));
        }
        let _ = decoder.handle_text("42[\"x\"]");
        let whole = decoder.handle_text(r#"42["x",{}]"#);
        prop_assert!(matches!(whole, Ok(Some(Packet::Event(_)))));
    }
}
