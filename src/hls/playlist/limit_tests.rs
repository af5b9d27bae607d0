//! What a playlist may make of its bytes.

use super::tests::{HEAD, master, media};
use super::*;

/// A window of `count` segments from `first` on, each with its date and an address made by `address`.
fn dvr(first: u64, count: u64, address: impl Fn(u64) -> String) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for number in first..first + count {
        let (day, second) = (1 + number / 43_200, number * 2 % 86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        text += &format!(
            "#EXT-X-PROGRAM-DATE-TIME:2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z\n#EXTINF:2.000,\n{}\n",
            address(number)
        );
    }
    text
}

#[test]
fn a_day_of_two_second_segments_with_signed_addresses_is_read_whole() {
    let signature = "x".repeat(460);
    let text = dvr(7, 43_200, |number| format!("https://cdn.example/live/{number}.ts?sig={signature}"));
    assert!(text.len() <= crate::hls::settings::MAX_PLAYLIST_BYTES, "{}", text.len());
    let media = media(&text);
    assert_eq!((media.media_sequence, media.segments.len(), media.before), (7, 43_200, 0));
    assert_eq!(media.left_out, LeftOut::default());
}

#[test]
fn of_a_window_that_was_read_before_what_is_taken_is_not_kept() {
    let text = dvr(100, 10_000, |number| format!("{number}.ts"));
    for needed in [0, 100, 150, 8_000, 10_090, 1 << 60] {
        let Ok(Playlist::Media(media)) = parse_from(text.as_bytes(), &Definitions::default(), needed) else {
            panic!("a media playlist")
        };
        assert_eq!((media.listed_from(), media.end()), (100, 10_100), "{needed}");
        let first = needed.clamp(100, 10_100 - limits::MIN_KEPT as u64);
        assert_eq!((media.media_sequence, media.segments[0].sequence), (first, first));
        assert_eq!(&*media.segments[0].uri, format!("{first}.ts"));
        assert_eq!(media.left_out, LeftOut::default(), "nothing is lost");
    }
}

#[test]
fn of_a_list_without_end_the_newest_are_kept_and_the_rest_is_counted() {
    let short: String = (0..200_000).map(|n| format!("#EXTINF:2,\n{n}\n")).collect();
    let media = media(&format!("{HEAD}#EXT-X-MEDIA-SEQUENCE:5\n{short}"));
    assert_eq!(media.segments.len(), limits::MAX_SEGMENTS);
    assert_eq!((media.listed_from(), media.end()), (5, 200_005));
    assert_eq!(media.left_out.segments, 200_000 - limits::MAX_SEGMENTS as u64);
    assert_eq!(&*media.segments[limits::MAX_SEGMENTS - 1].uri, "199999");
}

#[test]
fn what_segments_name_is_limited_together() {
    let long = "k".repeat(4_000);
    /// What a segment of this number names, with so much text.
    type Entry = fn(&str, u32) -> String;
    let cases: [(&str, Entry); 3] = [
        ("addresses", |long, n| format!("#EXTINF:2,\n{n}{long}\n")),
        ("keys", |long, n| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{n}{long}\"\n#EXTINF:2,\na\n")),
        ("maps", |long, n| format!("#EXT-X-MAP:URI=\"{n}{long}\"\n#EXTINF:2,\na\n")),
    ];
    for (what, entry) in cases {
        let text: String = (0..10_000).map(|n| entry(&long, n)).collect();
        let media = media(&format!("{HEAD}{text}"));
        let expected = limits::MAX_TEXT / 4_000;
        assert!(
            (expected - 100..=expected).contains(&media.segments.len()),
            "{what}: {}",
            media.segments.len()
        );
        assert_eq!(media.left_out.segments, 10_000 - media.segments.len() as u64, "{what}");
        assert_eq!(media.end(), 10_000, "{what}");
    }
    // One key for all of them is one key.
    let shared: String = (0..10_000).map(|n| format!("#EXTINF:2,\n{n}\n")).collect();
    let media = media(&format!("{HEAD}#EXT-X-KEY:METHOD=AES-128,URI=\"{long}\"\n{shared}"));
    assert_eq!((media.segments.len(), media.left_out.segments), (10_000, 0));
}

#[test]
fn tags_without_end_are_left_out_and_counted() {
    let many = |entry: &dyn Fn(u32) -> String| (0..5_000).map(entry).collect::<String>();
    let ranges = media(&format!("{HEAD}{}{SEGMENT}", many(&|n| format!("#EXT-X-DATERANGE:ID=\"{n}\"\n"))));
    assert_eq!((ranges.date_ranges.len(), ranges.left_out.date_ranges), (limits::MAX_DATE_RANGES, 4_000));
    assert_eq!(ranges.date_ranges[0].id, "4000", "the newest are kept");

    let attributes =
        media(&format!("{HEAD}#EXT-X-DATERANGE:ID=\"a\"{}\n{SEGMENT}", many(&|n| format!(",X-{n}=1"))));
    assert_eq!(attributes.left_out.attributes, 5_001 - limits::MAX_ATTRIBUTES as u64);
    assert_eq!(attributes.date_ranges[0].id, "a");

    let defines = many(&|n| format!("#EXT-X-DEFINE:NAME=\"v{n}\",VALUE=\"{n}\"\n"));
    let defined = media(&format!("{HEAD}{defines}#EXTINF:4,\n{{$v7}}.ts\n"));
    assert_eq!(defined.left_out.variables, 5_000 - limits::MAX_VARIABLES as u64);
    assert_eq!(&*defined.segments[0].uri, "7.ts");

    // Names and values of 4,000 bytes each.
    let big = "x".repeat(4_000);
    let defines: String =
        (100..300).map(|n| format!("#EXT-X-DEFINE:NAME=\"{n}{big}\",VALUE=\"{big}\"\n")).collect();
    let fit = limits::MAX_VARIABLE_BYTES / 8_003;
    assert_eq!(media(&format!("{HEAD}{defines}{SEGMENT}")).left_out.variables, 200 - fit as u64);

    let variants = many(&|n| format!("#EXT-X-STREAM-INF:BANDWIDTH={n},AUDIO=\"a\"\nv{n}.m3u8\n"));
    let audio = many(&|n| format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{n}\",URI=\"a{n}.m3u8\"\n"));
    let listed = master(&format!("#EXTM3U\n{audio}{variants}"));
    assert_eq!((listed.variants.len(), listed.audio.len()), (limits::MAX_VARIANTS, limits::MAX_RENDITIONS));
    let left_out = |kept: usize| 5_000 - kept as u64;
    assert_eq!(listed.left_out.variants, left_out(limits::MAX_VARIANTS));
    assert_eq!(listed.left_out.renditions, left_out(limits::MAX_RENDITIONS));
}

#[test]
fn text_that_is_hardly_a_playlist_is_read_in_one_walk() {
    // None of these takes longer than its length: the test would not end.
    let mega = 1 << 20;
    for filler in [
        "\n",
        "#\n",
        "{$",
        "#EXT-X-KEY:METHOD=AES-128,URI=k\n",
        ",",
        "a=,",
        "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$\n",
    ] {
        let much = filler.repeat(8 * mega / filler.len());
        let text = format!("{HEAD}{SEGMENT}#EXT-X-KEY:METHOD=AES-128,URI=k,X={much}\n#EXTINF:4,\nb.ts\n");
        let media = media(&text);
        assert_eq!(&*media.segments[0].uri, "a.ts", "{filler:?}");
    }
}

/// One segment, so that the list is one of media.
const SEGMENT: &str = "#EXTINF:4,\na.ts\n";
