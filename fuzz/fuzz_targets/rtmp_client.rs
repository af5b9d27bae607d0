//! A publishing session with a hostile server: no panic, bounded memory, and no way back from its end.
//!
//! The input is a list of operations: what the server says (well-formed answers in any order, chunks of several
//! streams interleaved and never finished, aborts, giant lengths, deep nesting, plain garbage) and what the
//! publisher does between (tags, keep-alives, writes of any length, the end).
#![no_main]

use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use overdub_fuzz::Control;
use overdub_rtmp::amf0::Value;
use overdub_rtmp::chunk::{Encoder, Header, Output};
use overdub_rtmp::flv::{AudioTag, VideoCodec, VideoKind, VideoTag};
use overdub_rtmp::message::{Command, Message};
use overdub_rtmp::{Client, ClientEvent, ClientState, Metadata, Tag, Target, Timestamp};

/// What acknowledgements and pongs may add to what the publisher itself queued, and one more of each.
const ANSWERS: usize = (4 << 20) + 64;

/// A server of the protocol's letters, not of its spirit.
struct Server {
    encoder: Encoder,
    /// What `Set Chunk Size` said last, where it is kept to.
    said: Vec<u8>,
}

impl Server {
    fn say(&mut self, control: &mut Control<'_>, message: &Message) {
        let (kind, payload) = message.encode();
        let chunk_stream = 2 + control.byte() % 8;
        let timestamp = Timestamp::new(control.u32());
        let header = Header { chunk_stream, timestamp, kind, stream: u32::from(control.byte() & 1) };
        let mut output = Output::default();
        self.encoder.message(header, &[], payload, &mut output);
        self.said.extend_from_slice(&output.copy_to_bytes(output.remaining()));
        if let Message::SetChunkSize(size) = message {
            self.encoder.set_chunk_size(*size as usize);
        }
    }

    /// A type 0 header with any length and the first bytes of a payload that may never go on.
    fn begin(&mut self, control: &mut Control<'_>) {
        self.said.push(2 + control.byte() % 62);
        self.said.extend_from_slice(&[0, 0, control.byte()]);
        self.said.extend_from_slice(&control.u32().to_be_bytes()[1..]);
        self.said.push(control.byte() % 24);
        self.said.extend_from_slice(&[control.byte() & 1, 0, 0, 0]);
        let len = usize::from(control.byte());
        self.said.extend_from_slice(control.take(len));
    }

    /// A type 3 header, and more of a payload.
    fn go_on(&mut self, control: &mut Control<'_>) {
        self.said.push(0xC0 | (2 + control.byte() % 62));
        let len = usize::from(control.byte());
        self.said.extend_from_slice(control.take(len));
    }
}

fn number(control: &mut Control<'_>) -> Value {
    match control.byte() % 6 {
        0 => Value::Number(1.0),
        1 => Value::Number(f64::NAN),
        2 => Value::Number(-1.0),
        3 => Value::Number(f64::from_bits(control.u64())),
        4 => Value::Null,
        _ => Value::Number(f64::from(control.byte())),
    }
}

fn information(control: &mut Control<'_>) -> Value {
    let codes = [
        "NetStream.Publish.Start",
        "NetStream.Publish.BadName",
        "NetConnection.Connect.Closed",
        "secret-key",
        "",
    ];
    let levels = ["status", "error", "warning", ""];
    let code = codes[usize::from(control.byte()) % codes.len()];
    let level = levels[usize::from(control.byte()) % levels.len()];
    let list = Value::StrictArray(vec![Value::string("*"), number(control), Value::string("hvc1")]);
    Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string("about secret-key")),
        ("fourCcList", list),
        ("capsEx", number(control)),
    ])
}

/// Arrays within arrays, deeper than is decoded.
fn nested(depth: u8) -> Value {
    (0..depth).fold(Value::Null, |inner, _| Value::StrictArray(vec![inner]))
}

fn answer(control: &mut Control<'_>) -> Message {
    let command =
        |name: &str, transaction, args: Vec<Value>| Message::Command(Command::new(name, transaction, args));
    match control.byte() % 16 {
        0 => command("_result", 1.0, vec![information(control)]),
        1 => command("_result", 4.0, vec![number(control)]),
        2 | 3 => command("onStatus", 0.0, vec![information(control)]),
        4 => command("_result", f64::from(control.byte() % 9), vec![number(control), information(control)]),
        5 => command("_error", f64::from(control.byte() % 9), vec![information(control)]),
        6 => command("onBWDone", 0.0, vec![nested(control.byte() % 40)]),
        7 => Message::SetChunkSize(control.any_u64() as u32),
        8 => Message::Abort(2 + u32::from(control.byte() % 66)),
        9 => Message::WindowAckSize(control.any_u64() as u32),
        10 => Message::SetPeerBandwidth(control.any_u64() as u32),
        11 => Message::PingRequest(control.u32()),
        12 => Message::Acknowledgement(control.any_u64() as u32),
        13 => Message::StreamBegin(control.u32()),
        14 => Message::Data(vec![Value::string("onMetaData"), nested(control.byte() % 20)]),
        _ => Message::Video(Bytes::copy_from_slice(control.take(16))),
    }
}

fn tag(control: &mut Control<'_>) -> Tag {
    let data = Bytes::from(vec![7; usize::from(control.u16())]);
    match control.byte() % 4 {
        0 => Tag::Metadata(Metadata::default()),
        1 => Tag::Audio(AudioTag::AacFrame(data)),
        2 => Tag::Video(VideoTag { codec: VideoCodec::Avc, kind: VideoKind::SequenceHeader, data }),
        _ => {
            let kind = VideoKind::Frame { keyframe: true, composition: control.u32() as i32 };
            Tag::Video(VideoTag { codec: VideoCodec::Hevc, kind, data })
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut control = Control(data);
    let target = Target::parse("rtmp://h/live/secret-key?token=1").expect("an address");
    let mut client = Client::new(target, "FMLE/3.0 (compatible; fuzz)").expect("a session");
    let mut server = Server { encoder: Encoder::default(), said: Vec::new() };
    if control.byte() & 7 != 0 {
        // S0, S1 and S2 of the simple form (Adobe RTMP 1.0, 5.2): the client checks nothing of S2.
        server.said = vec![0; 1 + 2 * 1536];
        server.said[0] = 3;
    }
    // Bytes that the publisher itself queued and that were not written yet.
    let mut own = 64 << 10;
    let mut ended = false;
    while !control.is_empty() {
        match control.byte() % 12 {
            0..=3 => {
                let message = answer(&mut control);
                server.say(&mut control, &message);
            }
            4 => server.begin(&mut control),
            5 => server.go_on(&mut control),
            6 => {
                let len = usize::from(control.byte());
                server.said.extend_from_slice(control.take(len));
            }
            7 => {
                let before = client.output().remaining();
                let at = Timestamp::new(control.u32());
                let tag = tag(&mut control);
                client.send(at, &tag);
                let queued = client.output().remaining() - before;
                assert!(
                    queued == 0 || client.state() == ClientState::Publishing,
                    "sent in {:?}",
                    client.state()
                );
                own += queued;
            }
            8 => client.keep_alive(),
            9 => {
                let written = client.output().remaining().min(usize::from(control.u16()));
                client.output().advance(written);
            }
            10 => client.end(),
            _ => {
                // More than any one answer at a time, so that a flood of questions costs its bytes only once.
                let times = 1 + usize::from(control.byte());
                let len = server.said.len() * times;
                if len < 1 << 16 {
                    server.said = server.said.repeat(times);
                }
            }
        }
        let size = 1 + usize::from(control.byte()) * 16;
        for piece in std::mem::take(&mut server.said).chunks(size) {
            let failed = client.receive(piece).is_err();
            ended |= failed;
            assert!(!failed || client.state() == ClientState::Ended, "an error that is not the end");
        }
        ended |= client.state() == ClientState::Ended;
        while let Some(event) = client.event() {
            if let ClientEvent::Status(refusal) = event {
                assert!(!refusal.to_string().contains("secret-key"), "the key is in {refusal}");
            }
        }
        let waiting = client.output().remaining();
        assert!(waiting <= own + ANSWERS, "{waiting} bytes wait, {own} of them our own");
        assert!(!ended || client.state() == ClientState::Ended, "back from the end: {:?}", client.state());
    }
});
