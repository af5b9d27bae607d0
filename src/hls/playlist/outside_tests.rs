//! What a playlist calls things, and the addresses that it leads to.

use super::tests::{HEAD, master, media, read};
use super::*;
use crate::outside::{MAX_ADDRESS, MAX_NAME};

#[test]
fn names_are_cut_and_visible_and_what_is_used_is_whole_or_refused() {
    let long = "n\u{1b}\u{202e}".repeat(10_000);
    let master = master(&format!(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{long}\",NAME=\"{long}\",LANGUAGE=\"{long}\",\
         CHARACTERISTICS=\"{long}\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"{long}\",AUDIO=\"{long}\",NAME=\"{long}\"\nv.m3u8\n"
    ));
    let media = media(&format!(
        "{HEAD}#EXT-X-KEY:METHOD={long},URI=\"k\",KEYFORMAT=\"{long}\"\n\
         #EXT-X-DATERANGE:ID=\"{long}\",CLASS=\"{long}\",START-DATE=\"\u{7}\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026\u{1b}\n#EXTINF:1,{long}\na\n"
    ));
    let (variant, rendition, range) = (&master.variants[0], &master.audio[0], &media.date_ranges[0]);
    let key = media.segments[0].key.as_deref().unwrap();
    let KeyMethod::Other(method) = &key.method else { panic!("{key:?}") };
    let cut: Vec<&Name> = [&rendition.group, &rendition.name, &range.id, method]
        .into_iter()
        .chain(
            [&rendition.language, &rendition.characteristics, &variant.codecs]
                .map(|name| name.as_ref().unwrap()),
        )
        .chain([&variant.audio, &variant.name, &range.class, &key.format].map(|name| name.as_ref().unwrap()))
        .collect();
    for name in &cut {
        assert!(name.to_ascii_lowercase().starts_with("n<u+001b><u+202e>n"), "{name}");
        assert!(name.chars().count() <= MAX_NAME && name.contains("[cut, was "), "{name}");
    }
    assert_eq!(
        rendition.group,
        **variant.audio.as_ref().unwrap(),
        "a group is found by its name all the same"
    );
    assert_eq!(range.start.as_deref(), Some("<U+0007>"));
    assert_eq!(media.segments[0].program_date_time.as_deref(), Some("2026<U+001B>"));

    let address = "x".repeat(MAX_ADDRESS + 1);
    let refused = |line: &str| match read(&format!("{HEAD}{line}\n#EXTINF:1,\na\n")) {
        Err(error) => error.to_string(),
        Ok(playlist) => panic!("{playlist:?}"),
    };
    let at = |line: usize| format!("line {line}: the address has 4097 bytes, more than 4096");
    assert_eq!(refused(&format!("#EXTINF:1,\n{address}")), at(4));
    assert_eq!(refused(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{address}\"")), at(3));
    assert_eq!(refused(&format!("#EXT-X-MAP:URI=\"{address}\"")), at(3));
    let iv = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x{}", "0".repeat(100));
    assert_eq!(refused(&iv), "line 3: the IV has 102 bytes, more than 64");
    let rendition = format!("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"{address}\"\n");
    let master = format!("{rendition}#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n");
    assert_eq!(read(&master).unwrap_err().to_string(), at(2));
    // A key or an init segment that is in its address is longer than others.
    let init = format!("{HEAD}#EXT-X-MAP:URI=\"data:;base64,{address}\"\n#EXTINF:1,\na\n");
    assert!(read(&init).is_ok());
}
