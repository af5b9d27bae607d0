use super::super::playlist::{Definitions, Playlist, parse};
use super::*;

fn master(text: &str) -> Master {
    match parse(format!("#EXTM3U\n{text}").as_bytes(), &Definitions::default()) {
        Ok(Playlist::Master(master)) => master,
        other => panic!("{other:?}"),
    }
}

const LADDER: &str = "#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS=\"mp4a.40.2\"\naudio.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS=\"hvc1.1.6.L93.B0,mp4a.40.2\",RESOLUTION=1920x1080\nhevc.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=960x540,NAME=\"mid\"\nmiddle.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=1280x720\nhigh.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=1280x720\nbackup.m3u8\n";

fn uris(text: &str, policy: &Policy) -> Vec<String> {
    order(&master(text), policy).into_iter().map(|candidate| candidate.variant.uri).collect()
}

fn first(policy: &Policy) -> String {
    uris(LADDER, policy).remove(0)
}

#[test]
fn the_highest_that_every_output_carries_goes_first_then_its_redundant_stream() {
    let all = uris(LADDER, &Policy::default());
    assert_eq!(all, ["high.m3u8", "backup.m3u8", "middle.m3u8", "hevc.m3u8", "audio.m3u8"]);
    let best = order(&master(LADDER), &Policy::default()).remove(0);
    assert_eq!(describe(&best.variant), "1280x720, 3.0 Mbit/s, avc1.4d401f,mp4a.40.2");
}

#[test]
fn caps_and_explicit_choices_are_kept() {
    let cap = |max_height, max_bandwidth| Policy { max_height, max_bandwidth, ..Policy::default() };
    assert_eq!(first(&cap(Some(540), None)), "middle.m3u8");
    assert_eq!(first(&cap(None, Some(2_500_000))), "middle.m3u8");
    let low =
        "#EXT-X-STREAM-INF:BANDWIDTH=3,RESOLUTION=2x2\na\n#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=2x2\nb\n";
    assert_eq!(uris(low, &cap(Some(1), None))[0], "b", "all are too high: the smallest");
    let pick = |text: &str| first(&Policy { pick: text.parse().unwrap(), ..Policy::default() });
    assert_eq!(pick("highest"), "high.m3u8");
    assert_eq!(pick("lowest"), "middle.m3u8", "of those with a picture");
    assert_eq!(pick("1"), "hevc.m3u8");
    for text in ["mid", "960x540", "540p", "iddle"] {
        assert_eq!(pick(text), "middle.m3u8", "{text}");
    }
    assert_eq!(pick("nothing like it"), "high.m3u8");
}

const SPOKEN: &str = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Described\",LANGUAGE=\"en\",URI=\"d\",DEFAULT=YES,CHARACTERISTICS=\"public.accessibility.describes-video\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Français\",LANGUAGE=\"fr\",URI=\"fr\",AUTOSELECT=YES\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English 5.1\",LANGUAGE=\"en-US\",URI=\"en6\",AUTOSELECT=YES,CHANNELS=\"6\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en-US\",URI=\"en\",AUTOSELECT=YES,CHANNELS=\"2\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"Inside\",LANGUAGE=\"de\",DEFAULT=YES\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"English\",LANGUAGE=\"en\",URI=\"ben\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"a\"\nv1\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"b\"\nv2\n";

fn sound(language: Option<&str>, name: Option<&str>) -> (String, Option<String>) {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let policy = Policy { audio_language: owned(language), audio_name: owned(name), ..Policy::default() };
    let best = order(&master(SPOKEN), &policy).remove(0);
    (best.variant.uri, best.audio.and_then(|audio| audio.uri))
}

#[test]
fn the_sound_is_chosen_by_name_then_language_then_default() {
    let separate = |uri: &str| ("v1".to_owned(), Some(uri.to_owned()));
    assert_eq!(sound(None, None), separate("fr"), "the described one is nobody's default");
    assert_eq!(sound(Some("en"), None), separate("en"), "in stereo");
    assert_eq!(sound(Some("EN-us"), None), separate("en"));
    assert_eq!(sound(Some("en"), Some("english 5.1")), separate("en6"));
    assert_eq!(sound(None, Some("described")), separate("d"));
    assert_eq!(sound(Some("de"), None), ("v2".to_owned(), None), "only the lower variant speaks it, inside");
    assert_eq!(sound(Some("e"), None), separate("fr"), "a language, not the beginning of one");
}

#[test]
fn the_same_variant_is_found_again_under_another_address() {
    let known = order(&master(LADDER), &Policy::default()).remove(1);
    let renewed = LADDER.replace(".m3u8", ".m3u8?token=2");
    let again = order(&master(&renewed), &Policy::default());
    assert_eq!(
        same(&again, &known).map(|index| again[index].variant.uri.as_str()),
        Some("backup.m3u8?token=2")
    );
    let moved = LADDER.replace("backup", "elsewhere");
    let again = order(&master(&moved), &Policy::default());
    assert_eq!(same(&again, &known), Some(0), "its twin");
}

#[test]
fn sound_alone_goes_before_a_picture_that_nothing_carries_and_is_read_once() {
    let text = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=9,CODECS=\"av01.0.05M.08,mp4a.40.2\",AUDIO=\"a\"\nav1.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a.40.2\",AUDIO=\"a\"\nsound.m3u8\n";
    let all = order(&master(text), &Policy::default());
    assert_eq!((all[0].variant.uri.as_str(), &all[0].audio), ("sound.m3u8", &None));
    assert!(all[1].audio.is_some());
}
