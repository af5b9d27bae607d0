//! Client and server over a wire in memory, and what either may meet.

use bytes::{Buf, Bytes};
use proptest::prelude::*;

use super::*;
use crate::amf0::Value;
use crate::chunk::Header;
use crate::flv::{VideoCodec, VideoKind};
use crate::message::{Command, Message};
use crate::{Error, Target, Timestamp};

const URL: &str = "rtmp://h/live/inst/secret?token=1";

struct Pair {
    client: Client,
    server: Server,
    step: usize,
    /// Asked for by the client, in order.
    asked: Vec<ServerEvent>,
}

impl Pair {
    fn new(step: usize) -> Self {
        let client = Client::new(Target::parse(URL).unwrap(), "FMLE/3.0 (compatible; test)").unwrap();
        Self { client, server: Server::new(), step, asked: Vec::new() }
    }

    /// Carries bytes both ways until both are silent; `answer` decides about questions.
    fn run(&mut self, mut answer: impl FnMut(&mut Server)) -> Result<(), Error> {
        loop {
            let up = drain(self.client.output());
            for part in up.chunks(self.step) {
                self.server.receive(part)?;
                while let Some(event) = self.server.event() {
                    if matches!(event, ServerEvent::Connect { .. } | ServerEvent::Publish { .. }) {
                        answer(&mut self.server);
                    }
                    self.asked.push(event);
                }
            }
            let down = drain(self.server.output());
            for part in down.chunks(self.step) {
                self.client.receive(part)?;
            }
            if up.is_empty() && down.is_empty() {
                return Ok(());
            }
        }
    }
}

fn drain(output: &mut crate::chunk::Output) -> Bytes {
    output.copy_to_bytes(output.remaining())
}

fn frame(size: usize) -> Tag {
    let kind = VideoKind::Frame { keyframe: true, composition: 40 };
    Tag::Video(VideoTag { codec: VideoCodec::Avc, kind, data: vec![7; size].into() })
}

#[test]
fn a_stream_is_published_and_ended_however_the_bytes_are_cut() {
    for step in [1, 7, 1000, 100_000] {
        let mut pair = Pair::new(step);
        pair.client.send(Timestamp::ZERO, &frame(1)); // too early: dropped
        pair.run(Server::accept).unwrap();
        assert_eq!(pair.client.state(), ClientState::Publishing);
        let metadata = Metadata { encoder: "test".to_owned(), ..Metadata::default() };
        pair.client.send(Timestamp::ZERO, &Tag::Metadata(metadata.clone()));
        let config = Bytes::from_static(&[0x12, 0x10]);
        pair.client.send(Timestamp::ZERO, &Tag::Audio(AudioTag::AacSequenceHeader(config)));
        pair.client.send(Timestamp::new(u32::MAX), &frame(200_000));
        pair.client.keep_alive();
        pair.client.end();
        pair.run(Server::accept).unwrap();

        let [connect, publish, meta, audio, video, end, rest @ ..] = &pair.asked[..] else { panic!() };
        assert!(matches!(connect, ServerEvent::Connect { app, tc_url, four_ccs, .. }
            if app == "live/inst" && tc_url == "rtmp://h/live/inst" && four_ccs == &crate::flv::FOUR_CCS));
        assert_eq!(*publish, ServerEvent::Publish { key: "secret?token=1".to_owned() });
        assert_eq!(*meta, ServerEvent::Metadata(metadata.to_value()));
        assert!(matches!(audio, ServerEvent::Audio { body, .. } if body[..] == [0xAF, 0, 0x12, 0x10]));
        assert!(matches!(video, ServerEvent::Video { at, body }
            if at.get() == u32::MAX && body.len() == 200_005 && body[..5] == [0x17, 1, 0, 0, 40]));
        assert_eq!(*end, ServerEvent::End);
        // deleteStream after FCUnpublish has already ended it.
        assert_eq!(rest, [ServerEvent::Ignored("deleteStream".to_owned())]);
        assert_eq!(pair.client.state(), ClientState::Ended);
    }
}

#[test]
fn what_the_server_says_after_the_end_changes_nothing() {
    let mut pair = Pair::new(1000);
    let hello = drain(pair.client.output());
    pair.client.end();
    pair.server.receive(&hello).unwrap();
    let answer = drain(pair.server.output());
    pair.client.receive(&answer).unwrap();
    assert_eq!(pair.client.state(), ClientState::Ended);
    assert_eq!(pair.client.output().remaining(), 1536, "C2 and no connect");
}

#[test]
fn a_refusal_carries_the_servers_code_and_words_without_the_key() {
    let mut pair = Pair::new(1000);
    let refused = pair.run(|server| server.refuse("NetConnection.Connect.Rejected", "no such app"));
    let refusal =
        |code: &str, description: &str| Refusal { code: code.into(), description: description.into() };
    assert_eq!(refused, Err(Error::Refused(refusal("NetConnection.Connect.Rejected", "no such app"))));

    let mut pair = Pair::new(1000);
    let refused = pair.run(|server| match server.state() {
        ServerState::PublishAsked => {
            server.refuse("NetStream.Publish.BadName", "secret?token=1 is taken: secret");
        }
        _ => server.accept(),
    });
    let error = Error::Refused(refusal("NetStream.Publish.BadName", "… is taken: …"));
    assert_eq!(refused, Err(error.clone()));
    assert_eq!(error.to_string(), "server refused: NetStream.Publish.BadName: … is taken: …");
    assert_eq!(pair.client.state(), ClientState::Ended);
}

#[test]
fn acknowledgements_count_from_the_start_of_the_connection() {
    let mut pair = Pair::new(100_000);
    pair.run(Server::accept).unwrap();
    pair.client.link.control_message(&Message::WindowAckSize(1000));
    pair.run(Server::accept).unwrap();
    let mut counts = Vec::new();
    let mut sent = 0;
    for _ in 0..3 {
        pair.client.send(Timestamp::ZERO, &frame(1500));
        sent += pair.client.output().remaining();
        pair.run(Server::accept).unwrap();
        while let Some(event) = pair.client.event() {
            if let ClientEvent::Acknowledged(count) = event {
                counts.push(count as usize);
            }
        }
    }
    // The first comes with the window itself.
    let [first, a, b, c] = counts[..] else { panic!("{counts:?}") };
    assert!(first > 3073, "the handshake counts too");
    assert_eq!((c - a, b > a, c), (sent / 3 * 2, true, first + sent));
}

#[test]
fn the_codecs_that_a_server_takes_are_read_from_lists_and_maps_alike() {
    let map = |name, flags| Value::object([(name, Value::Number(flags))]);
    for (answer, takes) in [
        (("fourCcList", Value::StrictArray(vec![Value::Null, Value::string("ac-3")])), true),
        (("fourCcList", Value::StrictArray(vec![Value::string("*")])), true),
        (("audioFourCcInfoMap", map("ac-3", 4.0)), true),
        (("audioFourCcInfoMap", map("ac-3", 0.0)), false),
        (("audioFourCcInfoMap", map("Opus", 4.0)), false),
        (("fourCcList", Value::string("ac-3")), false),
    ] {
        for in_properties in [true, false] {
            let mut pair = Pair::new(1000);
            let (object, args) = match in_properties {
                true => (Value::object([answer.clone()]), vec![]),
                false => (Value::Null, vec![Value::object([answer.clone()])]),
            };
            let hello = drain(pair.client.output());
            pair.server.receive(&hello).unwrap();
            pair.server.link.command(0, Command { object, ..Command::new("_result", 1.0, args) });
            let shaken = drain(pair.server.output());
            pair.client.receive(&shaken).unwrap();
            assert_eq!(pair.client.takes(*b"ac-3"), takes, "{answer:?}");
        }
    }
}

/// A client that has sent `connect`, and what it sent.
fn connecting(how: Connect) -> (Pair, ServerEvent) {
    let mut pair = Pair::new(1000);
    pair.client = Client::with(Target::parse(URL).unwrap(), "test", how).unwrap();
    pair.run(|_| ()).unwrap();
    let [connect] = &pair.asked[..] else { panic!("{:?}", pair.asked) };
    (Pair { asked: Vec::new(), ..pair }, connect.clone())
}

fn answer(pair: &mut Pair, command: Command) -> Result<(), Error> {
    pair.server.link.command(0, command);
    let answer = drain(pair.server.output());
    pair.client.receive(&answer)
}

#[test]
fn a_plain_connect_has_nothing_of_enhanced_rtmp_and_an_answer_stands_behind_the_application() {
    let (_, connect) = connecting(Connect { plain: true, authentication: None });
    assert!(
        matches!(&connect, ServerEvent::Connect { app, four_ccs, .. } if app == "live/inst" && four_ccs.is_empty())
    );
    for (url, app) in
        [("rtmp://h/live/k", "live?authmod=x&user=u"), ("rtmp://h/live?v=1/k", "live?v=1&authmod=x&user=u")]
    {
        let how = Connect { authentication: Some("authmod=x&user=u".to_owned()), ..Connect::default() };
        let mut pair = Pair::new(1000);
        pair.client = Client::with(Target::parse(url).unwrap(), "test", how).unwrap();
        pair.run(|_| ()).unwrap();
        assert!(
            matches!(&pair.asked[0], ServerEvent::Connect { app: got, tc_url, .. }
            if got == app && *tc_url == format!("rtmp://h/{app}")),
            "{:?}",
            pair.asked
        );
    }
}

#[test]
fn a_refused_connect_may_lead_elsewhere_or_ask_who_is_there() {
    let info = |description: &str, more: &[(&str, Value)]| {
        let mut fields = vec![
            ("level".to_owned(), Value::string("error")),
            ("code".to_owned(), Value::string("NetConnection.Connect.Rejected")),
            ("description".to_owned(), Value::string(description)),
        ];
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Value::Object(fields)
    };
    let ex = |to: &str| Value::object([("code", Value::Number(302.0)), ("redirect", Value::string(to))]);
    let refused = |info: Value| {
        let (mut pair, _) = connecting(Connect::default());
        let error = answer(&mut pair, Command::new("_error", 1.0, [info.clone()])).unwrap_err();
        // Some servers say it in a status.
        let (mut pair, _) = connecting(Connect::default());
        assert_eq!(answer(&mut pair, Command::new("onStatus", 0.0, [info])), Err(error.clone()));
        error
    };
    let to = "rtmp://other/live".to_owned();
    assert_eq!(refused(info("Redirect", &[("ex", ex("rtmp://other/live"))])), Error::Redirected { to });
    let challenge = refused(info("[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ", &[]));
    assert!(matches!(&challenge, Error::Challenged(challenge) if challenge.is_first()), "{challenge:?}");
    for (description, more) in [
        ("no", vec![]),
        ("Redirect", vec![("ex", ex(""))]),
        ("[ authmod=adobe ] : ?reason=authfailed", vec![]),
    ] {
        let error = refused(info(description, &more));
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
    }
}

#[test]
fn a_reconnect_request_is_an_event_and_the_session_goes_on() {
    for (tc_url, expected) in
        [(Some("rtmp://other/live"), Some("rtmp://other/live")), (Some(""), None), (None, None)]
    {
        let mut pair = Pair::new(1000);
        pair.run(Server::accept).unwrap();
        let mut info = vec![
            ("level".to_owned(), Value::string("status")),
            ("code".to_owned(), Value::string("NetConnection.Connect.ReconnectRequest")),
        ];
        info.extend(tc_url.map(|url| ("tcUrl".to_owned(), Value::string(url))));
        answer(&mut pair, Command::new("onStatus", 0.0, [Value::Object(info)])).unwrap();
        assert_eq!(pair.client.state(), ClientState::Publishing);
        let events: Vec<_> = std::iter::from_fn(|| pair.client.event()).collect();
        let request = ClientEvent::ReconnectRequest { tc_url: expected.map(str::to_owned) };
        assert!(events.contains(&request), "{events:?}");
    }
}

#[test]
fn answers_with_values_that_nobody_can_read_are_taken() {
    let ok = Value::object([
        ("level", Value::string("status")),
        ("code", Value::string("NetConnection.Connect.Success")),
    ]);
    let (_, whole) = Message::Command(Command::new("_result", 1.0, [ok])).encode();
    let without_end = &whole[..whole.len() - 3];
    for payload in [
        [&whole[..], &[0]].concat(),
        [&whole[..], &[0x0D]].concat(),
        [&whole[..], &[0xFF, 1, 2, 3]].concat(),
        without_end.to_vec(),
        [without_end, &[0, 1, b'x', 0x11, 1]].concat(),
    ] {
        for (kind, before) in
            [(crate::message::kind::COMMAND, &[][..]), (crate::message::kind::COMMAND_AMF3, &[0])]
        {
            let (mut pair, _) = connecting(Connect::default());
            let header = Header { chunk_stream: 3, timestamp: Timestamp::ZERO, kind, stream: 0 };
            pair.server.link.media(header, &[], [before, &payload].concat().into());
            let answer = drain(pair.server.output());
            pair.client.receive(&answer).unwrap();
            assert_eq!(pair.client.state(), ClientState::CreatingStream, "{kind}: {payload:x?}");
        }
    }
}

#[test]
fn pings_go_both_ways_once_media_flows() {
    let mut pair = Pair::new(1000);
    pair.client.ping(1);
    pair.run(Server::accept).unwrap();
    pair.client.ping(77);
    pair.run(Server::accept).unwrap();
    let pongs: Vec<_> = std::iter::from_fn(|| pair.client.event())
        .filter_map(|event| if let ClientEvent::Pong(stamp) = event { Some(stamp) } else { None })
        .collect();
    assert_eq!(pongs, [77]);
}

#[test]
fn a_ping_is_answered_with_its_stamp() {
    let mut pair = Pair::new(1000);
    pair.run(Server::accept).unwrap();
    pair.server.link.control_message(&Message::PingRequest(77));
    let ping = drain(pair.server.output());
    pair.client.receive(&ping).unwrap();
    let pong = drain(pair.client.output());
    assert_eq!(pong[12..], [0, 7, 0, 0, 0, 77]);
}

#[test]
fn a_server_that_pings_and_never_reads_cannot_fill_the_memory() {
    let mut pair = Pair::new(1000);
    pair.run(Server::accept).unwrap();
    pair.server.link.control_message(&Message::PingRequest(1));
    let ping = drain(pair.server.output());
    let many = ping.repeat(1000);
    for _ in 0..400 {
        pair.client.receive(&many).unwrap();
    }
    assert!(pair.client.output().remaining() <= (4 << 20) + 64);
}

#[test]
fn errors_of_optional_calls_are_only_told() {
    let mut pair = Pair::new(1000);
    pair.run(|server| {
        server.accept();
        server.link.command(0, Command::new("_error", 2.0, []));
        server.link.command(0, Command::new("onBWDone", 0.0, []));
    })
    .unwrap();
    assert_eq!(pair.client.state(), ClientState::Publishing);
    let events: Vec<_> = std::iter::from_fn(|| pair.client.event()).collect();
    assert!(events.contains(&ClientEvent::Ignored("onBWDone".to_owned())));
}

#[test]
fn createstream_without_a_number_is_an_error() {
    for number in [Value::Null, Value::Number(f64::NAN), Value::Number(-1.0), Value::Number(1e300)] {
        let mut pair = Pair::new(1000);
        let result = pair.run(|server| {
            server.accept();
            server.link.command(0, Command::new("_result", 4.0, [number.clone()]));
        });
        assert_eq!(result, Err(Error::NoStreamNumber));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn either_side_takes_garbage_without_a_panic(
        garbage in prop::collection::vec(prop_oneof![any::<u8>(), 0..22_u8], 0..500), connected: bool,
    ) {
        let mut pair = Pair::new(10_000);
        if connected {
            pair.run(Server::accept).unwrap();
        }
        let _ = pair.client.receive(&garbage);
        let _ = pair.server.receive(&garbage);
    }
}
