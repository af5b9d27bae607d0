//! The HLS presentations of the corpus through the demuxer alone, without a network, against the truths beside
//! their segments: FFmpeg's packets by number, times and, where FFmpeg hands out the same bytes, MD5.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest, Md5};
use overdub::batch::{Batcher, Settings};
use overdub::demux::{Demuxer, Input};
use overdub::hls::playlist::{ByteRange, Definitions, Master, Media, Playlist, parse};
use overdub::media::{AudioTrack, Batch, Flicks, Moment, Origin, Piece, Rendition};
use serde_json::Value;

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("OVERDUB_CORPUS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    Some(given.unwrap_or_else(beside)).map(|path| path.join("hls")).filter(|path| path.is_dir())
}

fn playlists(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(playlists(&path));
        } else if path.extension().is_some_and(|extension| extension == "m3u8") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Option<Playlist> {
    parse(&std::fs::read(path).ok()?, &Definitions::default()).ok()
}

/// One segment on its way, and what the truth says of it.
struct Piecewise {
    input: Input,
    duration: f64,
    /// The truth is of the whole file.
    truth: Option<Value>,
}

/// The segments of a media playlist; `None` in place of those that are gaps. No list at all where a file is
/// missing, or encrypted, which is for others to undo.
fn segments(playlist: &Path, media: &Media, rendition: Rendition) -> Option<Vec<Option<Piecewise>>> {
    let folder = playlist.parent()?;
    let load = |uri: &str, range: Option<ByteRange>| {
        let data = Bytes::from(std::fs::read(folder.join(uri)).ok()?);
        match range {
            None => Some(data),
            Some(ByteRange { offset, length }) => {
                let start = usize::try_from(offset).ok()?;
                let end = start.checked_add(usize::try_from(length).ok()?)?;
                (end <= data.len()).then(|| data.slice(start..end))
            }
        }
    };
    let mut out = Vec::new();
    for segment in &media.segments {
        if segment.gap {
            out.push(None);
            continue;
        }
        if segment.key.is_some() {
            return None;
        }
        let init = match &segment.map {
            Some(map) => Some(load(&map.uri, map.byte_range)?),
            None => None,
        };
        let data = load(&segment.uri, segment.byte_range)?;
        let text = std::fs::read(folder.join(format!("{}.truth.json", segment.uri)));
        let truth: Option<Value> = text.ok().map(|text| serde_json::from_slice(&text).expect("JSON"));
        let truth = truth.filter(|truth| truth["size"] == data.len());
        let input = Input {
            rendition,
            init,
            data,
            offset: segment.byte_range.map_or(0, |range| range.offset),
            discontinuity: segment.discontinuity,
            discontinuity_sequence: segment.discontinuity_sequence,
            media_sequence: Some(segment.sequence),
        };
        out.push(Some(Piecewise { input, duration: segment.duration.as_secs_f64(), truth }));
    }
    (!out.is_empty()).then_some(out)
}

fn origin(segment: usize) -> Origin {
    Origin { segment: segment as u64, captured_at: Moment::ZERO, program_date_time: None }
}

/// What came out of one kind of track: times in decoding order, and the bytes.
#[derive(Default)]
struct Found {
    pts: Vec<Flicks>,
    dts: Vec<Flicks>,
    md5: Md5,
}

/// Video and audio.
type Tracks = BTreeMap<&'static str, Found>;

fn gather(pieces: &[Piece]) -> Tracks {
    let mut tracks = Tracks::new();
    for piece in pieces {
        for sample in piece.video.iter().flat_map(|(_, samples)| samples) {
            let found = tracks.entry("video").or_default();
            found.pts.push(sample.pts);
            found.dts.push(sample.dts);
            found.md5.update(&sample.data);
        }
        for frame in piece.audio.iter().flat_map(|(_, frames)| frames) {
            let found = tracks.entry("audio").or_default();
            found.pts.push(frame.pts);
            found.dts.push(frame.pts);
            found.md5.update(&frame.data);
        }
    }
    tracks
}

/// What a truth says of its first carried stream of this kind.
struct Expected {
    packets: usize,
    times: [Flicks; 4],
    /// FFmpeg's packets are our samples, byte for byte.
    md5: Option<String>,
}

const CARRIED: [&str; 9] = ["h264", "hevc", "aac", "mp3", "mp2", "ac3", "eac3", "opus", "aac_latm"];

fn expected(truth: &Value, kind: &str) -> Option<Expected> {
    let streams = truth["ffprobe"]["streams"].as_array()?;
    let of_kind = |stream: &&Value| {
        stream["codec_type"] == kind && CARRIED.iter().any(|codec| stream["codec_name"] == *codec)
    };
    let stream = streams.iter().find(of_kind)?;
    let packets = usize::try_from(stream["packets"].as_u64()?).ok().filter(|&packets| packets > 0)?;
    let per_second: u32 = stream["time_base"].as_str()?.strip_prefix("1/")?.parse().ok()?;
    let time = |field: &str| stream[field].as_i64().map(|units| Flicks::from_units(units, per_second));
    let times = [time("min_pts")?, time("max_pts")?, time("first_dts")?, time("last_dts")?];
    // A transport stream's packets have start codes and ADTS headers.
    let same_bytes = truth["kind"] == "mp4";
    let md5 = stream["payload_md5"].as_str().filter(|_| same_bytes).map(str::to_owned);
    Some(Expected { packets, times, md5 })
}

/// A tick of 90 kHz: FFmpeg rounds stamps of transport streams that it makes up.
const TICK: Flicks = Flicks::from_ticks(1);

/// Compares what came of one segment with its truth; `Err` says what differs.
fn compare(tracks: &Tracks, truth: &Value, packed: bool) -> Result<usize, String> {
    let mut samples = 0;
    for kind in ["video", "audio"] {
        let (expected, found) = (expected(truth, kind), tracks.get(kind));
        let (Some(expected), Some(found)) = (&expected, found) else {
            if expected.is_some() || found.is_some() {
                return Err(format!("{kind} is there on one side only"));
            }
            continue;
        };
        if found.pts.len() != expected.packets {
            return Err(format!("{kind}: {} samples, the truth says {}", found.pts.len(), expected.packets));
        }
        samples += expected.packets;
        let least = found.pts.iter().min().copied().unwrap_or_default();
        let most = found.pts.iter().max().copied().unwrap_or_default();
        let mut times = [least, most, found.dts[0], *found.dts.last().expect("it is not empty")];
        if packed {
            // FFmpeg counts packed audio from zero; the stamp is looked at across the segments.
            times.iter_mut().for_each(|time| *time -= least);
        }
        for (ours, theirs) in times.iter().zip(&expected.times) {
            if (*ours - *theirs).abs() > TICK {
                return Err(format!("{kind}: times {times:?}, the truth says {:?}", expected.times));
            }
        }
        if let Some(md5) = &expected.md5 {
            let hash = found.md5.clone().finalize();
            let ours: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            if ours != *md5 {
                return Err(format!("{kind}: MD5 {ours}, the truth says {md5}"));
            }
        }
    }
    Ok(samples)
}

#[test]
fn each_segment_gives_the_packets_times_and_bytes_of_its_truth() {
    let Some(root) = corpus() else {
        println!("NOT RUN: no corpus (set OVERDUB_CORPUS): presentations of others were not demuxed");
        return;
    };
    let (mut segments_seen, mut samples, mut wrong) = (0, 0, Vec::new());
    for path in playlists(&root) {
        let Some(Playlist::Media(media)) = read(&path) else { continue };
        let name = path.strip_prefix(&root).expect("it was found there").display().to_string();
        let Some(list) = segments(&path, &media, Rendition::Main) else { continue };
        let mut demuxer = Demuxer::new();
        for (index, segment) in list.into_iter().enumerate() {
            let Some(Piecewise { input, duration, truth }) = segment else {
                demuxer.handle_lost(Rendition::Main);
                continue;
            };
            let refused = demuxer.damage().refused;
            let pieces = demuxer.handle_segment(&input, &origin(index));
            if demuxer.damage().refused > refused {
                let reason = demuxer.damage().last_refusal.clone().expect("a reason");
                println!("{name} {index}: {reason}");
                assert!(pieces.is_empty());
                let media = truth.is_some_and(|truth| {
                    expected(&truth, "video").is_some() || expected(&truth, "audio").is_some()
                });
                assert!(!media, "{name} {index}: refused though it has media: {reason}");
                continue;
            }
            let tracks = gather(&pieces);
            let span = |found: &Found| (*found.pts.last()? - *found.pts.first()?).to_secs_f64().into();
            let longest: Option<f64> = tracks.values().filter_map(span).reduce(f64::max);
            let longest = longest.unwrap_or_default();
            if longest < duration * 0.7 - 0.2 {
                println!("{name} {index}: {longest} s of the playlist's {duration} s");
            }
            let Some(truth) = truth else { continue };
            segments_seen += 1;
            let packed = truth["kind"] == "audio";
            match compare(&tracks, &truth, packed) {
                Ok(count) => samples += count,
                Err(what) => wrong.push(format!("{name} {index}: {what}")),
            }
        }
    }
    println!("{segments_seen} segments, {samples} samples compared");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(segments_seen > 0);
}

/// The media playlist of the best variant that has separate audio, and that audio's.
fn separate(path: &Path, master: &Master) -> Vec<(PathBuf, PathBuf)> {
    let beside = |uri: &str| path.with_file_name(uri);
    let mut found = Vec::new();
    for variant in &master.variants {
        for audio in &master.audio {
            if let Some(uri) = audio.uri.as_ref().filter(|_| variant.audio.as_ref() == Some(&audio.group)) {
                found.push((beside(&variant.uri), beside(uri)));
            }
        }
    }
    found
}

#[test]
fn separate_audio_joins_its_pictures_without_losing_a_sample() {
    let Some(root) = corpus() else {
        println!("NOT RUN: no corpus (set OVERDUB_CORPUS): renditions of others were not joined");
        return;
    };
    let mut joined = 0;
    for path in playlists(&root) {
        let Some(Playlist::Master(master)) = read(&path) else { continue };
        for (main, audio) in separate(&path, &master) {
            let (Some(Playlist::Media(main_media)), Some(Playlist::Media(audio_media))) =
                (read(&main), read(&audio))
            else {
                continue;
            };
            let (Some(pictures), Some(sound)) = (
                segments(&main, &main_media, Rendition::Main),
                segments(&audio, &audio_media, Rendition::Audio),
            ) else {
                continue;
            };
            let total = |list: &[Option<Piecewise>], kind: &str| -> usize {
                let truths = list.iter().flatten().filter_map(|part| part.truth.as_ref());
                truths.filter_map(|truth| expected(truth, kind)).map(|truth| truth.packets).sum()
            };
            let counts = (total(&pictures, "video"), total(&sound, "audio"));
            if counts.0 == 0 || counts.1 == 0 {
                continue;
            }
            let name = format!("{} + {}", main.display(), audio.display());
            let pieces = join(pictures, sound);
            let tracks = gather(&pieces);
            let (video, audio) = (&tracks["video"], &tracks["audio"]);
            assert_eq!((video.pts.len(), audio.pts.len()), counts, "{name}");
            assert!(video.dts.windows(2).all(|pair| pair[0] < pair[1]), "{name}: DTS rise");
            assert!(audio.pts.windows(2).all(|pair| pair[0] < pair[1]), "{name}: frames in order");
            assert!(pieces.iter().all(|piece| piece.period == 0), "{name}: one period");
            joined += 1;
        }
    }
    println!("{joined} pairs of pictures and sound joined");
    assert!(joined > 0);
}

/// What a batch's frame may be away from its stamp: half of the longest frame at its lowest rate.
fn half_a_frame(track: &AudioTrack) -> Flicks {
    Flicks::from_samples(i64::from(track.params.frame_len), track.params.sample_rate * 2)
}

/// The pictures and frames of all batches, in order: the frames that were put in where some were missing aside.
fn batched(pieces: Vec<Piece>) -> (Vec<Batch>, usize) {
    let settings =
        Settings { buffer_duration: Duration::from_secs(30), processing_budget: Duration::from_secs(12) };
    let mut batcher = Batcher::new(settings, 0);
    batcher.set_target_duration(Duration::from_secs(10));
    let mut batches = Vec::new();
    for piece in pieces {
        batches.extend(batcher.handle_piece(piece));
    }
    batches.extend(batcher.flush());
    let silent = usize::try_from(batcher.grid_stats().inserted).expect("few");
    (batches, silent)
}

#[test]
fn each_presentation_comes_out_of_the_batches_as_it_went_in() {
    let Some(root) = corpus() else {
        println!("NOT RUN: no corpus (set OVERDUB_CORPUS): presentations of others were not batched");
        return;
    };
    let (mut presentations, mut pictures, mut frames) = (0, 0, 0);
    for path in playlists(&root) {
        let Some(Playlist::Media(media)) = read(&path) else { continue };
        let name = path.strip_prefix(&root).expect("it was found there").display().to_string();
        let Some(list) = segments(&path, &media, Rendition::Main) else { continue };
        let mut demuxer = Demuxer::new();
        let mut pieces = Vec::new();
        for (index, segment) in list.into_iter().enumerate() {
            match segment {
                Some(part) => pieces.extend(demuxer.handle_segment(&part.input, &origin(index))),
                None => demuxer.handle_lost(Rendition::Main),
            }
        }
        pieces.extend(demuxer.flush());
        let video_in: Vec<_> = pieces
            .iter()
            .flat_map(|piece| piece.video.iter().flat_map(|(_, samples)| samples.clone()))
            .collect();
        let audio_in: Vec<_> = pieces
            .iter()
            .flat_map(|piece| piece.audio.iter().flat_map(|(_, frames)| frames.clone()))
            .collect();
        let (batches, silent) = batched(pieces);
        let video_out: Vec<_> =
            batches.iter().flat_map(|batch| &batch.video).flat_map(|track| &track.samples).collect();
        assert_eq!(video_out.len(), video_in.len(), "{name}: pictures");
        for (put, got) in video_in.iter().zip(&video_out) {
            assert!(
                put.data == got.data && (put.dts, put.pts) == (got.dts, got.pts),
                "{name}: a picture differs"
            );
        }
        let mut left = audio_in.iter().peekable();
        let mut others = 0;
        for track in batches.iter().filter_map(|batch| batch.audio.as_ref()) {
            for (k, frame) in track.frames.iter().enumerate() {
                if let Some(put) = left.next_if(|put| put.data == *frame) {
                    let off = (track.pts(k) - put.pts).abs();
                    assert!(off <= half_a_frame(track), "{name}: a frame is {off:?} from its stamp");
                } else {
                    others += 1;
                }
            }
        }
        assert_eq!(left.next(), None, "{name}: a frame is missing or out of order");
        assert_eq!(others, silent, "{name}: frames that nobody made");
        presentations += 1;
        pictures += video_out.len();
        frames += audio_in.len();
        if silent > 0 {
            println!("{name}: {silent} silent frames where some are missing");
        }
    }
    println!("{presentations} presentations, {pictures} pictures and {frames} frames as they went in");
    assert!(presentations > 0);
}

/// Feeds both as a live source would, each segment when its time has passed.
fn join(pictures: Vec<Option<Piecewise>>, sound: Vec<Option<Piecewise>>) -> Vec<Piece> {
    let mut demuxer = Demuxer::new();
    let mut pieces = demuxer.set_separate_audio(true);
    let timed = |list: Vec<Option<Piecewise>>| {
        let mut at = 0.0;
        list.into_iter().flatten().map(move |part| {
            at += part.duration;
            (at, part.input)
        })
    };
    let mut all: Vec<_> = timed(pictures).chain(timed(sound)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (index, (_, input)) in all.iter().enumerate() {
        pieces.extend(demuxer.handle_segment(input, &origin(index)));
    }
    pieces.extend(demuxer.flush());
    assert_eq!(demuxer.damage().late, 0);
    pieces
}
