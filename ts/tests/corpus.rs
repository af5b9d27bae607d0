//! Every transport stream of the corpus against what ffprobe says of it.
//!
//! A truth lists each stream's packets as the MD5 over lines `pts dts size flags` of
//! `ffprobe -show_packets`, and the MD5 of its elementary bytes. Equal sums mean: the same number of
//! samples, cut at the same bytes, with the same times and random-access flags.

#![expect(clippy::disallowed_methods, reason = "the crate does no I/O; its tests read the corpus")]

#[path = "support/files.rs"]
mod files;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use files::{corpus, transport_streams};
use md5::{Digest, Md5};
use overdub_ts::{Choice, Codec, Config, Demuxer, Event, Params, Sample};
use serde_json::Value;

/// Where this crate and ffprobe differ on purpose, with the evidence.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Its only PES packet has a delimiter, a PPS, an SPS and filler data: "missing picture in access unit with
    // size 750" says ffprobe too, and counts it as a packet all the same.
    ("ts/tsduck_test-145.ts 500", "no picture"),
    // Its first PES packet begins with the last 73 bytes of a frame, to which ffprobe gives its stamp, so that
    // the frame that commences in it (ISO/IEC 13818-1 2.4.3.7) and the one after it both stand at 2880. No
    // decoder can do anything with those 73 bytes; they are reported and do not come out.
    ("ts/ax_sample_ac3.ts 1900", "cut frame at the start"),
];

#[derive(Default)]
struct Track {
    codec: Option<Codec>,
    samples: Vec<Sample>,
    params: Vec<Params>,
    bytes: Md5,
}

fn events(input: &Bytes, piece: usize) -> Vec<Event> {
    let mut demuxer = Demuxer::with_config(Config { raw: true, programs: Choice::All });
    let mut events = Vec::new();
    let mut rest = input.clone();
    while !rest.is_empty() {
        demuxer.push(rest.split_to(piece.min(rest.len())));
        events.extend(std::iter::from_fn(|| demuxer.next_event()));
    }
    demuxer.finish();
    events.extend(std::iter::from_fn(|| demuxer.next_event()));
    events
}

fn demux(input: &Bytes) -> BTreeMap<u16, Track> {
    let mut tracks: BTreeMap<u16, Track> = BTreeMap::new();
    for event in events(input, usize::MAX) {
        match event {
            Event::Program(program) => {
                for stream in &program.streams {
                    tracks.entry(stream.pid).or_default().codec = stream.codec;
                }
            }
            Event::Params { pid, params } => tracks.entry(pid).or_default().params.push(params),
            Event::Sample(sample) => tracks.entry(sample.pid).or_default().samples.push(sample),
            Event::Payload { pid, data } => tracks.entry(pid).or_default().bytes.update(&data),
            _ => {}
        }
    }
    tracks
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The lines that the truth's sum is over. Where ffprobe leaves stamps out (`N/A`), so do these lines for
/// samples that have none of their own.
fn packet_list(codec: Option<Codec>, samples: &[Sample], leave_out: bool) -> String {
    samples.iter().enumerate().fold(String::new(), |mut lines, (n, sample)| {
        let flags = if sample.random_access { "K_" } else { "__" };
        let size = elementary_len(codec, n, samples);
        let _ = if leave_out && !sample.stamped {
            writeln!(lines, "N/A N/A {size} {flags}")
        } else {
            writeln!(lines, "{} {} {size} {flags}", sample.pts.get(), sample.dts.get())
        };
        lines
    })
}

/// Of HEVC, ffprobe counts the zero_byte before an access unit's first start code to the packet before it,
/// although it belongs to the NAL unit that follows (ISO/IEC 23008-2 annex B.2.1).
fn elementary_len(codec: Option<Codec>, n: usize, samples: &[Sample]) -> u64 {
    let length = samples[n].elementary_len;
    match codec {
        // ffprobe's packets are without the control header.
        Some(Codec::Opus) => samples[n].data.len() as u64,
        // ffprobe takes 5 bytes off every packet, as if all had a metadata cell header; where they have none,
        // that cuts "ID3" and the version off the tag.
        Some(Codec::TimedId3) => length - 5,
        Some(Codec::Hevc) if samples.len() > 1 && n == 0 => length + 1,
        Some(Codec::Hevc) if samples.len() > 1 && n == samples.len() - 1 => length - 1,
        _ => length,
    }
}

fn differences(truth: &Value, track: Option<&Track>) -> Vec<String> {
    let mut found = Vec::new();
    let empty = Track::default();
    let track = track.unwrap_or(&empty);
    let number = |name: &str| truth[name].as_i64();
    let count = number("packets").unwrap_or(0);
    if track.samples.len() as i64 != count {
        found.push(format!("{} samples, not {count}", track.samples.len()));
    }
    if count == 0 {
        return found;
    }
    let mut check = |name: &str, ours: Option<i64>| {
        if number(name).is_some() && ours != number(name) {
            found.push(format!("{name} {ours:?}, not {:?}", number(name)));
        }
    };
    let leave_out = number("packets_without_pts").unwrap_or(0) > 0;
    let stamped = || track.samples.iter().filter(|sample| !leave_out || sample.stamped);
    check("first_pts", stamped().next().map(|sample| sample.pts.get()));
    check("last_pts", stamped().last().map(|sample| sample.pts.get()));
    check("min_pts", stamped().map(|sample| sample.pts.get()).min());
    check("max_pts", stamped().map(|sample| sample.pts.get()).max());
    check("first_dts", stamped().next().map(|sample| sample.dts.get()));
    check("last_dts", stamped().last().map(|sample| sample.dts.get()));
    check("key_packets", Some(track.samples.iter().filter(|sample| sample.random_access).count() as i64));
    let lengths = (0..track.samples.len()).map(|n| elementary_len(track.codec, n, &track.samples) as i64);
    check("bytes", Some(lengths.sum()));
    match track.params.first() {
        Some(Params::Video(params)) => {
            check("width", Some(i64::from(params.width)));
            check("height", Some(i64::from(params.height)));
            check("level", Some(i64::from(params.level)));
        }
        Some(Params::Audio(params)) => {
            let rate = truth["sample_rate"].as_str().and_then(|rate| rate.parse::<u32>().ok());
            // Of HE-AAC, ffprobe tells the rate with spectral band replication, the header the core's.
            if rate != Some(params.sample_rate) && rate != Some(2 * params.sample_rate) {
                found.push(format!("sample rate {}, not {rate:?}", params.sample_rate));
            }
        }
        None if track.codec.is_none_or(Codec::is_media) => found.push("no parameters".to_owned()),
        None => {}
    }
    let list = packet_list(track.codec, &track.samples, leave_out);
    if truth["packet_list_md5"] != hex(&Md5::digest(&list)).as_str() {
        found.push("another packet list".to_owned());
        if std::env::var_os("CORPUS_DUMP").is_some() {
            found.push(format!("\n{list}"));
        }
    }
    found.extend(other_bytes(truth, Some(track)));
    found
}

/// The elementary bytes, where ffprobe's packets have them all and nothing else.
fn other_bytes(truth: &Value, track: Option<&Track>) -> Option<String> {
    let bytes = track.map(|track| track.bytes.clone()).unwrap_or_default();
    let differ = truth["es_md5_equal"] == true && truth["payload_md5"] != hex(&bytes.finalize()).as_str();
    differ.then(|| "other elementary bytes".to_owned())
}

/// Without a map, or for stream types that it does not know, ffprobe takes streams for MP3 without ever
/// finding a frame: they have no sample rate.
fn is_ours(stream: &Value) -> bool {
    let guessed = stream["codec_name"] == "mp3" && stream["sample_rate"] == "0";
    !guessed
        && matches!(
            stream["codec_name"].as_str(),
            Some(
                "h264" | "hevc" | "aac" | "mp2" | "mp3" | "ac3" | "eac3" | "aac_latm" | "opus" | "timed_id3"
            )
        )
}

#[test]
fn every_stream_has_the_samples_times_and_bytes_that_ffprobe_finds() {
    let Some(root) = corpus() else { return };
    let only = std::env::var("CORPUS_FILE").unwrap_or_default();
    let mut failures = Vec::new();
    let (mut files, mut streams) = (0, 0);
    for path in transport_streams(&root) {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        let Ok(truth) = std::fs::read_to_string(format!("{}.truth.json", path.display())) else { continue };
        if !name.contains(&only) {
            continue;
        }
        let truth: Value = serde_json::from_str(&truth).expect("truth");
        let tracks = demux(&Bytes::from(std::fs::read(&path).expect("file")));
        files += 1;
        for stream in truth["ffprobe"]["streams"].as_array().into_iter().flatten() {
            let id = stream["id"].as_str().unwrap_or_default().trim_start_matches("0x");
            let Ok(pid) = u16::from_str_radix(id, 16) else { continue };
            let found = if is_ours(stream) {
                differences(stream, tracks.get(&pid))
            } else {
                Vec::from_iter(other_bytes(stream, tracks.get(&pid)))
            };
            streams += 1;
            let excepted = EXCEPTIONS.iter().any(|(start, _)| format!("{name} {pid}").starts_with(start));
            if found.is_empty() == excepted {
                let codec = &stream["codec_name"];
                failures.push(format!(
                    "{name} {pid} {codec}: {}",
                    if excepted { "no difference any more".into() } else { found.join(", ") }
                ));
            }
        }
    }
    println!("{files} files, {streams} streams compared");
    assert!(failures.is_empty(), "{} of {streams} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_map_lists_the_programs_and_streams_that_are_there() {
    let Some(root) = corpus() else { return };
    let mut compared = 0;
    for path in transport_streams(&root) {
        let Ok(truth) = std::fs::read_to_string(format!("{}.truth.json", path.display())) else { continue };
        let truth: Value = serde_json::from_str(&truth).expect("truth");
        let Some(programs) = truth["ts"]["programs"].as_object() else { continue };
        let mut ours = BTreeMap::new();
        for event in events(&Bytes::from(std::fs::read(&path).expect("file")), usize::MAX) {
            if let Event::Program(program) = event
                && program.number > 0
            {
                let streams = program.streams.iter().map(|stream| (stream.pid.into(), stream.stream_type));
                ours.insert(program.number.to_string(), streams.collect::<Vec<(i64, u8)>>());
            }
        }
        let stream = |stream: &Value| {
            let kind = stream["stream_type"].as_str().and_then(|kind| kind.strip_prefix("0x"));
            let kind = kind.and_then(|kind| u8::from_str_radix(kind, 16).ok());
            (stream["pid"].as_i64().expect("pid"), kind.expect("stream type"))
        };
        let theirs: BTreeMap<_, Vec<_>> = programs
            .iter()
            .map(|(number, it)| {
                (number.clone(), it["streams"].as_array().into_iter().flatten().map(stream).collect())
            })
            .collect();
        assert_eq!(ours, theirs, "{}", path.display());
        compared += theirs.len();
    }
    println!("{compared} programs compared");
}

#[test]
fn every_stream_gives_the_same_events_in_pieces_of_any_size() {
    let Some(root) = corpus() else { return };
    for path in transport_streams(&root) {
        let input = Bytes::from(std::fs::read(&path).expect("file"));
        let whole = events(&input, usize::MAX);
        for piece in [97, 188, 1_009, 65_536] {
            assert!(events(&input, piece) == whole, "{} in pieces of {piece}", path.display());
        }
    }
}

#[test]
fn streams_with_random_damage_neither_crash_nor_multiply() {
    let Some(root) = corpus() else { return };
    let rounds = std::env::var("OVERDUB_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    // A xorshift generator: the same damage in every run.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for path in transport_streams(&root) {
        let mut input = std::fs::read(&path).expect("file");
        input.truncate(150_000);
        for _ in 0..rounds {
            let mut broken = input.clone();
            for _ in 0..broken.len() / 500 {
                let at = random() % broken.len();
                match random() % 8 {
                    0 => broken.truncate(broken.len() - random() % 50.min(broken.len())),
                    1 => broken.splice(at..at, [0x47, 0, 1, 0xFF]).for_each(drop),
                    2 => broken.drain(at..(at + random() % 400).min(broken.len())).for_each(drop),
                    _ => broken[at] = random() as u8,
                }
                if broken.is_empty() {
                    break;
                }
            }
            let len = broken.len();
            let events = events(&broken.into(), 4_096);
            let payload =
                |event: &Event| if let Event::Sample(sample) = event { sample.data.len() } else { 0 };
            // Length fields replace start codes of 3 bytes: at most a third more for units of one byte.
            assert!(events.iter().map(payload).sum::<usize>() <= 2 * len, "{}", path.display());
            assert!(events.len() <= len, "{}: {} events of {len} bytes", path.display(), events.len());
        }
    }
}

#[test]
fn segments_of_one_playlist_join_without_losing_a_sample() {
    let Some(root) = corpus() else { return };
    let mut demuxer = Demuxer::new();
    let mut samples: BTreeMap<u16, Vec<Sample>> = BTreeMap::new();
    let mut expected: BTreeMap<u16, i64> = BTreeMap::new();
    // Ten segments across the wrap of the 33 bits.
    for n in 24..=33 {
        let path = root.join(format!("hls/ts-rollover/360p30_h264_48k_160_aac_ts-00000000{n}.ts"));
        demuxer.push(std::fs::read(&path).expect("segment").into());
        demuxer.end_segment();
        let truth = std::fs::read_to_string(format!("{}.truth.json", path.display())).expect("truth");
        let truth: Value = serde_json::from_str(&truth).expect("truth");
        for (stream, pid) in [(0, 257), (1, 258)] {
            let count = truth["ffprobe"]["streams"][stream]["packets"].as_i64().expect("packets");
            *expected.entry(pid).or_default() += count;
        }
        while let Some(event) = demuxer.next_event() {
            match event {
                Event::Sample(sample) => samples.entry(sample.pid).or_default().push(sample),
                Event::Damage(damage) => panic!("{damage}"),
                _ => {}
            }
        }
    }
    for (pid, samples) in &samples {
        assert_eq!(samples.len() as i64, expected[pid]);
        let (first, last) = (samples[0].dts.get(), samples[samples.len() - 1].dts.get());
        assert!(first < 0 && last > 0, "{first} {last}");
        let steps = samples.windows(2).map(|two| (two[1].dts - two[0].dts).get());
        assert!(steps.clone().all(|step| (0..=3_760).contains(&step)), "{pid}: {:?}", steps.max());
    }
}
