use std::time::Duration;

use super::*;

fn from_json(body: &str) -> Result<StreamSettings, Invalid> {
    Invalid::from_json::<StreamOptions>(body.as_bytes())?.resolve()
}

fn refused(body: &str) -> (String, String) {
    match from_json(body) {
        Ok(settings) => panic!("{body} was accepted as {settings:?}"),
        Err(invalid) => (invalid.field.into_owned(), invalid.reason.into_owned()),
    }
}

const LEAST: &str = r#""sourceUrl":"http://h/a.m3u8","streamId":"a""#;

#[test]
fn two_fields_are_enough_and_the_rest_has_defaults() {
    let settings = from_json(&format!("{{{LEAST}}}")).unwrap();
    assert_eq!(settings.audio_processor_url.as_str(), "http://127.0.0.1:5000/");
    assert_eq!(settings.srs_rtmp_urls[0].as_str(), "rtmp://127.0.0.1/live/a");
    assert_eq!(settings.buffer_duration, Duration::from_secs(30));
    assert_eq!(settings.processing_budget, Duration::from_secs(12));
    assert_eq!(settings.max_concurrent_batches, 3);
    assert_eq!(settings.live_start_segments, 3);
    assert_eq!(settings.fallback, Fallback::Original);
    assert_eq!(settings.artifacts, Artifacts::All);
}

#[test]
fn what_opens_the_source_is_kept_and_never_shown() {
    let settings = from_json(&format!(
        r#"{{{LEAST},"sourceHeaders":{{"X-Token":"opensesame","Referer":"http://p/"}},"sourceUserAgent":"tv",
        "sourceAuth":"Basic user:pa:opensesame","sourceProxy":"http://u:opensesame@proxy:3128",
        "sourceAllowedHosts":["10.0.0.0/8","*.cdn.corp"]}}"#
    ))
    .unwrap();
    assert!(!format!("{settings:?}").contains("opensesame"), "{settings:?}");
    let source = settings.source;
    assert_eq!(source.headers[1], ("x-token".to_owned(), Secret::new("opensesame")));
    let password = Secret::new("pa:opensesame");
    assert_eq!(source.auth, Some(SourceAuth::Basic { user: "user".to_owned(), password }));
    assert_eq!(source.allowed_hosts.len(), 2);
    let none =
        from_json(&format!(r#"{{{LEAST},"sourceProxy":"none","sourceAuth":"bearer a.b=="}}"#)).unwrap();
    assert_eq!(none.source.proxy, SourceProxy::Direct);
    assert_eq!(none.source.auth, Some(SourceAuth::Bearer(Secret::new("a.b=="))));
    let (_, reason) = refused(&format!(r#"{{{LEAST},"sourceAuth":"opensesame"}}"#));
    assert!(!reason.contains("opensesame"));
}

#[test]
fn what_opens_the_processor_is_kept_and_never_shown() {
    let settings = from_json(&format!(
        r#"{{{LEAST},"audioProcessorUrl":"wss://u:opensesame@h/?key=opensesame",
        "audioProcessorAuth":{{"token":"opensesame","tenant":7}},
        "audioProcessorHeaders":{{"X-Key":"opensesame","Authorization":"Bearer opensesame"}},
        "contextFrames":2}}"#
    ))
    .unwrap();
    assert!(!format!("{settings:?}").contains("opensesame"), "{settings:?}");
    assert_eq!(settings.audio_processor_url.to_string(), "wss://h/?…");
    let auth = |access: &ProcessorAccess| access.auth.as_ref().map(|auth| auth.reveal().clone());
    let expected = serde_json::json!({"token": "opensesame", "tenant": 7});
    assert_eq!(auth(&settings.processor), Some(expected.clone()));
    let names: Vec<_> = settings.processor.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "x-key"]);
    assert_eq!(settings.context_frames, 2);

    let text = from_json(&format!(r#"{{{LEAST},"audioProcessorAuth":"opensesame"}}"#)).unwrap();
    assert_eq!(auth(&text.processor), Some(serde_json::json!({"token": "opensesame"})));
    let file = "[stream]\naudioProcessorAuth = { token = \"opensesame\", tenant = 7 }\n";
    assert_eq!(
        ServiceOptions::from_toml(file)
            .unwrap()
            .stream
            .audio_processor_auth
            .map(|auth| auth.reveal().clone()),
        Some(expected.clone())
    );
    let variables = [
        ("OVERDUB_AUDIO_PROCESSOR_AUTH", r#"{"token":"opensesame","tenant":7}"#),
        ("OVERDUB_AUDIO_PROCESSOR_HEADERS", r#"{"X-Key":"opensesame"}"#),
        ("OVERDUB_AUDIO_PROCESSOR_PATH", "/custom"),
        ("OVERDUB_CONTEXT_FRAMES", "3"),
        ("SOURCE_URL", "http://h/a.m3u8"),
        ("STREAM_ID", "a"),
    ];
    let variable = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
    let environment = from_environment(variable).unwrap().stream.resolve().unwrap();
    assert_eq!(auth(&environment.processor), Some(expected));
    assert_eq!((environment.processor.headers.len(), environment.context_frames), (1, 3));
    assert_eq!(environment.processor.path.as_deref(), Some("/custom"));
    let (_, reason) = refused(&format!(r#"{{{LEAST},"audioProcessorAuth":["opensesame"]}}"#));
    assert!(!reason.contains("opensesame"), "{reason}");
}

#[test]
fn what_is_read_of_a_source_is_chosen_by_file_environment_and_request_alike() {
    let settings = from_json(&format!(
        r#"{{{LEAST},"sourceVariant":"720p","sourceMaxHeight":1080,"sourceAudioLanguage":"pt","startOffset":-12.5}}"#
    ))
    .unwrap();
    let expected = SourceChoice {
        variant: Some("720p".to_owned()),
        max_height: Some(1_080),
        audio_language: Some("pt".to_owned()),
        start_offset: Some(-12_500),
        ..SourceChoice::default()
    };
    assert_eq!(settings.choice, expected);
    let variables = [
        ("OVERDUB_SOURCE_VARIANT", "720p"),
        ("OVERDUB_SOURCE_MAX_HEIGHT", "1080"),
        ("OVERDUB_SOURCE_AUDIO_LANGUAGE", "pt"),
        ("OVERDUB_START_OFFSET", "-12.5"),
        ("SOURCE_URL", "http://h/a.m3u8"),
        ("STREAM_ID", "a"),
    ];
    let variable = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
    let environment = from_environment(variable).unwrap().stream.resolve().unwrap();
    assert_eq!(environment.choice, expected);
}

#[test]
fn every_wrong_value_is_reported_under_its_own_name() {
    let cases = [
        (r#"{"streamId":"a"}"#.to_owned(), "sourceUrl"),
        (r#"{"sourceUrl":"http://h/"}"#.to_owned(), "streamId"),
        (r#"{"sourceUrl":7,"streamId":"a"}"#.to_owned(), "sourceUrl"),
        (r#"{"sourceUrl":"ftp://h/","streamId":"a"}"#.to_owned(), "sourceUrl"),
        (r#"{"sourceUrl":"http:///","streamId":"a"}"#.to_owned(), "sourceUrl"),
        (r#"{"sourceUrl":"/etc/passwd","streamId":"a"}"#.to_owned(), "sourceUrl"),
        (r#"{"sourceUrl":"http://h/","streamId":"../x"}"#.to_owned(), "streamId"),
        (format!(r#"{{{LEAST},"audioProcessorUrl":"x"}}"#), "audioProcessorUrl"),
        (format!(r#"{{{LEAST},"srsRtmpUrl":"http://h/a/b"}}"#), "srsRtmpUrl"),
        (format!(r#"{{{LEAST},"srsRtmpUrl":"rtmp://h/"}}"#), "srsRtmpUrl"),
        (format!(r#"{{{LEAST},"srsRtmpUrl":[]}}"#), "srsRtmpUrl"),
        (format!(r#"{{{LEAST},"srsRtmpUrl":["rtmp://h/a/b","rtmp://h/a/b"]}}"#), "srsRtmpUrl"),
        (format!(r#"{{{LEAST},"srsRtmpUrl":5}}"#), "srsRtmpUrl"),
        (format!(r#"{{{LEAST},"bufferDuration":"soon"}}"#), "bufferDuration"),
        (format!(r#"{{{LEAST},"bufferDuration":0}}"#), "bufferDuration"),
        (format!(r#"{{{LEAST},"bufferDuration":-1}}"#), "bufferDuration"),
        (format!(r#"{{{LEAST},"bufferDuration":1e300}}"#), "bufferDuration"),
        (format!(r#"{{{LEAST},"processingBudget":0.5}}"#), "processingBudget"),
        (format!(r#"{{{LEAST},"fallback":"loud"}}"#), "fallback"),
        (format!(r#"{{{LEAST},"maxConcurrentBatches":0}}"#), "maxConcurrentBatches"),
        (format!(r#"{{{LEAST},"maxConcurrentBatches":2.5}}"#), "maxConcurrentBatches"),
        (format!(r#"{{{LEAST},"processorPriming":-1}}"#), "processorPriming"),
        (format!(r#"{{{LEAST},"contextFrames":48}}"#), "contextFrames"),
        (format!(r#"{{{LEAST},"audioProcessorUrl":"ftp://h/"}}"#), "audioProcessorUrl"),
        (format!(r#"{{{LEAST},"audioProcessorAuth":7}}"#), "audioProcessorAuth"),
        (format!(r#"{{{LEAST},"audioProcessorAuth":"{}"}}"#, "x".repeat(20_000)), "audioProcessorAuth"),
        (format!(r#"{{{LEAST},"audioProcessorHeaders":{{"Upgrade":"c"}}}}"#), "audioProcessorHeaders"),
        (format!(r#"{{{LEAST},"audioProcessorHeaders":{{"X":"1","x":"2"}}}}"#), "audioProcessorHeaders"),
        (format!(r#"{{{LEAST},"audioProcessorPath":""}}"#), "audioProcessorPath"),
        (format!(r#"{{{LEAST},"audioProcessorPath":"/a?b=c"}}"#), "audioProcessorPath"),
        (format!(r#"{{{LEAST},"audioProcessorPath":"//h/a"}}"#), "audioProcessorPath"),
        (format!(r#"{{{LEAST},"audioProcessorPath":"/a/../b"}}"#), "audioProcessorPath"),
        (format!(r#"{{{LEAST},"buferDuration":30}}"#), "buferDuration"),
        (format!(r#"{{{LEAST},"sourceHeaders":{{"a b":"c"}}}}"#), "sourceHeaders"),
        (format!(r#"{{{LEAST},"sourceHeaders":{{"Host":"c"}}}}"#), "sourceHeaders"),
        (format!(r#"{{{LEAST},"sourceHeaders":{{"X":"a\r\nB: c"}}}}"#), "sourceHeaders"),
        (format!(r#"{{{LEAST},"sourceHeaders":{{"X":"1","x":"2"}}}}"#), "sourceHeaders"),
        (format!(r#"{{{LEAST},"sourceUserAgent":""}}"#), "sourceUserAgent"),
        (format!(r#"{{{LEAST},"sourceAuth":"basic nobody"}}"#), "sourceAuth"),
        (format!(r#"{{{LEAST},"sourceAuth":"bearer"}}"#), "sourceAuth"),
        (format!(r#"{{{LEAST},"sourceAuth":"digest a:b"}}"#), "sourceAuth"),
        (format!(r#"{{{LEAST},"sourceProxy":"socks5://h"}}"#), "sourceProxy"),
        (format!(r#"{{{LEAST},"sourceVariant":" "}}"#), "sourceVariant"),
        (format!(r#"{{{LEAST},"sourceMaxHeight":0}}"#), "sourceMaxHeight"),
        (format!(r#"{{{LEAST},"sourceMaxBandwidth":-1}}"#), "sourceMaxBandwidth"),
        (format!(r#"{{{LEAST},"sourceAudioName":""}}"#), "sourceAudioName"),
        (format!(r#"{{{LEAST},"sourceAudioPid":15}}"#), "sourceAudioPid"),
        (format!(r#"{{{LEAST},"sourceAudioPid":8191}}"#), "sourceAudioPid"),
        (format!(r#"{{{LEAST},"startOffset":1e9}}"#), "startOffset"),
        (format!(r#"{{{LEAST},"sourceAllowedHosts":["10.0.0.0/40"]}}"#), "sourceAllowedHosts"),
        (format!(r#"{{{LEAST},"slate":""}}"#), "slate"),
        (format!(r#"{{{LEAST},"caFile":""}}"#), "caFile"),
        (format!(r#"{{{LEAST},"srsHttpApi":"rtmp://h"}}"#), "srsHttpApi"),
        (format!(r#"{{{LEAST},"srsHttpApi":["http://h","http://i"]}}"#), "srsHttpApi"),
        (format!(r#"{{{LEAST},"srsHttpApi":"http://h","srsHlsUrl":"{{app}}"}}"#), "srsHlsUrl"),
        (format!(r#"{{{LEAST},"srsKickGhost":"all"}}"#), "srsKickGhost"),
        ("{".to_owned(), ""),
        ("[]".to_owned(), ""),
        (format!("{{{LEAST}}} x"), ""),
        (String::new(), ""),
    ];
    for (body, field) in cases {
        let (found, reason) = refused(&body);
        assert_eq!(found, field, "{body}: {reason}");
        assert!(!reason.is_empty(), "{body}");
    }
}

#[test]
fn a_reason_never_quotes_a_secret_address() {
    let (_, reason) = refused(r#"{"sourceUrl":"ftp://u:secret@h/?token=secret","streamId":"a"}"#);
    assert!(!reason.contains("secret"), "{reason}");
    let (_, reason) = refused(&format!(r#"{{{LEAST},"srsRtmpUrl":"rtmp://u:secret@h:0/secret"}}"#));
    assert!(!reason.contains("secret"), "{reason}");
}

#[test]
fn debug_output_holds_no_secret() {
    let settings = from_json(
        r#"{"sourceUrl":"https://u:topsecret@h/a.m3u8?token=topsecret","streamId":"a",
            "srsRtmpUrl":["rtmp://h/live/topsecret"]}"#,
    )
    .unwrap();
    let shown = format!("{settings:?} {} {}", settings.source_url, settings.srs_rtmp_urls[0]);
    assert!(!shown.contains("topsecret"), "{shown}");
    assert_eq!(settings.source_url.as_str(), "https://u:topsecret@h/a.m3u8?token=topsecret");
}

#[test]
fn one_address_and_a_list_of_one_are_the_same_settings() {
    let one = from_json(&format!(r#"{{{LEAST},"srsRtmpUrl":"rtmp://h/live/{{streamId}}"}}"#)).unwrap();
    let list = from_json(&format!(r#"{{{LEAST},"srsRtmpUrl":["rtmp://h/live/a"],"bufferDuration":30.0}}"#));
    assert_eq!(one, list.unwrap());
}

#[test]
fn durations_are_read_in_seconds_or_with_a_unit() {
    let ms = |text: &str| text.parse::<Span>().map(|span| span.0.as_millis());
    assert_eq!(ms("30"), Ok(30_000));
    assert_eq!(ms("0.5"), Ok(500));
    assert_eq!(ms("100ms"), Ok(100));
    assert_eq!(ms("30s"), Ok(30_000));
    assert_eq!(ms(" 2 m"), Ok(120_000));
    for bad in ["", "s", "-1", "1w", "400d", "1e99", "inf", "NaN", "1 2", "0x10"] {
        assert_eq!(ms(bad), Err(InvalidSpan), "{bad:?}");
    }
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = ServiceOptions::from_toml(
        "port = 1\nstoragePath = '/file'\n[stream]\nbufferDuration = 1.5\nprocessingBudget = '20s'\n",
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let environment = from_environment(|name| {
        let value = match name {
            "OVERDUB_PORT" => "2",
            "PORT" => "3",
            "STORAGE_BASE_PATH" => "/environment",
            "BUFFER_DURATION_SECONDS" => "2",
            "OVERDUB_FALLBACK" => "drop-audio",
            "SRS_RTMP_URL" => "rtmp://h/live/{streamId} rtmp://i/live/x",
            "SOURCE_URL" => "",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let flags = ServiceOptions { storage_path: Some("/flag".into()), ..ServiceOptions::default() };

    let settings = flags.or(environment).or(file).resolve().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.storage_path, std::path::Path::new("/flag"));
    assert_eq!(settings.port, 2);
    assert_eq!(settings.host, "127.0.0.1");
    assert!(settings.autostart.is_none(), "an empty SOURCE_URL starts nothing");
    let request: StreamOptions = Invalid::from_json(format!("{{{LEAST}}}").as_bytes()).unwrap();
    let stream = request.or(settings.stream_defaults).resolve().unwrap();
    assert_eq!(stream.buffer_duration, Duration::from_secs(2));
    assert_eq!(stream.processing_budget, Duration::from_secs(20));
    assert_eq!(stream.fallback, Fallback::DropAudio);
    assert_eq!(stream.srs_rtmp_urls[0].as_str(), "rtmp://h/live/a");
    assert_eq!(stream.srs_rtmp_urls.len(), 2);
}

#[test]
fn a_configured_source_is_started_under_its_name_or_a_default_one() {
    let with = |id: Option<&str>| {
        let options = from_environment(|name| match name {
            "SOURCE_URL" => Some("http://h/a.m3u8".to_owned()),
            "STREAM_ID" => id.map(str::to_owned),
            _ => None,
        });
        options.and_then(ServiceOptions::resolve).map(|settings| settings.autostart.unwrap().stream_id)
    };
    assert_eq!(with(None).unwrap().as_str(), "stream");
    assert_eq!(with(Some("x")).unwrap().as_str(), "x");
    assert_eq!(with(Some("../x")).unwrap_err().field, "streamId");
}

#[test]
fn wrong_variables_and_keys_are_named() {
    let variable = |wrong: &'static str, value: &'static str| {
        let options = from_environment(move |name| (name == wrong).then(|| value.to_owned()));
        options.and_then(ServiceOptions::resolve).map(|_| ()).unwrap_err().field
    };
    assert_eq!(variable("PORT", "70000"), "PORT");
    assert_eq!(variable("BUFFER_DURATION_SECONDS", "long"), "BUFFER_DURATION_SECONDS");
    assert_eq!(variable("OVERDUB_ARTIFACTS", "some"), "OVERDUB_ARTIFACTS");
    assert_eq!(variable("OVERDUB_HOST", "a b"), "host");
    // Wrong as a default, though no stream uses it yet.
    assert_eq!(variable("AUDIO_PROCESSOR_URL", "x"), "audioProcessorUrl");

    let key = |text: &str| ServiceOptions::from_toml(text).map(|_| ()).unwrap_err().field;
    assert_eq!(key("port = 'x'"), "port");
    assert_eq!(key("prot = 1"), "prot");
    assert_eq!(key("[stream]\nfallback = 'x'"), "stream.fallback");
    assert_eq!(key("= 1"), "");
}

#[test]
fn each_output_has_the_srs_that_is_behind_it() {
    let settings = from_json(&format!(
        r#"{{{LEAST},"srsRtmpUrl":["rtmp://s/live/a?token=opensesame","rtmp://t/live?vhost=v/opensesame"],
        "srsHttpApi":["http://u:opensesame@s:1985/","none"]}}"#
    ))
    .unwrap();
    assert_eq!(settings.srs_rtmp_urls[1].target().vhost(), Some("v"));
    let [Some(first), None] = &settings.srs[..] else { panic!("{settings:?}") };
    assert_eq!(first.hls.as_ref().map(HttpUrl::as_str), Some("http://s:8080/live/a.m3u8"));
    assert!(!format!("{settings:?}").contains("opensesame"), "{settings:?}");

    let settings = from_json(&format!(
        r#"{{{LEAST},"srsRtmpUrl":["rtmp://s/live/a","rtmp://t/live/b"],"srsHttpApi":"https://s",
        "srsHlsUrl":"https://cdn/{{stream}}/{{app}}/x.m3u8"}}"#
    ))
    .unwrap();
    let hls =
        |control: &Option<SrsControl>| control.as_ref().unwrap().hls.as_ref().unwrap().as_str().to_owned();
    let hls: Vec<_> = settings.srs.iter().map(hls).collect();
    assert_eq!(hls, ["https://cdn/a/live/x.m3u8", "https://cdn/b/live/x.m3u8"]);
    assert!(from_json(&format!("{{{LEAST}}}")).unwrap().srs.iter().all(Option::is_none));
}
