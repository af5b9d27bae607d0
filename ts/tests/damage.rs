//! Damaged transport streams: what the damage does not touch comes out as if there were none, and no more is
//! lost than ffprobe loses.

#![expect(clippy::disallowed_methods, reason = "the crate does no I/O; its tests read the corpus")]

#[path = "support/files.rs"]
mod files;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use files::{corpus, transport_streams};
use overdub_ts::{Choice, Codec, Config, DamageKind, Demuxer, Event, Sample};
use serde_json::Value;

const PACKET: usize = 188;

/// A xorshift generator: the same damage in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// A kind of damage.
#[derive(Clone, Copy, Debug)]
enum Harm {
    DropPackets,
    FlipBytes,
    Overwrite,
    CutEnds,
    Repeat,
    ErrorIndicator,
    DropBytes,
}

const HARMS: [Harm; 7] = [
    Harm::DropPackets,
    Harm::FlipBytes,
    Harm::Overwrite,
    Harm::CutEnds,
    Harm::Repeat,
    Harm::ErrorIndicator,
    Harm::DropBytes,
];

/// Does `harm` to `input`, whose packets are `stride` apart. Returns what became of it, and which bytes of the
/// input were touched.
fn damage(input: &[u8], stride: usize, harm: Harm, random: &mut Random) -> (Vec<u8>, Vec<Range<usize>>) {
    let packets = input.len() / stride;
    let mut out = input.to_vec();
    let mut touched = Vec::new();
    if let Harm::CutEnds = harm {
        let (start, end) = (random.below(input.len() / 4), input.len() - random.below(input.len() / 4));
        return (input[start..end].to_vec(), vec![0..start, end..input.len()]);
    }
    // From the end, so that places stay good.
    let mut places: Vec<usize> = (0..1 + packets / 300).map(|_| random.below(packets)).collect();
    places.sort_unstable();
    places.dedup();
    for at in places.into_iter().rev().map(|packet| packet * stride) {
        let one = random.below(stride);
        // Where bytes are missing, the end of the one packet joins the start of another.
        let spliced = if let Harm::DropBytes = harm { stride } else { 0 };
        let range = match harm {
            Harm::DropPackets => at..(at + stride * (1 + random.below(3))).min(out.len()),
            Harm::FlipBytes | Harm::CutEnds => at + one..at + one + 1,
            Harm::Overwrite => at + one..(at + one + 1 + random.below(600)).min(out.len()),
            Harm::Repeat => {
                let packet = out[at..at + stride].to_vec();
                out.splice(at..at, packet);
                continue;
            }
            Harm::ErrorIndicator => at + stride - PACKET + 1..at + stride - PACKET + 2,
            Harm::DropBytes => at + one..(at + one + 1 + random.below(400)).min(out.len()),
        };
        match harm {
            Harm::DropPackets | Harm::DropBytes => out.drain(range.clone()).for_each(drop),
            Harm::ErrorIndicator => out[range.start] |= 0x80,
            _ => out[range.clone()].iter_mut().for_each(|byte| *byte ^= 1 + random.below(255) as u8),
        }
        touched.push(range.start..range.end + spliced);
    }
    (out, touched)
}

#[derive(Default)]
struct Track {
    codec: Option<Codec>,
    samples: Vec<Sample>,
    /// It begins with the tail of a frame, which is reported and does not come out.
    tail: bool,
}

fn demux(input: &[u8]) -> (BTreeMap<u16, Track>, Vec<DamageKind>) {
    let mut demuxer = Demuxer::with_config(Config { raw: false, programs: Choice::All });
    demuxer.push(Bytes::copy_from_slice(input));
    demuxer.finish();
    let mut tracks: BTreeMap<u16, Track> = BTreeMap::new();
    let mut damages = Vec::new();
    while let Some(event) = demuxer.next_event() {
        match event {
            Event::Program(program) => {
                for stream in &program.streams {
                    tracks.entry(stream.pid).or_default().codec = stream.codec;
                }
            }
            Event::Sample(sample) => tracks.entry(sample.pid).or_default().samples.push(sample),
            Event::Damage(damage) => {
                let track = damage.pid.and_then(|pid| tracks.get_mut(&pid));
                if let (DamageKind::NoFrame { .. }, Some(track)) = (damage.kind, track) {
                    track.tail |= track.samples.is_empty();
                }
                damages.push(damage.kind);
            }
            _ => {}
        }
    }
    (tracks, damages)
}

/// The distance of the packets of a file that has nothing else in it, and where its first packet's sync byte is.
fn stride(input: &[u8]) -> Option<(usize, usize)> {
    let fits = |&(stride, lead): &(usize, usize)| {
        input.len() >= 8 * stride && (lead..input.len() - PACKET).step_by(stride).all(|at| input[at] == 0x47)
    };
    [(188, 0), (192, 4), (204, 0)].into_iter().find(fits)
}

/// What ffprobe calls the codec of each PID, and how many packets it finds.
fn probe(path: &Path) -> BTreeMap<u16, (String, usize)> {
    let out = Command::new("ffprobe")
        .args(["-v", "quiet", "-f", "mpegts", "-show_packets", "-show_entries"])
        .args(["packet=stream_index:stream=index,id,codec_name", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe runs: install ffmpeg");
    let Ok(found) = serde_json::from_slice::<Value>(&out.stdout) else { return BTreeMap::new() };
    let mut counts = BTreeMap::new();
    for stream in found["streams"].as_array().into_iter().flatten() {
        let id = stream["id"].as_str().unwrap_or_default().trim_start_matches("0x");
        let packets = found["packets"].as_array().into_iter().flatten();
        let count = packets.filter(|packet| packet["stream_index"] == stream["index"]).count();
        if let Ok(pid) = u16::from_str_radix(id, 16) {
            counts.insert(pid, (stream["codec_name"].as_str().unwrap_or_default().to_owned(), count));
        }
    }
    counts
}

/// Without tables, ffprobe takes nearly everything for MP3.
fn agree(codec: Option<Codec>, name: &str) -> bool {
    match codec {
        Some(Codec::H264) => name == "h264",
        Some(Codec::Hevc) => name == "hevc",
        Some(Codec::AacAdts) => name == "aac",
        Some(Codec::AacLatm) => name == "aac_latm",
        Some(Codec::MpegAudio) => matches!(name, "mp1" | "mp2" | "mp3"),
        Some(Codec::Ac3 | Codec::Eac3) => matches!(name, "ac3" | "eac3"),
        Some(Codec::Opus) => name == "opus",
        _ => false,
    }
}

/// How often each kind of damage is done to each file; more with `OVERDUB_ROUNDS`.
fn rounds() -> usize {
    std::env::var("OVERDUB_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

#[test]
fn no_more_is_lost_than_ffprobe_loses() {
    let Some(root) = corpus() else { return };
    let only = std::env::var("CORPUS_FILE").unwrap_or_default();
    let folder = std::env::temp_dir().join(format!("overdub-damage-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let mut less = Vec::new();
    let (mut runs, mut ours, mut theirs) = (0, 0, 0);
    let wide = std::env::var_os("OVERDUB_ROUNDS").is_some();
    for (n, path) in transport_streams(&root).into_iter().enumerate() {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        if !name.contains(&only) || !wide && n % 4 > 0 {
            continue;
        }
        let input = std::fs::read(&path).expect("file");
        let input = &input[..input.len().min(2_000 * PACKET)];
        let Some((stride, _)) = stride(input) else { continue };
        for round in 0..rounds() {
            let harms = if wide { &HARMS[..] } else { &HARMS[n / 4 % HARMS.len()..][..1] };
            for &harm in harms {
                // ffprobe counts packets that legally repeat the one before (2.4.3.3) as new ones.
                if let Harm::Repeat = harm {
                    continue;
                }
                let mut random = Random(0x2545_F491_4F6C_DD1D + (n * 7919 + round * 104_729) as u64);
                let (broken, _) = damage(input, stride, harm, &mut random);
                let file = folder.join(format!("{n}-{harm:?}-{round}.ts"));
                std::fs::write(&file, &broken).expect("a temporary file");
                let truth = probe(&file);
                let (tracks, damages) = demux(&broken);
                let headers = damages.iter().filter(|kind| **kind == DamageKind::PesHeader).count();
                let _ = std::fs::remove_file(&file);
                runs += 1;
                for (pid, track) in &tracks {
                    let Some((_, count)) = truth.get(pid).filter(|(name, _)| agree(track.codec, name)) else {
                        continue;
                    };
                    // ffprobe takes what follows a broken PES header for payload, the rest of the header
                    // included, which breaks the access unit before it as well.
                    let mut allowed = headers + usize::from(track.tail);
                    // A packet that bytes are missing of is left out as a whole. ffprobe goes on with those of
                    // the next packet, and has the start of an access unit the more.
                    if let Harm::DropBytes = harm {
                        allowed +=
                            damages.iter().filter(|it| matches!(it, DamageKind::SyncLost { .. })).count();
                    }
                    ours += track.samples.len();
                    theirs += count;
                    if track.samples.len() + allowed < *count {
                        let codec = track.codec;
                        less.push(format!(
                            "{name} {harm:?} {round}: {pid} {codec:?} {} of {count}",
                            track.samples.len()
                        ));
                    }
                }
            }
        }
    }
    println!("{runs} damaged files: {ours} samples, {theirs} by ffprobe");
    assert!(less.is_empty(), "{} have less:\n{}", less.len(), less.join("\n"));
}

/// The packets of each PID that damage touched, by their offsets, in order: as they were, and as they became
/// where packets still stand in their places.
fn touched_packets(
    input: &[u8],
    broken: &[u8],
    (stride, lead): (usize, usize),
    touched: &[Range<usize>],
) -> BTreeMap<u16, Vec<usize>> {
    let mut found: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for at in (lead..input.len().saturating_sub(3)).step_by(stride) {
        // With the sync byte of the next packet, without which this one is not found either.
        if touched.iter().any(|range| range.start < at + stride && range.end > at) {
            for from in [Some(input), (broken.len() == input.len()).then_some(broken)].into_iter().flatten() {
                let pid = u16::from_be_bytes([from[at + 1] & 0x1F, from[at + 2]]);
                found.entry(pid).or_default().push(at);
            }
        }
    }
    found
}

#[test]
fn what_damage_does_not_touch_comes_out_unchanged() {
    let Some(root) = corpus() else { return };
    let only = std::env::var("CORPUS_FILE").unwrap_or_default();
    let mut lost = Vec::new();
    let (mut runs, mut kept, mut touched_units, mut out_of) = (0, 0, 0, 0);
    for (n, path) in transport_streams(&root).into_iter().enumerate() {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        if !name.contains(&only) {
            continue;
        }
        let input = std::fs::read(&path).expect("file");
        let input = &input[..input.len().min(2_000 * PACKET)];
        let Some(places) = stride(input) else { continue };
        let (whole, damages) = demux(input);
        if damages.contains(&DamageKind::NoTables) {
            continue;
        }
        for round in 0..rounds() {
            for harm in HARMS {
                let mut random = Random(0x2545_F491_4F6C_DD1D + (n * 7919 + round * 104_729) as u64);
                let (broken, touched) = damage(input, places.0, harm, &mut random);
                let touched = touched_packets(input, &broken, places, &touched);
                let (tracks, damages) = demux(&broken);
                if damages.contains(&DamageKind::NoTables) {
                    continue;
                }
                runs += 1;
                for (pid, track) in &whole {
                    let empty = Vec::new();
                    let hits = touched.get(pid).unwrap_or(&empty);
                    let found = tracks.get(pid).map_or(&[][..], |track| &track.samples);
                    let mut later = found.iter();
                    let mut stamped = 0;
                    for (k, sample) in track.samples.iter().enumerate() {
                        if sample.stamped {
                            stamped = sample.offset as usize;
                        }
                        let end = track.samples.get(k + 1).map_or(input.len(), |next| next.offset as usize);
                        let hit = |from: usize| hits.iter().any(|&at| at >= from && at <= end);
                        out_of += 1;
                        // Without a stamp of its own PES packet or any before, there is no placing it.
                        let headless = hit(stamped) && found.iter().all(|it| it.pts > sample.pts);
                        if hit(sample.offset as usize) || sample.damaged || headless {
                            touched_units += 1;
                            continue;
                        }
                        // Without its stamp, a time is estimated; without any, by what was there before.
                        let timed = !hit(stamped) && (sample.stamped || sample.idr);
                        let same = |it: &&Sample| {
                            it.data == sample.data
                                && !it.damaged
                                && (!timed
                                    || it.pts.wrapped() == sample.pts.wrapped()
                                        && it.dts.wrapped() == sample.dts.wrapped())
                        };
                        let before = later.clone();
                        if later.find(same).is_some() {
                            kept += 1;
                        } else {
                            later = before;
                            lost.push(format!(
                                "{name} {harm:?} {round}: {pid} {:?} {k} at {} of {}",
                                track.codec,
                                sample.offset,
                                sample.pts.get()
                            ));
                        }
                    }
                }
            }
        }
    }
    println!(
        "{runs} runs, {out_of} access units: {touched_units} touched, {kept} unchanged, {} lost",
        lost.len()
    );
    // In thousands of runs it happens that what is left at a splice looks like a header or a start code.
    assert!(lost.len() * 10_000 <= out_of, "{}", lost.join("\n"));
}
