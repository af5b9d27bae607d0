//! `hls::run` as an HTTP client: whom it asks and what it tells him, keys, caches, proxies.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use crate::origin::{Answer, Ask, Log, live_playlist, segment, segment_number, start, window_of};
use crate::run::{Got, assert_clean, run, settings};
use aes::{Aes128, Aes256};
use axum::body::Bytes;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use overdub::hls::{CryptError, Error, Event, Proxy, Resolved, Resolver, ResolverAnswer, Settings};
use overdub::policy::{Policy, Reach, Refused};
use url::Url;

/// Hosts that say where they are; all of them are on loopback.
#[derive(Debug)]
struct Invented(HashMap<&'static str, [u8; 4]>);

impl Resolver for Invented {
    fn resolve(&self, name: &str) -> ResolverAnswer {
        let found = self
            .0
            .get(name)
            .map(|address| Resolved { address: IpAddr::from(*address), connect: Ipv4Addr::LOCALHOST.into() });
        Box::pin(async move { found.map(|one| vec![one]).ok_or(io::Error::other("no such name")) })
    }
}

/// `url` under the name of `host`, resolved by [`Invented`].
fn as_host(url: &Url, host: &str) -> Settings {
    let mut url = url.clone();
    url.set_host(Some(host)).unwrap();
    let names = [
        ("public.test", [8, 8, 8, 8]),
        ("cdn.test", [9, 9, 9, 9]),
        ("lan.test", [10, 0, 0, 1]),
        ("localhost", [127, 0, 0, 1]),
    ];
    Settings { resolver: Arc::new(Invented(names.into())), ..settings(url) }
}

pub(crate) fn asked(log: &Log, path: &str) -> usize {
    log.lock().unwrap().iter().filter(|(_, asked)| asked == path).count()
}

/// A VOD of the segments at `addresses`, from an origin that answers each path `/seg-N.ts` under any name.
async fn vod_of(addresses: impl Fn(u16) -> Vec<String> + Send + Sync + 'static) -> (Url, Log) {
    start(move |ask| match segment_number(&ask.path) {
        Some(number) if ask.uri.contains("redirect") => {
            Answer::Redirect(format!("http://127.0.0.1:{}/seg-{number}.ts", port(ask)))
        }
        Some(number) => Answer::Body(segment(number)),
        None => {
            let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n".to_owned();
            for address in addresses(port(ask)) {
                text.push_str(&format!("#EXTINF:1,\n{address}\n"));
            }
            Answer::text(text + "#EXT-X-ENDLIST\n")
        }
    })
    .await
}

fn port(ask: &Ask) -> u16 {
    ask.header("host").and_then(|host| host.rsplit(':').next()?.parse().ok()).expect("a port")
}

pub(crate) async fn all(settings: Settings) -> Got {
    let mut run = run(settings);
    let got = run.take(usize::MAX).await;
    run.task.await.unwrap().unwrap();
    got
}

pub(crate) fn sequences(got: &Got) -> Vec<u64> {
    got.segments.iter().map(|segment| segment.media_sequence).collect()
}

/// Public, private by name, loopback by address, in IPv6's dress, behind a redirect, and public again.
fn everywhere(port: u16) -> Vec<String> {
    vec![
        "seg-0.ts".to_owned(),
        format!("http://lan.test:{port}/seg-1.ts"),
        format!("http://127.0.0.1:{port}/seg-2.ts"),
        format!("http://[::ffff:7f00:1]:{port}/seg-3.ts"),
        "seg-4.ts?redirect".to_owned(),
        format!("http://localhost:{port}/seg-5.ts"),
        format!("http://cdn.test:{port}/seg-6.ts"),
        "file:///etc/passwd".to_owned(),
    ]
}

#[tokio::test]
async fn a_public_playlist_leads_to_public_hosts_only() {
    let (url, log) = vod_of(everywhere).await;
    let got = all(as_host(&url, "public.test")).await;
    assert_eq!(sequences(&got), [0, 6]);
    for (sequence, why) in &got.lost {
        let expected =
            if *sequence == 7 { "the scheme is neither http nor https" } else { "is not asked: the host is" };
        assert!(why.contains(expected), "{sequence}: {why}");
    }
    assert_eq!(got.lost.len(), 6);
    for path in ["/seg-1.ts", "/seg-2.ts", "/seg-3.ts", "/seg-5.ts"] {
        assert_eq!(asked(&log, path), 0, "{path}");
    }
    assert_eq!(asked(&log, "/seg-4.ts"), 1, "asked for, and its redirect not followed");
}

#[tokio::test]
async fn a_playlist_of_the_local_network_leads_there_and_farther_but_not_to_this_machine() {
    let (url, _) = vod_of(everywhere).await;
    let got = all(as_host(&url, "lan.test")).await;
    assert_eq!(sequences(&got), [0, 1, 6]);
}

#[tokio::test]
async fn what_the_allow_list_names_is_asked_all_the_same() {
    let (url, _) = vod_of(everywhere).await;
    let allowed = ["lan.test", "127.0.0.0/8"].iter().map(|entry| entry.parse().unwrap()).collect();
    let got = all(Settings { policy: Policy { allowed }, ..as_host(&url, "public.test") }).await;
    assert_eq!(sequences(&got), [0, 1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_public_master_does_not_lead_to_a_private_media_playlist() {
    let (url, log) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => Answer::text(format!(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://lan.test:{}/v.m3u8\n",
            port(ask)
        )),
        path if segment_number(path).is_some() => Answer::Body(segment(0)),
        _ => Answer::text(window_of(0, 1, 1000) + "#EXT-X-ENDLIST\n"),
    })
    .await;
    let error = run(as_host(&url, "public.test")).task.await.unwrap().unwrap_err();
    let nearer = Refused::Nearer { nearer: Reach::Private, from: Reach::Public };
    assert!(matches!(&error, Error::Forbidden { source, .. } if *source == nearer), "{error}");
    assert_eq!(asked(&log, "/v.m3u8"), 0);
    assert_eq!(all(as_host(&url, "lan.test")).await.segments.len(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_origin_takes_headers_along_but_no_secrets() {
    let (url, log) = start(|ask| {
        let own = ask.header("host").is_some_and(|host| host.starts_with("public.test"));
        let opened = ask.header("authorization") == Some("Bearer door");
        let cookie = ask.header("cookie").map(str::to_owned);
        if own != opened || ask.header("x-player") != Some("tv") || ask.header("user-agent") != Some("ua/1") {
            return Answer::Status(410);
        }
        match (segment_number(&ask.path), own) {
            (None, _) => Answer::With(
                200,
                vec![("set-cookie", "session=7; Path=/".to_owned())],
                (window_of(0, 2, 1000) + "#EXT-X-ENDLIST\n").into(),
            ),
            (Some(_), true) if cookie.as_deref() == Some("given=1; session=7") => {
                Answer::Redirect(format!("http://cdn.test:{}{}", port(ask), ask.path))
            }
            (Some(number), false) if cookie.is_none() => Answer::Body(segment(number)),
            _ => Answer::Status(410),
        }
    })
    .await;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers =
        vec![header("Authorization", "Bearer door"), header("X-Player", "tv"), header("Cookie", "given=1")];
    let user_agent = "ua/1".to_owned();
    let got = all(Settings { headers, user_agent, ..as_host(&url, "public.test") }).await;
    assert_eq!(sequences(&got), [0, 1], "{:?}\n{log:?}", got.lost);
}

#[tokio::test]
async fn redirects_without_end_are_a_failure_in_one_line() {
    let (url, log) = start(|ask| Answer::Redirect(format!("/{}", ask.path.len()))).await;
    let error = run(settings(url)).task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    assert!(log.lock().unwrap().len() <= 9 * 12, "nine requests a try");
}

#[tokio::test]
async fn a_playlist_that_did_not_change_is_not_sent_again_and_a_lying_cache_is_seen_through() {
    // Each playlist is tagged by its first segment; from 3 s to 6 s every question is answered with 304.
    let (url, log) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None => {
            let text = live_playlist(ask.at, 1000, 8);
            let tag = format!("\"{}\"", text.len() + usize::try_from(ask.at.as_secs()).unwrap());
            let lying = (3..6).contains(&ask.at.as_secs());
            match ask.header("if-none-match") {
                Some(known) if known == tag || lying => Answer::Status(304),
                _ => Answer::With(200, vec![("etag", tag)], text.into()),
            }
        }
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(10).await;
    assert_clean(&got, &[]);
    assert_eq!(run.status.borrow().retries, 0, "304 is no failure");
    run.stop().await;
    assert!(asked(&log, "/live.m3u8") > 8);
}

#[tokio::test]
async fn everything_goes_through_the_proxy_that_is_set() {
    // The origin is the proxy: it is asked for absolute addresses, of a host that resolves nowhere.
    let (proxy, _) = start(|ask| {
        if !ask.uri.starts_with("http://far.test/") {
            return Answer::Status(410);
        }
        match segment_number(&ask.path) {
            Some(number) => Answer::Body(segment(number)),
            None => Answer::text(window_of(0, 2, 1000) + "#EXT-X-ENDLIST\n"),
        }
    })
    .await;
    let source = Url::parse("http://far.test/live.m3u8").unwrap();
    let got = all(Settings { proxy: Proxy::Url(proxy), ..settings(source) }).await;
    assert_eq!(sequences(&got), [0, 1]);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_announcement_and_by_its_bytes() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(1) => Answer::Body(segment(1).repeat(3).into()),
        Some(2) => Answer::Unmeasured(segment(2).repeat(3).into()),
        Some(number) => Answer::Body(segment(number)),
        None => Answer::text(window_of(0, 4, 1000) + "#EXT-X-ENDLIST\n"),
    })
    .await;
    let got = all(Settings { max_segment_bytes: 2000, ..settings(url) }).await;
    assert_eq!(sequences(&got), [0, 3]);
    assert!(got.lost.iter().all(|(_, why)| why.ends_with("larger than 2000 bytes")), "{:?}", got.lost);
}

#[tokio::test]
async fn a_body_without_a_length_that_ends_within_a_packet_is_fetched_again_once() {
    let (url, log) = start(|ask| match (segment_number(&ask.path), ask.before) {
        (Some(1), 0) => Answer::Unmeasured(segment(1).slice(..700)),
        // The source itself cut this one.
        (Some(2), _) => Answer::Body(segment(2).slice(..700)),
        (Some(number), _) => Answer::Body(segment(number)),
        (None, _) => Answer::text(window_of(0, 4, 1000) + "#EXT-X-ENDLIST\n"),
    })
    .await;
    let got = all(settings(url)).await;
    assert_eq!(sequences(&got), [0, 1, 2, 3]);
    assert_eq!(got.segments[1].data, segment(1));
    assert_eq!(got.segments[2].data.len(), 700);
    assert_eq!((asked(&log, "/seg-1.ts"), asked(&log, "/seg-2.ts")), (2, 2));
}

pub(crate) fn encrypted(key: &[u8], iv: u128, plain: &[u8]) -> Bytes {
    let iv = iv.to_be_bytes();
    match key.len() {
        16 => cbc::Encryptor::<Aes128>::new_from_slices(key, &iv).unwrap().encrypt_padded_vec::<Pkcs7>(plain),
        _ => cbc::Encryptor::<Aes256>::new_from_slices(key, &iv).unwrap().encrypt_padded_vec::<Pkcs7>(plain),
    }
    .into()
}

/// A VOD of `count` segments; `tag(number)` goes before each.
fn tagged(count: u64, tag: impl Fn(u64) -> String) -> Answer {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:40\n".to_owned();
    for number in 40..40 + count {
        text.push_str(&format!("{}#EXTINF:1,\nseg-{number}.ts\n", tag(number)));
    }
    Answer::text(text + "#EXT-X-ENDLIST\n")
}

#[tokio::test]
async fn keys_rotate_and_each_is_fetched_once() {
    // Two segments to a key; even keys have a vector of their own, odd ones take the number; one is AES-256.
    fn key(turn: u64) -> Vec<u8> {
        vec![u8::try_from(turn).unwrap(); if turn == 21 { 32 } else { 16 }]
    }
    let (url, log) = start(|ask| {
        if let Some(turn) = ask.path.strip_prefix("/key-") {
            return Answer::Body(key(turn.parse().unwrap()).into());
        }
        match segment_number(&ask.path) {
            Some(number) if number < 48 => {
                let turn = number / 2;
                let iv = if turn % 2 == 0 { 0xabc } else { number.into() };
                Answer::Body(encrypted(&key(turn), iv, &segment(number)))
            }
            Some(number) => Answer::Body(segment(number)),
            None => tagged(9, |number| match (number / 2, number % 2) {
                (24, _) => "#EXT-X-KEY:METHOD=NONE\n".to_owned(),
                (_, 1) => String::new(),
                (turn, _) => {
                    let method = if turn == 21 { "AES-256" } else { "AES-128" };
                    let iv = if turn % 2 == 0 { ",IV=0xABC" } else { "" };
                    format!("#EXT-X-KEY:METHOD={method},URI=\"key-{turn}\"{iv}\n")
                }
            }),
        }
    })
    .await;
    let got = all(settings(url)).await;
    assert_eq!(sequences(&got), Vec::from_iter(40..49));
    assert_clean(&got, &[]);
    for turn in 20..24 {
        assert_eq!(asked(&log, &format!("/key-{turn}")), 1);
    }
}

#[tokio::test]
async fn a_key_that_changes_under_its_address_or_fails_at_first_is_fetched_again() {
    let (url, log) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/key", _) => match ask.before {
            0 => Answer::Status(503),
            1 => Answer::text("<html>log in first</html>"),
            2 => Answer::Body(vec![1; 16].into()),
            _ => Answer::Body(vec![2; 16].into()),
        },
        (_, Some(number)) => {
            let key = if number < 42 { [1; 16] } else { [2; 16] };
            Answer::Body(encrypted(&key, number.into(), &segment(number)))
        }
        _ => tagged(4, |number| match number {
            40 => "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n".to_owned(),
            _ => String::new(),
        }),
    })
    .await;
    let got = all(settings(url)).await;
    assert_eq!(sequences(&got), [40, 41, 42, 43]);
    assert_clean(&got, &[]);
    assert_eq!(asked(&log, "/key"), 4);
}

#[tokio::test]
async fn a_byte_range_is_decrypted_alone() {
    let parts: Vec<Bytes> =
        (0..3).map(|number| encrypted(&[7; 16], number, &segment(number as u64))).collect();
    let (whole, length) = (Bytes::from(parts.concat()), parts[0].len());
    let (url, _) = start(move |ask| match ask.path.as_str() {
        "/key" => Answer::Body(vec![7; 16].into()),
        // One server in two knows ranges.
        "/all.ts" => {
            match ask.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
                Some((first, last)) if ask.before % 2 == 0 => {
                    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                    let range = format!("bytes {first}-{last}/{}", whole.len());
                    Answer::With(206, vec![("content-range", range)], whole.slice(first..=last))
                }
                _ => Answer::Body(whole.clone()),
            }
        }
        _ => {
            let mut text =
                "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n".to_owned();
            for number in 0..3 {
                text.push_str(&format!(
                    "#EXTINF:1,\n#EXT-X-BYTERANGE:{length}@{}\nall.ts\n",
                    number * length
                ));
            }
            Answer::text(text + "#EXT-X-ENDLIST\n")
        }
    })
    .await;
    let got = all(settings(url)).await;
    assert_clean(&got, &[]);
    assert_eq!(got.segments.len(), 3);
}

#[tokio::test]
async fn what_is_protected_by_drm_is_refused_at_once_by_name() {
    let (url, log) = start(|_| {
        Answer::text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",\
             KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXTINF:1,\nseg-0.ts\n#EXT-X-ENDLIST\n",
        )
    })
    .await;
    let error = run(settings(url)).task.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::Crypt { source: CryptError::Drm { system: "FairPlay", .. }, .. }),
        "{error}"
    );
    assert_eq!(asked(&log, "/seg-0.ts"), 0);
}

#[tokio::test]
async fn an_expired_session_makes_the_master_be_read_at_once() {
    let (url, log) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => {
            Answer::text(format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nv.m3u8?session={}\n", ask.before))
        }
        // Each session lives for 2 s.
        "/v.m3u8" if ask.uri.ends_with(&format!("session={}", ask.at.as_secs() / 2)) => {
            Answer::text(live_playlist(ask.at, 500, 8))
        }
        "/v.m3u8" => Answer::Status(410),
        path => segment_number(path).map_or(Answer::Status(400), |number| Answer::Body(segment(number))),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(12).await;
    assert_clean(&got, &[]);
    // One refusal for each session that expired.
    let refusals = run.status.borrow().retries;
    run.stop().await;
    assert_eq!(refusals, asked(&log, "/live.m3u8") as u64 - 1);
    assert!(Duration::from_secs(2 * refusals) <= Duration::from_secs(8));
}

#[tokio::test]
async fn an_initialization_section_is_decrypted_once_and_its_range_alone() {
    let init = encrypted(&[7; 16], 9, b"the initialization section");
    let length = init.len();
    let file = Bytes::from([&b"before"[..], &init, b"after"].concat());
    let (url, log) = start(move |ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/key", _) => Answer::Body(vec![7; 16].into()),
        ("/init.mp4", _) => Answer::Body(file.clone()),
        // Without a vector of its own a segment takes its number (RFC 8216 5.2), the map never changes.
        (_, Some(number)) => Answer::Body(encrypted(&[7; 16], number.into(), &segment(number))),
        _ => tagged(5, |number| match number {
            40 => format!(
                "#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x9\n\
                 #EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"{length}@6\"\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n"
            ),
            _ => String::new(),
        }),
    })
    .await;
    let got = all(settings(url)).await;
    assert_eq!(sequences(&got), Vec::from_iter(40..45), "{:?}", got.lost);
    assert_clean(&got, &[]);
    assert!(got.segments.iter().all(|s| s.init.as_deref() == Some(b"the initialization section")));
    assert_eq!((asked(&log, "/key"), asked(&log, "/init.mp4")), (1, 1));
}

#[tokio::test]
async fn sound_on_a_public_host_does_not_cut_off_the_pictures_of_the_local_network() {
    let (url, _) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/live.m3u8", _) => Answer::text(format!(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"http://public.test:{}/a.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n",
            port(ask)
        )),
        (_, Some(number)) => Answer::Body(segment(number)),
        _ => Answer::text(window_of(0, 3, 1000) + "#EXT-X-ENDLIST\n"),
    })
    .await;
    let mut run = run(as_host(&url, "lan.test"));
    let mut got = 0;
    while let Some(event) = run.events.recv().await {
        match event {
            Event::Segment(_) => got += 1,
            Event::Lost { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
    assert_eq!(got, 6);
}
