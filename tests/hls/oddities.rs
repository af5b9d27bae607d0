//! What real servers do that the RFC does not foresee: `hls::run` plays it all the same.

use std::time::Duration;

use aes::Aes128;
use axum::body::Bytes;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};

use crate::http::{all, asked, encrypted, sequences};
use crate::origin::{Answer, live_playlist, segment, segment_number, start, window_of};
use crate::run::{assert_clean, run, settings};

const KEY: [u8; 16] = *b"sixteen bytes...";

/// Four packets are 47 blocks of 16 bytes: SRS adds no padding to these.
fn four_packets(number: u64) -> Bytes {
    segment(number).slice(..4 * 188)
}

fn encrypted_without_padding(number: u64, plain: &[u8]) -> Bytes {
    let cipher = cbc::Encryptor::<Aes128>::new_from_slices(&KEY, &u128::from(number).to_be_bytes()).unwrap();
    cipher.encrypt_padded_vec::<NoPadding>(plain).into()
}

#[tokio::test]
async fn keys_are_read_from_the_address_itself_and_padding_may_be_missing() {
    let base64 = "data:;base64,c2l4dGVlbiBieXRlcy4uLg==";
    let escaped = "data:application/octet-stream,sixteen%20bytes%2E%2E%2e";
    let served = "key.txt";
    let (url, log) = start(move |ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        // Saved with an editor.
        ("/key.txt", _) => Answer::Body([&KEY[..], b"\r\n"].concat().into()),
        (_, Some(number)) if number % 2 == 0 => {
            Answer::Body(encrypted_without_padding(number, &four_packets(number)))
        }
        (_, Some(number)) => Answer::Body(encrypted(&KEY, number.into(), &four_packets(number))),
        _ => {
            let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n".to_owned();
            for (number, uri) in [base64, base64, escaped, escaped, served, served].iter().enumerate() {
                text += &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"\n#EXTINF:1,\nseg-{number}.ts\n");
            }
            Answer::text(text + "#EXT-X-ENDLIST\n")
        }
    })
    .await;
    let got = all(settings(url)).await;
    assert_eq!(sequences(&got), Vec::from_iter(0..6), "{:?}", got.lost);
    for segment in &got.segments {
        assert_eq!(segment.data, four_packets(segment.media_sequence), "{}", segment.media_sequence);
    }
    for number in 0..6 {
        assert_eq!(asked(&log, &format!("/seg-{number}.ts")), 1, "{number}");
    }
    assert_eq!(asked(&log, "/key.txt"), 1);
}

/// Segments of half a second in a window of one and a half; what left it is forgotten.
fn short_window(at: Duration, number: u64) -> bool {
    number >= 3 + u64::try_from(at.as_millis()).unwrap() / 500
}

#[tokio::test]
async fn a_segment_that_cannot_be_decrypted_is_lost_alone_and_soon() {
    const WRONG: u64 = 5;
    let (url, log) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/key", _) => Answer::Body(KEY.to_vec().into()),
        (_, Some(number)) if !short_window(ask.at, number) => Answer::Status(404),
        (_, Some(number)) => {
            let key = if number == WRONG { [1; 16] } else { KEY };
            Answer::Body(encrypted(&key, number.into(), &segment(number)))
        }
        _ => Answer::text(live_playlist(ask.at, 500, 3).replacen(
            "#EXTINF",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n#EXTINF",
            1,
        )),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(8).await;
    assert_clean(&got, &[WRONG]);
    let error = run.status.borrow().last_error.clone().unwrap_or_default();
    assert!(error.contains("decrypts to no media"), "{error}");
    run.stop().await;
    let times = asked(&log, &format!("/seg-{WRONG}.ts"));
    assert!((2..=5).contains(&times), "asked for {times} times");
    // Half a target duration after the next one was there, and what the last attempt takes.
    let behind = got.segments.iter().find(|segment| segment.media_sequence == WRONG + 1).unwrap();
    let next = got.segments.iter().find(|segment| segment.media_sequence == WRONG + 2).unwrap();
    assert!(next.captured_at.saturating_since(behind.captured_at) < Duration::from_millis(1_500));
}

#[tokio::test]
async fn nothing_leaves_the_window_while_a_segment_before_it_is_tried() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(5) => Answer::Status(503),
        Some(number) if short_window(ask.at, number) => Answer::Body(segment(number)),
        Some(_) => Answer::Status(404),
        None => Answer::text(live_playlist(ask.at, 500, 3)),
    })
    .await;
    let mut patient = settings(url);
    patient.segment_life = Duration::from_secs(6);
    let mut run = run(patient);
    let got = run.take(20).await;
    assert_clean(&got, &[5]);
    run.stop().await;
}

/// The number that [`segment`] wrote into a body.
fn number_in(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[4..12].try_into().unwrap())
}

/// The newest segment at `at`, of half a second each; there are `window` of them at the start.
fn newest(at: Duration, window: u64) -> u64 {
    window - 1 + u64::try_from(at.as_millis()).unwrap() / 500
}

/// How a server names its segments, and what it says of their numbers.
struct Naming {
    what: &'static str,
    head: &'static str,
    /// The address of segment `number` in the reading at `at`.
    address: fn(u64, Duration) -> String,
    /// The number of the segment at `uri`, of those up to `newest`.
    number: fn(&str, u64) -> Option<u64>,
}

fn digits_after(uri: &str, mark: &str) -> Option<u64> {
    let digits = uri.split_once(mark)?.1;
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

const NAMINGS: [Naming; 6] = [
    Naming {
        what: "names",
        head: "",
        address: |number, _| format!("n-{number}.ts"),
        number: |uri, _| digits_after(uri, "n-"),
    },
    Naming {
        what: "names that come again",
        head: "",
        address: |number, _| format!("n-{}.ts", number % 8),
        number: |uri, newest| {
            let place = digits_after(uri, "n-")?;
            (newest.saturating_sub(7)..=newest).find(|number| number % 8 == place)
        },
    },
    Naming {
        what: "names with a token that is new with every reading",
        head: "",
        address: |number, at| format!("n-{number}.ts?token={}", at.as_micros()),
        number: |uri, _| digits_after(uri, "n-"),
    },
    Naming {
        what: "a query, and a token in it",
        head: "",
        address: |number, at| format!("get.php?token={}&id={number}", at.as_micros()),
        number: |uri, _| digits_after(uri, "id="),
    },
    Naming {
        what: "a folder that is new with every reading",
        head: "",
        address: |number, at| format!("/{}/n-{number}.ts", at.as_micros()),
        number: |uri, _| digits_after(uri, "n-"),
    },
    Naming {
        what: "a number that stands still",
        head: "#EXT-X-MEDIA-SEQUENCE:1\n",
        address: |number, _| format!("n-{number}.ts"),
        number: |uri, _| digits_after(uri, "n-"),
    },
];

#[tokio::test]
async fn segments_of_a_window_without_numbers_are_told_apart_by_their_addresses() {
    const WINDOW: u64 = 6;
    let follow = NAMINGS.iter().map(|naming| async move {
        let (url, _) = start(move |ask| {
            let newest = newest(ask.at, WINDOW);
            if ask.path.ends_with("m3u8") {
                let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}", naming.head);
                for number in newest + 1 - WINDOW..=newest {
                    text += &format!("#EXTINF:0.500,\n{}\n", (naming.address)(number, ask.at));
                }
                return Answer::text(text);
            }
            match (naming.number)(&ask.uri, newest) {
                Some(number) if number + WINDOW + 2 > newest => Answer::Body(segment(number)),
                _ => Answer::Status(404),
            }
        })
        .await;
        let mut run = run(settings(url));
        let got = run.take(14).await;
        let numbers: Vec<u64> = got.segments.iter().map(|segment| number_in(&segment.data)).collect();
        assert_eq!(numbers, Vec::from_iter(numbers[0]..numbers[0] + 14), "{}: {:?}", naming.what, got.lost);
        assert_eq!(numbers[0], WINDOW - 3, "{}", naming.what);
        let marked = got.segments.iter().filter(|segment| segment.discontinuity).count();
        assert_eq!((marked, got.lost.len()), (0, 0), "{}", naming.what);
        run.stop().await;
    });
    futures_util::future::join_all(follow).await;
}

#[tokio::test]
async fn a_window_that_is_short_for_its_target_duration_is_read_in_time() {
    const WINDOW: u64 = 4;
    let (url, log) = start(|ask| {
        let newest = newest(ask.at, WINDOW);
        match segment_number(&ask.path) {
            Some(number) if number + WINDOW > newest => Answer::Body(segment(number)),
            Some(_) => Answer::Status(404),
            None => {
                let list = window_of(newest + 1 - WINDOW, newest + 1, 500);
                Answer::text(list.replace("DURATION:1\n", "DURATION:10\n"))
            }
        }
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(16).await;
    assert_clean(&got, &[]);
    run.stop().await;
    let readings = asked(&log, "/live.m3u8");
    assert!(readings <= 16, "read {readings} times in 8 s: three times a window are enough");
}

#[tokio::test]
async fn a_playlist_of_type_vod_that_grows_is_read_until_its_end_mark() {
    for kind in ["#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n", ""] {
        let (url, _) = start(move |ask| match segment_number(&ask.path) {
            Some(number) => Answer::Body(segment(number)),
            None => {
                let newest = newest(ask.at, 4).min(9);
                let list = window_of(0, newest + 1, 500).replacen("#EXTINF", &format!("{kind}#EXTINF"), 1);
                let end = if ask.at > Duration::from_millis(3_500) { "#EXT-X-ENDLIST\n" } else { "" };
                Answer::text(list + end)
            }
        })
        .await;
        let got = all(settings(url)).await;
        assert!(got.ended);
        assert_eq!(got.segments.last().map(|segment| segment.media_sequence), Some(9), "{kind}");
        assert_clean(&got, &[]);
    }
}

#[tokio::test]
async fn a_playlist_that_is_only_a_header_at_first_is_waited_for() {
    for header in ["#EXTM3U\n#EXT-X-VERSION:3\n", "#EXTM3U\n", "", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"] {
        let (url, _) = start(move |ask| match segment_number(&ask.path) {
            Some(number) => Answer::Body(segment(number)),
            None if ask.at < Duration::from_millis(1_200) => Answer::text(header),
            None => Answer::text(live_playlist(ask.at, 500, 6)),
        })
        .await;
        let mut run = run(settings(url));
        let got = run.take(4).await;
        assert_clean(&got, &[]);
        run.stop().await;
    }
}

/// The text in a form that no header announces.
fn packed(text: &str) -> [(&'static str, Vec<u8>); 6] {
    use std::io::Read as _;

    use flate2::Compression;
    let read = |mut reader: Box<dyn std::io::Read>| {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        out
    };
    let bytes = text.as_bytes().to_vec();
    let source = || std::io::Cursor::new(bytes.clone());
    let (begin, end) = bytes.split_at(20);
    let gzip = |bytes: &[u8]| {
        read(Box::new(flate2::read::GzEncoder::new(
            std::io::Cursor::new(bytes.to_vec()),
            Compression::best(),
        )))
    };
    let utf16 = |bytes: fn(u16) -> [u8; 2]| {
        std::iter::once('\u{feff}')
            .chain(text.chars())
            .flat_map(move |c| bytes(u16::try_from(u32::from(c)).unwrap()))
    };
    [
        ("gzip", gzip(&bytes)),
        ("two members of gzip", [gzip(begin), gzip(end)].concat()),
        ("zlib", read(Box::new(flate2::read::ZlibEncoder::new(source(), Compression::best())))),
        ("UTF-8 with a mark", [b"\xef\xbb\xbf", bytes.as_slice()].concat()),
        ("UTF-16", utf16(u16::to_le_bytes).collect()),
        ("UTF-16, the large end first", utf16(u16::to_be_bytes).collect()),
    ]
}

#[tokio::test]
async fn a_playlist_that_is_compressed_or_encoded_without_a_word_is_read() {
    let list = window_of(0, 3, 1000) + "#EXT-X-ENDLIST\n";
    for (what, body) in packed(&list) {
        let (url, _) = start(move |ask| match segment_number(&ask.path) {
            Some(number) => Answer::Body(segment(number)),
            None => Answer::Body(body.clone().into()),
        })
        .await;
        let got = all(settings(url)).await;
        assert_eq!(sequences(&got), [0, 1, 2], "{what}");
    }
}

#[tokio::test]
async fn what_a_compressed_playlist_unpacks_to_is_bounded_and_a_damaged_one_is_named() {
    let [(_, gzip), ..] = packed(&(window_of(0, 1, 1000) + &"#\n".repeat(100_000)));
    let cut = Bytes::from(gzip[..gzip.len() / 2].to_vec());
    let (url, _) = start(move |ask| match ask.path.as_str() {
        "/cut.m3u8" => Answer::Body(cut.clone()),
        _ => Answer::Body(gzip.clone().into()),
    })
    .await;
    let mut limited = settings(url.clone());
    limited.max_playlist_bytes = 10_000;
    let error = run(limited).task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("larger than 10000 bytes"), "{error}");
    let error = run(settings(url.join("/cut.m3u8").unwrap())).task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("gzip"), "{error}");
}
