//! Servers of other manners: what each does was reported by the users of a real one.

use std::time::Duration;

use overdub::media::{Flicks, Packet};
use overdub::playout::Playout;
use overdub::publish::{Opening, Settings, State, Status};
use overdub_rtmp::amf0::Value;
use overdub_rtmp::chunk::Encoder;
use overdub_rtmp::handshake::Handshake;
use overdub_rtmp::message::{Command, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::clip;
use crate::run::{ALONE, Publishing};
use crate::scripted::{Call, Scripted, encode, info};

/// Answers every command as usual.
fn usual(call: &mut Call, message: &Message) {
    if let Message::Command(command) = message {
        call.answer(command);
    }
}

fn short() -> Vec<Packet> {
    clip::packets(&clip::flv(2))
}

fn pictures(packets: &[Packet]) -> usize {
    packets.iter().filter(|packet| packet.is_video()).count()
}

/// Publishes all of `packets` and gives the status at the end.
async fn publish(settings: Settings, packets: Vec<Packet>) -> Status {
    let mut publishing = Publishing::start(settings, packets);
    let connected = publishing.status.wait_for(Status::is_connected);
    tokio::time::timeout(Duration::from_secs(20), connected).await.expect("connected in time").unwrap();
    publishing.play_from(publishing.clock.now());
    let (result, status) = publishing.end().await;
    result.unwrap();
    status
}

fn named<'a>(message: &'a Message, name: &str) -> Option<&'a Command> {
    match message {
        Message::Command(command) if command.name == name => Some(command),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_takes_longer_than_a_connection_is_waited_for_and_called_once() {
    let server = Scripted::start(|call, message| {
        if named(message, "publish").is_some() {
            call.wait(Duration::from_secs(6));
        }
        usual(call, message);
    })
    .await;
    let packets = short();
    let status = publish(Settings::new(server.url()), packets.clone()).await;
    assert_eq!((status.reconnects, status.packets_dropped), (0, 0));
    assert_eq!(server.seen().len(), 1);
    assert_eq!(server.pictures().len(), pictures(&packets));

    let settings = Settings {
        publish_timeout: Duration::from_secs(1),
        give_up: Some(Duration::from_millis(500)),
        ..Settings::new(server.url())
    };
    let error = Publishing::start(settings, packets).end().await.0.unwrap_err().to_string();
    assert!(error.contains("did not answer connect or publish within 1s"), "{error}");
}

/// Eleven seconds at 2 Mbit/s to each: more than any of them had patience for.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_say_nothing_about_a_servers_health() {
    /// What is acknowledged, of the bytes received and those at the last acknowledgement.
    type Rule = fn(u64, u64) -> Option<u64>;
    let _alone = ALONE.lock().await;
    let acknowledge = |rule: Rule| {
        let last = std::sync::Mutex::new(0);
        move |call: &mut Call, message: &Message| {
            usual(call, message);
            let mut last = last.lock().unwrap();
            if let Some(count) = rule(call.received, *last) {
                *last = call.received;
                call.say(Message::Acknowledgement(count as u32));
            }
        }
    };
    let rules: [(&str, Rule); 5] = [
        ("never", |_, _| None),
        ("each 2.5 MB", |received, last| (received - last >= 2_500_000).then_some(received)),
        ("once, early", |received, last| (last == 0 && received > 4_000).then_some(received)),
        ("half a megabyte, then never", |received, last| {
            (received < 500_000 && received - last > 60_000).then_some(received)
        }),
        ("increments", |received, last| (received - last > 100_000).then_some(received - last)),
    ];
    let packets = clip::long(11);
    let mut all = Vec::new();
    for (name, rule) in rules {
        let server = Scripted::start(acknowledge(rule)).await;
        let task = tokio::spawn(publish(Settings::new(server.url()), packets.clone()));
        all.push((name, server, task));
    }
    for (name, server, task) in all {
        let status = task.await.unwrap();
        assert_eq!((status.reconnects, status.packets_dropped, status.last_error), (0, 0, None), "{name}");
        assert_eq!(server.pictures().len(), pictures(&packets), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_noticed_though_its_kernel_lives() {
    let _alone = ALONE.lock().await;
    let server = Scripted::start(|call, message| {
        usual(call, message);
        if call.number == 0 && call.pictures == 50 {
            call.hang();
        }
    })
    .await;
    let mut publishing = Publishing::start(Settings::new(server.url()), clip::long(20));
    publishing.play().await;
    let lost = publishing.status.wait_for(|status| status.last_error.is_some());
    tokio::time::timeout(Duration::from_secs(13), lost).await.expect("noticed").unwrap();
    sleep(Duration::from_secs(2)).await;
    publishing.stop.cancel();
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!(status.reconnects, 1);
    assert!(server.connected()[1].pictures[0].1, "it resumes at a keyframe");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_to_the_last_server_with_the_same_key_and_circles_end() {
    fn away(to: impl Fn() -> String + Send + Sync + 'static) -> impl Fn(&mut Call, &Message) + Send + Sync {
        move |call, message| {
            if let Some(connect) = named(message, "connect") {
                let ex = Value::object([("code", Value::Number(302.0)), ("redirect", Value::String(to()))]);
                call.refuse(connect, "NetConnection.Connect.Rejected", "Redirect", Some(ex));
            }
        }
    }
    let last = Scripted::start(usual).await;
    let middle = format!("rtmp://{}/other", last.address);
    let middle = Scripted::start(away(move || middle.clone())).await;
    let first = format!("rtmp://{}/live", middle.address);
    let first = Scripted::start(away(move || first.clone())).await;
    let packets = short();
    let status = publish(Settings::new(first.url()), packets.clone()).await;
    assert_eq!((status.reconnects, status.last_error), (0, None));
    let seen = &last.connected()[0];
    assert_eq!((seen.connect("app"), seen.key()), (Some(&Value::string("other")), Some("key?token=1")));
    assert_eq!(last.pictures().len(), pictures(&packets));

    // To itself, to each other, and to a server that is always new.
    let to = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let (own, counter) = (to.clone(), std::sync::atomic::AtomicU32::new(0));
    let circle = Scripted::start(away(move || {
        let n = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        format!("{}{n}", own.lock().unwrap())
    }))
    .await;
    *to.lock().unwrap() = format!("rtmp://{}/live", circle.address);
    let settings = Settings { give_up: Some(Duration::from_millis(1)), ..Settings::new(circle.url()) };
    let error = Publishing::start(settings, packets).end().await.0.unwrap_err().to_string();
    assert!(error.contains("in circles"), "{error}");
    assert_eq!(circle.connected().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_answer_a_challenge_and_are_shown_nowhere() {
    let server = Scripted::start(|call, message| {
        let Some(connect) = named(message, "connect") else { return usual(call, message) };
        let app = connect.object.get("app").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut no = |text: &str| call.refuse(connect, "NetConnection.Connect.Rejected", text, None);
        if !app.contains("authmod=adobe&user=me") {
            no("[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ");
        } else if !app.contains("response=") {
            no("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=me&salt=s==&challenge=c&opaque=o");
        } else if !app.contains("&opaque=o") {
            no("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed");
        } else {
            call.answer(connect);
        }
    })
    .await;
    let packets = short();
    let url = server.url().replace("rtmp://", "rtmp://me:secr%C3%A9t@");
    let status = publish(Settings::new(url), packets.clone()).await;
    assert!(status.url.starts_with(&format!("rtmp://{}/", server.address)), "{}", status.url);
    assert_eq!((server.connected().len(), status.reconnects), (3, 0));

    let settings = Settings { give_up: Some(Duration::from_millis(1)), ..Settings::new(server.url()) };
    let error = Publishing::start(settings, packets).end().await.0.unwrap_err().to_string();
    assert!(error.contains("authmod=adobe") && error.contains("user:password@"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_enhanced_rtmp_is_asked_without_it() {
    type Refusal = fn(&mut Call, &Command);
    let refusals: [(&str, Refusal); 2] = [
        ("closes", |call, _| call.close()),
        ("says no", |call, connect| call.refuse(connect, "NetConnection.Connect.Failed", "AMF", None)),
    ];
    for (name, refusal) in refusals {
        let server = Scripted::start(move |call, message| match named(message, "connect") {
            Some(connect) if connect.object.get("fourCcList").is_some() => refusal(call, connect),
            _ => usual(call, message),
        })
        .await;
        let packets = short();
        let status = publish(Settings::new(server.url()), packets.clone()).await;
        assert_eq!((status.reconnects, status.last_error), (0, None), "{name}");
        assert_eq!((server.connected().len(), server.pictures().len()), (2, pictures(&packets)), "{name}");
        let plain = &server.connected()[1];
        assert_eq!((plain.connect("fourCcList"), plain.connect("capsEx")), (None, None));
    }
}

fn reconnect_request(to: Option<String>) -> Message {
    let Value::Object(mut fields) = info("NetConnection.Connect.ReconnectRequest", "maintenance") else {
        unreachable!()
    };
    fields.extend(to.map(|to| ("tcUrl".to_owned(), Value::String(to))));
    Message::Command(Command::new("onStatus", 0.0, [Value::Object(fields)]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_another_connection_loses_no_picture() {
    let _alone = ALONE.lock().await;
    let packets = clip::long(7);
    let other = Scripted::start(usual).await;
    let to = format!("rtmp://{}/live", other.address);
    let asks = move |to: Option<String>, busy: bool| {
        move |call: &mut Call, message: &Message| {
            match named(message, "publish") {
                Some(publish) if busy && call.busy => {
                    return call.refuse(publish, "NetStream.Publish.BadName", "already publishing", None);
                }
                _ => usual(call, message),
            }
            if call.number == 0 && call.pictures == 40 && matches!(message, Message::Video(_)) {
                call.say(reconnect_request(to.clone()));
            }
        }
    };
    // To another server, to the same, and to the same, which takes one publisher of a name at a time.
    let first = Scripted::start(asks(Some(to), false)).await;
    let same = Scripted::start(asks(None, false)).await;
    let busy = Scripted::start(asks(Some("/live".to_owned()), true)).await;
    let mut tasks = Vec::new();
    for server in [&first, &same, &busy] {
        tasks.push(tokio::spawn(publish(Settings::new(server.url()), packets.clone())));
    }
    for task in tasks {
        let status = task.await.unwrap();
        assert_eq!((status.reconnects, status.packets_dropped, status.last_error), (1, 0, None));
    }
    let all = |servers: &[&Scripted]| -> Vec<_> {
        servers.iter().flat_map(|server| server.seen()).filter(|seen| !seen.pictures.is_empty()).collect()
    };
    for (name, connections) in
        [("another", all(&[&first, &other])), ("the same", all(&[&same])), ("busy", all(&[&busy]))]
    {
        let [before, after] = &connections[..] else { panic!("{name}: {}", connections.len()) };
        assert_eq!(before.pictures.len() + after.pictures.len(), pictures(&packets), "{name}");
        assert!(after.pictures[0].1, "{name}: the next connection begins with a keyframe");
        assert!(before.pictures.last() < after.pictures.first(), "{name}: each picture once, in order");
        let sound = packets.len() - pictures(&packets);
        assert_eq!(before.frames.len() + after.frames.len(), sound, "{name}: sound");
        assert_eq!((before.metadata.len(), after.metadata.len()), (1, 1), "{name}");
        assert!(before.command("deleteStream").is_some(), "{name}: the former one is ended properly");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_media_the_server_is_greeted_early_and_asked_to_publish_shortly_before() {
    let server = Scripted::start(usual).await;
    let settings = Settings { opening: Opening::WithMedia, ..Settings::new(server.url()) };
    let packets = short();
    let mut publishing = Publishing::start(settings.clone(), packets.clone());
    // The address is known to be good although nothing is known of the media's time.
    publishing.status.wait_for(|status| status.state == State::Ready).await.unwrap();
    publishing.stop.cancel();
    publishing.end().await.0.unwrap();
    assert_eq!((server.seen().len(), server.connected().len()), (1, 0), "a handshake and nothing else");

    let mut publishing = Publishing::start(settings.clone(), packets.clone());
    publishing.status.wait_for(|status| status.state == State::Ready).await.unwrap();
    let begin = crate::tools::now();
    let late = Duration::from_secs(7);
    publishing.playout.send_replace(Some(Playout::anchored(
        publishing.clock.now(),
        Flicks::ZERO,
        Duration::ZERO,
        late,
    )));
    publishing.status.wait_for(Status::is_connected).await.unwrap();
    let early = late.saturating_sub(begin.elapsed());
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!((status.packets_dropped, status.reconnects), (0, 0));
    assert_eq!(server.pictures().len(), pictures(&packets));
    assert_eq!(server.seen().len(), 2, "published on the connection that was greeted");
    assert!(
        early > Duration::from_secs(4) && early < Duration::from_millis(5500),
        "{early:?} before the media"
    );

    // Where there is no server, that is known at once and not when the media is due.
    let settings = Settings { url: "rtmp://127.0.0.1:9/live/key".to_owned(), ..settings };
    let mut publishing = Publishing::start(settings, packets);
    let failed = publishing.status.wait_for(|status| status.state == State::Waiting);
    tokio::time::timeout(Duration::from_secs(3), failed).await.expect("known early").unwrap();
    publishing.stop.cancel();
    publishing.end().await.0.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_on_silence_is_connected_to_again_and_told_all() {
    // The second is about as long as the wait: closed just before the connection is used, or while it is.
    for patience in [200, 1_000, 1_001, 1_002].map(Duration::from_millis) {
        let server = Scripted::start_with(patience, usual).await;
        let settings = Settings { opening: Opening::WithMedia, ..Settings::new(server.url()) };
        let packets = short();
        let mut publishing = Publishing::start(settings, packets.clone());
        publishing.status.wait_for(|status| status.state == State::Ready).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        publishing.play_from(publishing.clock.now() + Duration::from_secs(1));
        let (result, status) = publishing.end().await;
        result.unwrap();
        assert_eq!(
            (status.packets_dropped, status.reconnects, status.last_error),
            (0, 0, None),
            "{patience:?}"
        );
        let connected = server.connected();
        let last = connected.last().unwrap();
        assert_eq!(last.pictures.len(), pictures(&packets), "{patience:?}");
        assert!(last.connect("fourCcList").is_some(), "{patience:?}: silence says nothing of the fields");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_talks_without_end_before_it_is_asked_is_hung_up_on() {
    /// What two kernels hold of a connection that nobody reads, several times over.
    const FLOOD: usize = 64 << 20;
    let listener = tokio::net::TcpListener::bind(crate::sink::anywhere()).await.unwrap();
    let url = format!("rtmp://{}/live/key", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut handshake, mut input) = (Handshake::server(), Vec::new());
        while !handshake.is_done() {
            assert!(stream.read_buf(&mut input).await.unwrap() > 0);
            let answer = handshake.receive(&mut &*std::mem::take(&mut input)).unwrap();
            stream.write_all(&answer).await.unwrap();
        }
        let talk = Message::Command(Command::new("onBWDone", 0.0, []));
        let mut encoder = Encoder::default();
        let mut said = 0;
        while said < FLOOD {
            let bytes = encode(&mut encoder, &talk, 0);
            if stream.write_all(&bytes).await.is_err() {
                break;
            }
            said += bytes.len();
        }
        said
    });
    let settings = Settings { opening: Opening::WithMedia, ..Settings::new(url) };
    let publishing = Publishing::start(settings, short());
    let said = tokio::time::timeout(Duration::from_secs(10), server).await.expect("hung up on").unwrap();
    assert!(said < FLOOD, "all of {said} bytes were taken");
    publishing.stop.cancel();
    publishing.end().await.0.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_has_what_platforms_look_at_as_measured() {
    let _alone = ALONE.lock().await;
    let server = Scripted::start(usual).await;
    let packets = short();
    let seconds = packets.last().expect("packets").dts.to_secs_f64();
    publish(Settings::new(server.url()), packets.clone()).await;
    let metadata = server.connected()[0].metadata[0].clone();
    let number =
        |name: &str| metadata.get(name).and_then(Value::as_number).unwrap_or_else(|| panic!("{name}"));
    for name in
        ["width", "height", "framerate", "videocodecid", "audiocodecid", "audiosamplerate", "audiosamplesize"]
    {
        assert!(number(name) > 0.0, "{name}: {metadata:?}");
    }
    assert!(metadata.get("encoder").and_then(Value::as_str).is_some_and(|name| name.starts_with("overdub/")));
    for (name, video) in [("videodatarate", true), ("audiodatarate", false)] {
        let of = packets.iter().filter(|packet| packet.is_video() == video);
        let bytes: usize = of.map(|packet| packet.data.len()).sum();
        let (said, measured) = (number(name), bytes as f64 * 8.0 / 1000.0 / seconds);
        assert!((said / measured - 1.0).abs() < 0.3, "{name}: {said} kbit/s said, {measured} sent");
    }
}
