use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::segment::{Muxer, Segment};
use super::segmenter::{Cut, Segmenter};
use super::window::{Run, Window};
use crate::media::{AudioParams, Flicks, Moment, Packet, PacketKind, VideoCodec, VideoParams};
use crate::memory::Meter;
use crate::playout::Playout;

fn ms(millis: i64) -> Flicks {
    Flicks::from_millis(millis)
}

fn video_params(config: &'static [u8]) -> Arc<VideoParams> {
    Arc::new(VideoParams {
        codec: VideoCodec::Avc,
        config: Bytes::from_static(config),
        width: 320,
        height: 240,
        codec_string: "avc1.42c00d".to_owned(),
    })
}

fn audio_params(sample_rate: u32) -> Arc<AudioParams> {
    Arc::new(AudioParams::aac_lc(sample_rate, 2).unwrap())
}

/// A picture each 40 ms from `from` to `to`, of which each `gop`th begins a group.
fn pictures(params: &Arc<VideoParams>, from: i64, to: i64, gop: i64) -> Vec<Packet> {
    (from / 40..to / 40)
        .map(|index| Packet {
            kind: PacketKind::Video { params: Arc::clone(params), random_access: index % gop == 0 },
            dts: ms(index * 40),
            pts: ms(index * 40 + 80),
            duration: ms(40),
            batch: 0,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        })
        .collect()
}

/// Frames on their own grid from `from` to `to`.
fn frames(params: &Arc<AudioParams>, from: i64, to: i64) -> Vec<Packet> {
    let duration = params.frame_duration();
    let times = (0..).map(|k| ms(from) + Flicks::from_samples(k * 1024, params.sample_rate));
    times
        .take_while(|time| *time < ms(to))
        .map(|time| Packet {
            kind: PacketKind::Audio { params: Arc::clone(params) },
            dts: time,
            pts: time,
            duration,
            batch: 0,
            data: Bytes::from_static(&[0x21, 0x10]),
        })
        .collect()
}

fn cuts(mut packets: Vec<Packet>) -> Vec<Cut> {
    packets.sort_by_key(|packet| packet.dts);
    let total = packets.len();
    let mut segmenter = Segmenter::default();
    let mut cuts = Vec::new();
    for packet in packets {
        segmenter.push(packet);
        cuts.extend(std::iter::from_fn(|| segmenter.poll()));
    }
    segmenter.finish();
    cuts.extend(std::iter::from_fn(|| segmenter.poll()));
    let cut: usize = cuts.iter().map(|cut| cut.video.len() + cut.audio.len()).sum();
    assert_eq!(cut, total, "every packet is in one segment");
    for pair in cuts.windows(2) {
        assert!(pair[1].after_hole || pair[0].end == pair[1].start, "segments touch");
    }
    for cut in &cuts {
        assert!(cut.end - cut.start <= ms(6_499), "{:?} to {:?}", cut.start, cut.end);
    }
    cuts
}

fn starts(cuts: &[Cut]) -> Vec<i64> {
    cuts.iter().map(|cut| cut.start.to_millis()).collect()
}

fn both(from: i64, to: i64, gop: i64) -> Vec<Packet> {
    [pictures(&video_params(AVCC), from, to, gop), frames(&audio_params(48_000), from, to)].concat()
}

/// Baseline, 320x240, as x264 writes it, with one SPS and one PPS.
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 9, 0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xe4, 0x40, 1, 0, 4,
    0x68, 0xce, 0x3c, 0x80,
];

#[test]
fn segments_begin_at_the_first_random_access_picture_after_two_seconds() {
    assert_eq!(starts(&cuts(both(0, 9_000, 25))), [0, 2_000, 4_000, 6_000, 8_000]);
    assert_eq!(starts(&cuts(both(0, 12_000, 75))), [0, 3_000, 6_000, 9_000]);
    let cuts = cuts(both(0, 12_000, 125));
    assert_eq!(starts(&cuts), [0, 5_000, 10_000]);
    assert!(cuts.iter().all(|cut| cut.video[0].is_random_access()));
}

#[test]
fn a_long_group_of_pictures_is_cut_inside() {
    assert_eq!(starts(&cuts(both(0, 21_000, 250))), [0, 6_000, 10_000, 16_000, 20_000]);
}

#[test]
fn sound_alone_is_cut_by_time() {
    assert_eq!(starts(&cuts(frames(&audio_params(48_000), 0, 11_000))), [0, 4_000, 8_000]);
}

#[test]
fn pictures_alone_are_cut_too() {
    assert_eq!(starts(&cuts(pictures(&video_params(AVCC), 0, 5_000, 50))), [0, 2_000, 4_000]);
}

#[test]
fn sound_of_another_configuration_begins_a_segment_with_the_picture_near_it() {
    for change in [4_600, 5_000, 5_300] {
        let mut packets = pictures(&video_params(AVCC), 0, 10_000, 125);
        packets.extend(frames(&audio_params(48_000), 0, change));
        packets.extend(frames(&audio_params(44_100), change, 10_000));
        let cuts = cuts(packets);
        assert_eq!(starts(&cuts), [0, 5_000], "{change}");
        for cut in &cuts {
            assert!(cut.audio.iter().all(|packet| packet.kind == cut.audio[0].kind), "{change}");
        }
    }
}

#[test]
fn sound_that_changes_in_mid_group_cuts_there() {
    let mut packets = pictures(&video_params(AVCC), 0, 8_000, 125);
    packets.extend(frames(&audio_params(48_000), 0, 3_000));
    packets.extend(frames(&audio_params(44_100), 3_000, 8_000));
    assert_eq!(starts(&cuts(packets)), [0, 3_000, 5_000]);
}

#[test]
fn a_hole_ends_a_segment_and_the_next_is_marked() {
    let cuts = cuts([both(0, 3_000, 25), both(20_000, 23_000, 25)].concat());
    assert_eq!(starts(&cuts), [0, 2_000, 20_000, 22_000]);
    assert_eq!(cuts.iter().map(|cut| cut.after_hole).collect::<Vec<_>>(), [false, false, true, false]);
    assert!((cuts[1].end - ms(3_000)).abs() < ms(30));
}

#[test]
fn a_picture_that_is_missing_for_long_does_not_hold_the_sound() {
    let mut packets = pictures(&video_params(AVCC), 0, 2_000, 25);
    packets.extend(pictures(&video_params(AVCC), 18_000, 20_000, 25));
    packets.extend(frames(&audio_params(48_000), 0, 20_000));
    let cuts = cuts(packets);
    assert!(cuts.iter().all(|cut| !cut.after_hole));
}

fn segments(packets: Vec<Packet>) -> Vec<Segment> {
    let mut muxer = Muxer::default();
    cuts(packets).into_iter().map(|cut| muxer.mux(&cut).unwrap()).collect()
}

fn text(window: &Window, name: &str) -> String {
    String::from_utf8(window.file(name).unwrap().chunks.concat()).unwrap()
}

/// A playout whose output time zero is due 10 s after the clock's start.
fn playout() -> Playout {
    Playout::anchored(Moment::ZERO, ms(0), Duration::ZERO, Duration::from_secs(10))
}

fn at(seconds: f64) -> Moment {
    Moment::from_start(Duration::from_secs_f64(seconds))
}

#[test]
fn a_segment_is_listed_when_its_last_sample_is_due() {
    let mut window = Window::default();
    for segment in segments(both(0, 6_000, 25)) {
        window.push(segment, Meter::default().part());
    }
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    window.release(playout(), at(12.0), wall);
    assert!(window.file("index.m3u8").is_none());
    assert!(window.file("segment-00000000-0.m4s").is_none(), "not before it is due");
    let next = window.next_release(playout()).unwrap();
    // The sound goes on to the presentation of the next picture, which is 80 ms after its decoding.
    assert!(next > at(12.04) && next < at(12.08), "{next:?}");

    window.release(playout(), at(12.08), wall);
    assert_eq!(
        text(&window, "index.m3u8"),
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"init-00000000-0.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2001-09-09T01:46:37.920Z\n#EXTINF:2.00000,\nsegment-00000000-0.m4s\n"
    );
    assert!(window.file("segment-00000000-0.m4s").is_some() && window.file("init-00000000-0.mp4").is_some());
    for name in [
        "segment-00000000-1.m4s",
        "init-00000000-1.mp4",
        "segment-00000000-0.mp4",
        "segment-0.m4s",
        "segment-00000001-0.m4s",
        "segment-.m4s",
        "",
        "../x",
        "segment--1.m4s",
    ] {
        assert!(window.file(name).is_none(), "{name}");
    }
}

#[test]
fn the_window_moves_and_what_left_it_stays_a_while() {
    let mut window = Window::default();
    for segment in segments(both(0, 100_000, 25)) {
        window.push(segment, Meter::default().part());
    }
    for second in 10..=60 {
        window.release(playout(), at(f64::from(second) + 0.1), SystemTime::UNIX_EPOCH);
    }
    // 50 s were played in 25 segments; 24 s are listed.
    let playlist = text(&window, "index.m3u8");
    assert!(playlist.contains("#EXT-X-MEDIA-SEQUENCE:13\n"), "{playlist}");
    assert_eq!(playlist.matches("#EXTINF").count(), 12);
    assert!(window.file("segment-00000000-12.m4s").is_some(), "dropped just now");
    for second in 61..=85 {
        window.release(playout(), at(f64::from(second)), SystemTime::UNIX_EPOCH);
    }
    assert!(window.file("segment-00000000-4.m4s").is_none(), "dropped more than 30 s ago");
    assert!(window.file("segment-00000000-13.m4s").is_some());
}

#[test]
fn a_change_of_parameters_is_a_discontinuity_with_a_map_of_its_own() {
    let mut other = AVCC.to_vec();
    other[22] = 0x3d;
    let mut packets = pictures(&video_params(AVCC), 0, 4_000, 25);
    packets.extend(pictures(&video_params(other.leak()), 4_000, 60_000, 25));
    let mut window = Window::default();
    for segment in segments(packets) {
        window.push(segment, Meter::default().part());
    }
    window.release(playout(), at(18.0), SystemTime::UNIX_EPOCH);
    let playlist = text(&window, "index.m3u8");
    assert_eq!(playlist.matches("#EXT-X-MAP").count(), 2);
    let change = "segment-00000000-1.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-00000000-1.mp4\"\n";
    assert!(playlist.contains(change), "{playlist}");
    assert_ne!(
        window.file("init-00000000-0.mp4").unwrap().chunks,
        window.file("init-00000000-1.mp4").unwrap().chunks
    );

    for second in 19..60 {
        window.release(playout(), at(f64::from(second)), SystemTime::UNIX_EPOCH);
    }
    window.end();
    let playlist = text(&window, "index.m3u8");
    assert!(playlist.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{playlist}");
    assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"));
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"));
    window.clear();
    assert!(window.file("index.m3u8").is_none());
}

#[test]
fn sound_that_is_dropped_for_a_while_is_no_discontinuity() {
    let mut packets = pictures(&video_params(AVCC), 0, 12_000, 25);
    packets.extend(frames(&audio_params(48_000), 0, 4_000));
    packets.extend(frames(&audio_params(48_000), 8_000, 12_000));
    let segments = segments(packets);
    assert!(segments.iter().all(|segment| !segment.discontinuity && segment.init.number == 0));
}

#[test]
fn memory_is_bounded_even_when_nothing_is_ever_due() {
    let mut window = Window::default();
    for number in 0..100_u64 {
        let mut segment = segments(both(0, 1_000, 25)).remove(0);
        segment.number = number;
        segment.size = 10 << 20;
        window.push(segment, Meter::default().part());
    }
    window.release(playout(), at(1_000.0), SystemTime::UNIX_EPOCH);
    assert!(window.file("segment-00000000-0.m4s").is_none());
    assert!(window.file("segment-00000000-99.m4s").is_some());
}

#[test]
fn no_run_uses_a_name_of_another_and_numbers_grow_from_one_to_the_next() {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let runs = [Run::begin(7, wall), Run::begin(8, wall), Run::begin(7, wall + Duration::from_secs(3_600))];
    let mut names = BTreeSet::new();
    let mut last = 0;
    for run in runs {
        let (mut window, mut muxer) = (Window::default(), Muxer::new(run.first));
        window.begin(run);
        for cut in cuts(both(0, 60_000, 25)) {
            window.push(muxer.mux(&cut).unwrap(), Meter::default().part());
        }
        window.release(playout(), at(100.0), wall);
        let playlist = text(&window, "index.m3u8");
        let sequence = playlist.split_once("#EXT-X-MEDIA-SEQUENCE:").unwrap().1.split('\n').next().unwrap();
        let sequence: u64 = sequence.parse().unwrap();
        assert!(sequence >= last, "{sequence} after {last}");
        last = sequence;
        let map = playlist.split_once("URI=\"").unwrap().1.split('"').next().unwrap();
        for name in playlist.lines().filter(|line| !line.starts_with('#')).chain([map]) {
            assert!(window.file(name).is_some(), "{name}");
            assert!(names.insert(name.to_owned()), "{name} twice");
        }
    }
}

#[test]
fn a_segment_of_very_many_samples_leaves_some_out_and_what_follows_is_whole() {
    let params = audio_params(48_000);
    let mut flood = frames(&params, 0, 60);
    flood.extend((0..50_000).map(|_| flood[0].clone()).collect::<Vec<_>>());
    flood.sort_by_key(|packet| packet.dts);
    let mut segmenter = Segmenter::default();
    let mut cut = Vec::new();
    for packet in flood.into_iter().chain(frames(&params, 60, 20_000)) {
        segmenter.push(packet);
        cut.extend(std::iter::from_fn(|| segmenter.poll()));
    }
    let counts: Vec<usize> = cut.iter().map(|cut| cut.audio.len()).collect();
    assert!(counts.len() >= 3 && counts[0] <= 4_096, "{counts:?}");
    // The second one begins with what came while the first was full.
    assert!(counts[2..].iter().all(|count| (187..=189).contains(count)), "{counts:?}");
}
