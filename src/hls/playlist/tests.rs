use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(super) fn read(text: &str) -> Result<Playlist, Error> {
    parse(text.as_bytes(), &Definitions::default())
}

pub(super) fn media(text: &str) -> Media {
    match read(text) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("{other:?}"),
    }
}

pub(super) fn master(text: &str) -> Master {
    match read(text) {
        Ok(Playlist::Master(master)) => master,
        other => panic!("{other:?}"),
    }
}

pub(super) const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n";

#[test]
fn a_usual_live_playlist_is_read_whole() {
    let media = media(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:41\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:7\n\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000+0100\n#EXTINF:6.006,title, with a comma\na.ts\n\
         #EXT-X-DISCONTINUITY\n#EXTINF:5.5\nb.ts?x=1\n#EXT-X-GAP\n#EXTINF:6,\nc.ts\n",
    );
    assert_eq!((media.media_sequence, media.end(), media.ended), (41, 44, false));
    assert_eq!(media.target_duration, Duration::from_secs(6));
    let [a, b, c] = media.segments.as_slice() else { panic!("{media:?}") };
    assert_eq!(a.program_date_time.as_deref(), Some("2026-01-01T00:00:00.000+0100"));
    assert!(a.duration.abs_diff(Duration::from_millis(6006)) < Duration::from_micros(1));
    assert_eq!((b.sequence, b.uri.as_ref(), b.discontinuity), (42, "b.ts?x=1", true));
    assert_eq!((a.discontinuity_sequence, b.discontinuity_sequence), (7, 8));
    assert_eq!((b.gap, c.gap, c.discontinuity, c.program_date_time.clone()), (false, true, false, None));
}

#[test]
fn what_servers_do_to_a_text_does_not_matter() {
    let plain = media(&format!("{HEAD}#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n"));
    for text in [
        "\u{feff}#EXTM3U\r\n#EXT-X-TARGETDURATION:6\r\n#EXTINF:4,\r\na.ts\r\n#EXT-X-ENDLIST\r\n",
        "\n  #EXTM3U\n#EXT-X-TARGETDURATION:5.2\n#EXTINF: 4.0 ,x\n a.ts \n#EXT-X-ENDLIST",
        "#EXTM3U\n## comment\n#EXT-X-FUTURE:A=\"\n#EXT-X-TARGETDURATION:6\n#EXTINF:4,\n#EXT-X-DATERANGE:ID\na.ts\n#EXT-X-ENDLIST\n",
        "# by the packager\n\\\n#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U x\n#EXT-X-TARGETDURATION:6\n#EXTINF:9,\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\nstray.ts\n",
    ] {
        assert_eq!(media(text), plain, "{text:?}");
    }
    let latin = [HEAD.as_bytes(), b"#EXTINF:4,caf\xe9\na.ts\n#EXT-X-ENDLIST\n"].concat();
    assert_eq!(parse(&latin, &Definitions::default()), Ok(Playlist::Media(plain)));
}

/// Lines that some server sends in place of those of the first list.
#[test]
fn the_same_list_is_read_in_every_dress() {
    let plain = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
                 #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:4,\na.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nb.ts\n";
    let expected = media(plain);
    assert!(expected.numbered && expected.segments[1].discontinuity && expected.segments[1].key.is_some());
    for (what, text) in [
        ("CRLF", plain.replace('\n', "\r\n")),
        ("CR", plain.replace('\n', "\r")),
        ("blank lines", format!("\n\n{}", plain.replace('\n', "\n\n"))),
        ("a mark", format!("\u{feff}{plain}")),
        ("a mark, twice", format!("\u{feff}\u{feff}{plain}")),
        ("a mark behind a blank line", format!("\r\n\u{feff}{plain}")),
        ("lower case", plain.to_ascii_lowercase().replace("uri=", "URI=").replace("method=", "METHOD=")),
        ("mixed case", plain.replace("#EXTINF", "#ExtInf").replace("#EXT-X-KEY", "#EXT-X-Key")),
        ("blanks", plain.replace(':', " : ").replace('\n', " \t\n ")),
        ("no last line end", plain.trim_end().to_owned()),
        ("zeros at the end", format!("{plain}\0\0\0")),
        ("comments", plain.replace('\n', "\n# a comment\n#comment\n")),
        ("unknown tags", plain.replace("#EXTINF", "#EXTVLCOPT:network-caching=1\n#EXT-X-FUTURE\n#EXTINF")),
        ("attributes of other tags", plain.replace("#EXTINF:4,", "#EXTINF:4.000 tvg-id=\"x,y\",title")),
    ] {
        assert_eq!(media(&text), expected, "{what}");
    }
}

#[test]
fn a_target_duration_is_made_up_when_there_is_none() {
    assert_eq!(media("#EXTM3U\n#EXTINF:9.5,\na.ts\n").target_duration, Duration::from_millis(9500));
    assert_eq!(media("#EXTM3U\n#EXTINF:-1,x\na.ts\n").target_duration, Duration::from_secs(1));
}

#[test]
fn a_segment_whose_duration_cannot_be_read_lasts_the_target_duration() {
    let media = media(&format!(
        "{HEAD}#EXTINF:x,\na\n#EXTINF:nan,\nb\n#EXTINF:-1 tvg-id=\"1\",c\nc\n#EXTINF:1e9\nd\n"
    ));
    let seconds: Vec<u64> = media.segments.iter().map(|segment| segment.duration.as_secs()).collect();
    assert_eq!(seconds, [6, 6, 0, 1]);
}

#[test]
fn keys_and_maps_hold_until_the_next_one() {
    let media = media(&format!(
        "{HEAD}#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"700@10\"\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k?a=1,2\",IV=0x01\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"w\",KEYFORMAT=\"urn:x\"\n\
         #EXTINF:1,\na\n#EXTINF:1,\nb\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nc\n"
    ));
    let keys: Vec<_> =
        media.segments.iter().map(|s| s.key.as_deref().and_then(|k| k.uri.as_deref())).collect();
    assert_eq!(keys, [Some("k?a=1,2"), Some("k?a=1,2"), None]);
    assert!(media.segments.iter().all(|segment| segment.map.as_ref().is_some_and(|map| {
        map.uri == "i.mp4" && map.byte_range == Some(ByteRange { offset: 10, length: 700 })
    })));
}

#[test]
fn a_byte_range_without_an_offset_follows_the_one_before() {
    let media = media(&format!(
        "{HEAD}#EXT-X-BYTERANGE:100@50\n#EXTINF:1,\na\n#EXT-X-BYTERANGE:20\n#EXTINF:1,\na\n\
         #EXT-X-BYTERANGE:30\n#EXTINF:1,\nb\n#EXTINF:1,\nb\n#EXT-X-BYTERANGE:7\n#EXTINF:1,\nb\n"
    ));
    let ranges: Vec<_> =
        media.segments.iter().filter_map(|s| s.byte_range.map(|r| (r.offset, r.length))).collect();
    assert_eq!(ranges, [(50, 100), (150, 20), (170, 30), (0, 7)]);
}

#[test]
fn a_delta_update_counts_what_it_leaves_out() {
    let media =
        media(&format!("{HEAD}#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-SKIP:SKIPPED-SEGMENTS=7\n#EXTINF:1,\na\n"));
    assert_eq!((media.media_sequence, media.segments[0].sequence), (107, 107));
}

#[test]
fn variables_are_replaced_from_all_three_sources() {
    let definitions = Definitions {
        imported: BTreeMap::from([("host".to_owned(), "http://h".to_owned())]),
        query: BTreeMap::from([("tok".to_owned(), "t1".to_owned())]),
    };
    let text = format!(
        "{HEAD}#EXT-X-DEFINE:NAME=\"p\",VALUE=\"path\"\n#EXT-X-DEFINE:IMPORT=\"host\"\n\
         #EXT-X-DEFINE:QUERYPARAM=\"tok\"\n#EXTINF:1,\n{{$host}}/{{$p}}/a.ts?t={{$tok}}\n"
    );
    let Ok(Playlist::Media(media)) = parse(text.as_bytes(), &definitions) else { panic!("a playlist") };
    assert_eq!(*media.segments[0].uri, *"http://h/path/a.ts?t=t1");
    let undefined = Error::UndefinedVariable { line: 7, name: "host".into() };
    assert_eq!(read(&text), Err(undefined));
}

#[test]
fn broken_variants_do_not_take_the_good_ones_with_them() {
    let master = master(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=1280000.0,RESOLUTION=bad,FOO\na?x=y\n\
         #EXT-X-STREAM-INF:CODECS=\"avc1.4d401f\",HDCP-LEVEL=WHAT,VIDEO=\"\",RESOLUTION=1280x720\nb\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=5,URI=\"i\"\n#EXT-X-STREAM-INF:BANDWIDTH=9\n",
    );
    let read: Vec<_> = master.variants.iter().map(|v| (v.uri.as_str(), v.bandwidth, v.resolution)).collect();
    assert_eq!(read, [("a?x=y", 1_280_000, None), ("b", 0, Some((1280, 720)))]);
}

#[test]
fn what_is_no_playlist_is_refused_with_the_reason() {
    assert_eq!(read(""), Err(Error::Empty));
    assert_eq!(read(" \r\n "), Err(Error::Empty));
    assert_eq!(read("<!DOCTYPE html>"), Err(Error::Html));
    assert_eq!(read("{\"error\":1}"), Err(Error::NotAPlaylist));
    assert_eq!(read("\u{1}\u{b}\0brotli, perhaps"), Err(Error::Binary));
    assert_eq!(read("#EXTM3U\n"), Err(Error::NoContent));
    assert_eq!(read("#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=5,URI=\"i\"\n"), Err(Error::EmptyMaster));
    assert_eq!(read("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5\n"), Err(Error::EmptyMaster));
    let bad = |line, tag| Err(Error::BadTag { line, tag });
    let huge = format!("{HEAD}#EXT-X-MEDIA-SEQUENCE:99999999999999999999999\n");
    assert_eq!(read(&huge), bad(3, "EXT-X-MEDIA-SEQUENCE"));
    assert_eq!(read(&format!("{HEAD}#EXT-X-BYTERANGE:1@x\n")), bad(3, "EXT-X-BYTERANGE"));
}

#[test]
fn what_other_players_forgive_is_forgiven() {
    for sequence in ["-1", "", "x", "#"] {
        let media = media(&format!("{HEAD}#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXTINF:1,\na\n"));
        assert_eq!((media.media_sequence, media.numbered), (0, false));
    }
    assert_eq!(media("#EXTINF:1,\na\n#EXTINF:1,\nb\n").segments.len(), 2, "no #EXTM3U");
}

#[test]
fn an_address_without_a_duration_is_a_segment_of_the_target_duration() {
    let media = media(&format!(
        "{HEAD}first.ts\n#EXTINF:2,\n#EXTINF:1,\na\nb/c\nJUNK\n<p>a.b</p>\n#EXT-X-ENDLIST\nstray.ts\n#EXTINF:3,\nc\n"
    ));
    let read: Vec<_> =
        media.segments.iter().map(|segment| (segment.uri.as_ref(), segment.duration.as_secs())).collect();
    assert_eq!(read, [("first.ts", 6), ("a", 1), ("b/c", 6), ("c", 3)]);
    assert_eq!((media.media_sequence, media.end()), (0, 4));
}

#[test]
fn what_a_playlist_is_its_own_tags_say() {
    // A tag of master playlists in a media playlist does not make it one.
    assert_eq!(media("#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=NONE\n#EXTINF:1,\na\n").segments.len(), 1);
    let pictures = media("#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-BYTERANGE:5@1\na.ts\n");
    assert!(pictures.iframes_only && pictures.segments.len() == 1);
    assert_eq!(media("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n").end(), 5);
}

#[test]
fn a_key_applies_to_the_maps_after_it_only() {
    let media = media(&format!(
        "{HEAD}#EXT-X-MAP:URI=\"clear.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\na\n\
         #EXT-X-MAP:URI=\"hidden.mp4\"\n#EXTINF:1,\nb\n"
    ));
    let maps: Vec<_> =
        media.segments.iter().filter_map(|s| s.map.as_deref()).map(|m| m.key.is_some()).collect();
    assert_eq!(maps, [false, true]);
    assert!(media.segments.iter().all(|segment| segment.key.is_some()));
}

#[test]
fn cues_and_date_ranges_are_seen_and_parts_are_no_segments() {
    let media = media(&format!(
        "{HEAD}#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-CUE-OUT:DURATION=30\n#EXTINF:1,\na\n\
         #EXT-X-CUE-OUT-CONT:ElapsedTime=1,Duration=30\n#EXTINF:1,\nb\n#EXT-X-CUE-IN\n#EXTINF:1,\nc\n\
         #EXT-X-DATERANGE:ID=\"x\",START-DATE=\"2026-01-01T00:00:00Z\",PLANNED-DURATION=30.5,SCTE35-OUT=0xFC\n\
         #EXT-X-PART:DURATION=0.5,URI=\"p1\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p2\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"r\",LAST-MSN=4\n"
    ));
    let cues: Vec<_> = media.segments.iter().map(|segment| segment.cue).collect();
    let thirty = Some(Duration::from_secs(30));
    assert_eq!(cues, [Some(Cue::Out(thirty)), Some(Cue::Continued), Some(Cue::In)]);
    let [range] = media.date_ranges.as_slice() else { panic!("{media:?}") };
    assert!(range.scte35 && range.duration == Some(Duration::from_millis(30_500)));
    assert_eq!(media.end(), 3);
}

#[test]
fn a_variable_cannot_blow_up_the_text() {
    let long = "x".repeat(4_000);
    let mut text = format!("{HEAD}#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{long}\"\n");
    for _ in 0..2_000 {
        text.push_str("#EXTINF:1,\n{$a}\n");
    }
    let mut doubled = format!("{HEAD}#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"xx\"\n");
    for n in 0..100 {
        doubled.push_str(&format!("#EXT-X-DEFINE:NAME=\"v{}\",VALUE=\"{{$v{n}}}{{$v{n}}}\"\n", n + 1));
    }
    let refused = read(&text);
    assert!(matches!(refused, Err(Error::BadTag { tag: "EXT-X-DEFINE", .. })), "{refused:?}");
    let refused = read(&doubled);
    assert!(matches!(refused, Err(Error::TooLong { what: "the variable", .. })), "{refused:?}");
}

#[test]
fn a_variable_may_be_made_of_others_and_what_is_no_name_stays_as_it_is() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-DEFINE:NAME=\"host\",VALUE=\"h.example\"\n\
         #EXT-X-DEFINE:NAME=\"base\",VALUE=\"https://{$host}/x\"\n#EXTINF:6,\n{$base}/{$}{$a b}.ts?{$host\n",
    );
    assert_eq!(*playlist.segments[0].uri, *"https://h.example/x/{$}{$a b}.ts?{$host");
}

#[test]
fn a_master_playlist_may_say_where_to_begin() {
    let text = "#EXTM3U\n#EXT-X-START:TIME-OFFSET=-12.5,PRECISE=YES\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
    assert_eq!(master(text).start, Some(Start { time_offset: -12.5 }));
}

#[test]
fn renditions_keep_what_a_choice_needs() {
    let master = master(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",LANGUAGE=\"en\",AUTOSELECT=YES,\
         CHANNELS=\"6/JOC\",CHARACTERISTICS=\"public.accessibility.describes-video\",URI=\"a.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\",NAME=\"top\"\nv\n",
    );
    let [audio] = master.audio.as_slice() else { panic!("{master:?}") };
    assert_eq!((audio.channels, audio.autoselect, audio.default), (Some(6), true, false));
    assert!(audio.characteristics.is_some());
    assert_eq!(master.variants[0].name.as_deref(), Some("top"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(lines in prop::collection::vec(line(), 0..20), end in "\\PC{0,8}") {
        let text = format!("#EXTM3U\n{}{end}", lines.concat());
        let _ = read(&text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&[b"#EXTM3U\n#EXTINF:1,\n".as_slice(), &bytes].concat(), &Definitions::default());
    }

    #[test]
    fn every_listed_segment_is_read(durations in prop::collection::vec(0_u32..100_000, 1..50), first: u32) {
        let mut text = format!("{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for (index, millis) in durations.iter().enumerate() {
            text.push_str(&format!("#EXTINF:{}.{:03},t\nhttp://h/{index}.ts\n", millis / 1000, millis % 1000));
        }
        let media = media(&text);
        prop_assert_eq!(media.segments.len(), durations.len());
        for (segment, millis) in media.segments.iter().zip(durations) {
            let error = segment.duration.abs_diff(Duration::from_millis(u64::from(millis)));
            prop_assert!(error < Duration::from_micros(10), "{:?}", segment.duration);
        }
    }
}

/// Lines with the tags of RFC 8216 and values that are nearly right.
fn line() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec![
        "#EXTINF:",
        "#EXT-X-KEY:",
        "#EXT-X-MAP:",
        "#EXT-X-BYTERANGE:",
        "#EXT-X-STREAM-INF:",
        "#EXT-X-MEDIA:",
        "#EXT-X-DEFINE:",
        "#EXT-X-SKIP:",
        "#EXT-X-START:",
        "#EXT-X-PROGRAM-DATE-TIME:",
        "#EXT-X-ENDLIST",
        "#EXT-X-TARGETDURATION:",
        "#EXT-X-MEDIA-SEQUENCE:",
        "#EXT-X-DISCONTINUITY",
        "",
    ]);
    let value = prop_oneof![
        "[0-9@.,-]{0,12}",
        "([A-Z-]{1,8}=(\"[a-z,{$}=]{0,6}\"|[A-Z0-9x.]{0,6}),?){0,4}",
        "\\PC{0,12}",
        prop::sample::select(vec![
            "METHOD=AES-128,URI=\"k\"",
            "URI=\"i\"",
            "BANDWIDTH=1",
            "NAME=\"a\",VALUE=\"{$a}\""
        ])
        .prop_map(str::to_owned),
    ];
    (tag, value, prop::sample::select(vec!["\n", "\r\n", "\r", ""]))
        .prop_map(|(t, v, e)| format!("{t}{v}{e}"))
}
