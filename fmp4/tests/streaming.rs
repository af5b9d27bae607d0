//! Reading large files piece by piece: what is held at a time does not grow with the file.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use overdub_fmp4::{Chunks, Codec, Fragment, Reader, Sample, Step, TrackConfig, TrackRun, init_segment};

/// A file of pieces, each repeated so many times: gigabytes without the memory for them.
#[derive(Default)]
struct Source {
    pieces: Vec<(u64, Bytes, u64)>,
    len: u64,
    held: Arc<Held>,
    asked: usize,
}

/// Bytes of buffers that the source gave and that somebody still holds.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    peak: AtomicUsize,
}

struct Buffer(Vec<u8>, Arc<Held>);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.1.now.fetch_sub(self.0.len(), Ordering::Relaxed);
    }
}

impl Source {
    fn push(&mut self, piece: Bytes, times: u64) {
        let len = piece.len() as u64 * times;
        self.pieces.push((self.len, piece, times));
        self.len += len;
    }

    fn extend(&mut self, chunks: Chunks) {
        chunks.into_iter().for_each(|chunk| self.push(chunk, 1));
    }

    fn read(&mut self, range: Range<u64>) -> Bytes {
        self.asked += 1;
        let end = range.end.min(self.len);
        let mut out = Vec::with_capacity(end.saturating_sub(range.start) as usize);
        let mut at = range.start;
        while at < end {
            let index = self.pieces.partition_point(|(start, ..)| *start <= at) - 1;
            let (start, piece, times) = &self.pieces[index];
            let within = ((at - start) % piece.len() as u64) as usize;
            let left = (start + piece.len() as u64 * times - at).min(end - at);
            let part = &piece[within..piece.len().min(within + left as usize)];
            out.extend_from_slice(part);
            at += part.len() as u64;
        }
        let held = Arc::clone(&self.held);
        let now = held.now.fetch_add(out.len(), Ordering::Relaxed) + out.len();
        held.peak.fetch_max(now, Ordering::Relaxed);
        Bytes::from_owner(Buffer(out, held))
    }

    fn peak(&self) -> usize {
        self.held.peak.load(Ordering::Relaxed)
    }
}

/// What came of reading a file.
#[derive(Default)]
struct Outcome {
    samples: Vec<usize>,
    bytes: u64,
    largest_range: u64,
    /// By how many seconds the tracks were apart at most, while both had samples to come.
    apart: f64,
}

/// Reads as a program does that passes every sample on at once; each read is at least `window` bytes.
fn read(source: &mut Source, mut reader: Reader, window: u64, ignore: Option<usize>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut at: Vec<Option<f64>> = Vec::new();
    let mut apart = Vec::new();
    loop {
        match reader.poll().expect("a whole file") {
            Step::Need(range) => {
                outcome.largest_range = outcome.largest_range.max(range.end - range.start);
                let bytes = source.read(range.start..range.end.max(range.start + window));
                reader.supply(&bytes).expect("a whole file");
            }
            Step::Tracks => {
                outcome.samples = vec![0; reader.tracks().len()];
                at = vec![None; reader.tracks().len()];
                if let Some(track) = ignore {
                    reader.ignore(track);
                }
            }
            Step::Samples { track, samples } => {
                outcome.samples[track] += samples.len();
                outcome.bytes += samples.iter().map(|s| s.data.len() as u64).sum::<u64>();
                let timescale = f64::from(reader.tracks()[track].config.timescale);
                at[track] = samples.last().map(|last| last.dts as f64 / timescale);
                if let [Some(a), Some(b)] = at[..] {
                    apart.push((a - b).abs());
                }
            }
            Step::Event(_) => {}
            Step::End => break,
        }
    }
    assert!(reader.damage().is_empty(), "{:?}", reader.damage());
    outcome.apart = apart.into_iter().fold(0.0, f64::max);
    outcome
}

fn configs() -> [TrackConfig; 2] {
    let avc = Codec::Avc { avcc: Bytes::from_static(&[1; 8]), width: 64, height: 64 };
    let mp3 = Codec::MpegAudio { sample_rate: 48_000, channels: 2 };
    let config = |id, timescale, codec| TrackConfig { id, timescale, codec, language: None, edit: None };
    [config(1, 90_000, avc), config(2, 48_000, mp3)]
}

/// `seconds` of pictures of 16 KiB and of sound, in fragments of so many seconds.
fn fragmented(seconds: u64, each: u64) -> Source {
    let (picture, frame) = (Bytes::from(vec![1; 16 << 10]), Bytes::from(vec![2; 384]));
    let mut source = Source::default();
    source.push(init_segment(&configs()).expect("an init segment"), 1);
    for n in 0..seconds / each {
        let run = |track_id, rate: u64, duration: u32, data: &Bytes| TrackRun {
            track_id,
            base_decode_time: n * each * rate,
            samples: (0..each * rate / u64::from(duration))
                .map(|i| Sample { duration, composition_offset: 0, sync: i == 0, data: data.clone() })
                .collect(),
        };
        let runs = vec![run(1, 90_000, 3_600, &picture), run(2, 48_000, 1_200, &frame)];
        source.extend(Fragment::new(n as u32, runs).encode().expect("a fragment"));
    }
    source
}

#[test]
fn a_fragment_of_half_a_gigabyte_is_read_in_small_pieces_and_its_tracks_come_together() {
    for window in [0, 1 << 20] {
        let mut source = fragmented(1_200, 1_200);
        let len = source.len;
        let outcome = read(&mut source, Reader::new().with_len(len), window, None);
        assert_eq!(outcome.samples, [30_000, 48_000]);
        assert!(source.len > 480 << 20);
        assert!(outcome.largest_range <= 2 << 20, "{}", outcome.largest_range);
        // The `moof` of 78,000 samples is held beside a piece and the windows.
        assert!(source.peak() < 7 << 20, "{} bytes held", source.peak());
        // 512 frames of sound, the most of a piece, are 13 s.
        assert!(outcome.apart < 14.0, "{}", outcome.apart);
    }
}

#[test]
fn what_is_held_does_not_grow_with_the_number_of_fragments() {
    let peak = |seconds| {
        let mut source = fragmented(seconds, 2);
        let outcome = read(&mut source, Reader::new(), 1 << 20, None);
        assert_eq!(outcome.samples, [seconds as usize * 25, seconds as usize * 40]);
        assert!(outcome.apart <= 2.1);
        assert!(source.asked as u64 <= 2 + source.len / (1 << 19), "{} reads", source.asked);
        source.peak()
    };
    let (short, long) = (peak(20), peak(1_200));
    assert!(long <= short + (64 << 10) && long <= 6 << 20, "{short} {long}");
}

fn boxed(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    [(body.len() as u32 + 8).to_be_bytes().to_vec(), kind.to_vec(), body].concat()
}

fn table(kind: &[u8; 4], fields: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let fields = fields.into_iter().flat_map(u32::to_be_bytes).collect();
    boxed(kind, &[vec![0; 4], fields])
}

/// The shape of a plain file.
#[derive(Clone, Copy)]
struct Plain {
    seconds: u64,
    moov_first: bool,
    /// One track after the other instead of a second of each in turns.
    apart: bool,
}

const PICTURE: u32 = 64 << 10;
const FRAME: u32 = 400;

/// A plain file: 25 pictures and 40 frames in each second, a chunk of each; 64-bit offsets and sizes.
fn plain(shape: Plain) -> Source {
    let Plain { seconds, moov_first, apart } = shape;
    let (a, b) = (25 * u64::from(PICTURE), 40 * u64::from(FRAME));
    let mdat_len = 16 + seconds * (a + b);
    let moov = |mdat_at: u64| {
        let first = mdat_at + 16;
        let trak = |id: u32, timescale: u32, duration, count: u32, size: u32, offset: &dyn Fn(u64) -> u64| {
            let stsd = boxed(b"stsd", &[vec![0, 0, 0, 0, 0, 0, 0, 1], boxed(b"xxxx", &[vec![0; 8]])]);
            let offsets = (0..seconds).flat_map(|n| {
                let at = offset(n);
                [(at >> 32) as u32, at as u32]
            });
            let all = seconds as u32 * count;
            let tables = [
                table(b"stts", [1, all, duration]),
                // A table although all are of one size, as video has it.
                table(b"stsz", [0, all].into_iter().chain((0..all).map(|_| size))),
                table(b"stsc", [1, 1, count, 1]),
                table(b"co64", std::iter::once(seconds as u32).chain(offsets)),
            ];
            let mut header = vec![0, 0, id];
            header.resize(20, 0);
            let minf = boxed(b"minf", &[boxed(b"stbl", &[stsd, tables.concat()])]);
            let mdia = boxed(b"mdia", &[table(b"mdhd", [0, 0, timescale, 0, 0x55C4_0000]), minf]);
            boxed(b"trak", &[table(b"tkhd", header), mdia])
        };
        let place = |n: u64, each: u64, before: u64, all_before: u64| {
            first + if apart { all_before + n * each } else { n * (a + b) + before }
        };
        let pictures = trak(1, 90_000, 3_600, 25, PICTURE, &|n| place(n, a, 0, 0));
        let sound = trak(2, 48_000, 1_200, 40, FRAME, &|n| place(n, b, a, seconds * a));
        boxed(b"moov", &[pictures, sound])
    };
    let mut source = Source::default();
    let mdat = [&[0, 0, 0, 1][..], b"mdat", &mdat_len.to_be_bytes()].concat();
    let moov_len = moov(0).len() as u64;
    if moov_first {
        source.push(moov(moov_len).into(), 1);
    }
    source.push(mdat.into(), 1);
    let payload = Bytes::from(vec![3; 1 << 20]);
    let (whole, rest) = ((mdat_len - 16) >> 20, (mdat_len - 16) % (1 << 20));
    source.push(payload.clone(), whole);
    source.push(payload.slice(..rest as usize), 1);
    if !moov_first {
        source.push(moov(0).into(), 1);
    }
    source
}

#[test]
fn a_plain_file_over_4_gib_costs_its_tables_wherever_the_moov_stands() {
    for moov_first in [true, false] {
        for apart in [true, false] {
            let seconds = 2_700;
            let mut source = plain(Plain { seconds, moov_first, apart });
            assert!(source.len > 4 << 30);
            let len = source.len;
            let outcome = read(&mut source, Reader::new().with_len(len), 1 << 20, Some(1));
            assert_eq!(outcome.samples, [seconds as usize * 25, 0]);
            assert_eq!(outcome.bytes, seconds * 25 * u64::from(PICTURE));
            let tables = seconds as usize * (25 + 40) * 4 + seconds as usize * 16;
            assert!(source.peak() < tables + (7 << 20), "{} bytes held", source.peak());
        }
    }
}

#[test]
fn both_tracks_of_a_plain_file_come_together_even_where_they_lie_apart() {
    for apart in [true, false] {
        let mut source = plain(Plain { seconds: 300, moov_first: false, apart });
        let outcome = read(&mut source, Reader::new(), 1 << 20, None);
        assert_eq!(outcome.samples, [7_500, 12_000]);
        assert!(outcome.apart <= 2.0, "{}", outcome.apart);
        assert!(source.peak() < 7 << 20, "{} bytes held", source.peak());
        // Each byte is read about once: sound from large windows of its own, as long as they last.
        assert!(source.asked < 1_200, "{} reads", source.asked);
    }
}

/// A buffer is alive as long as one of its samples is, and no longer.
#[test]
fn samples_are_slices_of_the_supplied_buffers() {
    let mut source = fragmented(4, 2);
    let mut reader = Reader::new();
    let mut buffers = HashSet::new();
    loop {
        match reader.poll().expect("a whole file") {
            Step::Need(range) => {
                let bytes = source.read(range);
                buffers.insert(bytes.as_ptr_range());
                reader.supply(&bytes).expect("a whole file");
            }
            Step::Samples { samples, .. } => {
                for sample in samples {
                    let at = sample.data.as_ptr();
                    assert!(buffers.iter().any(|buffer| buffer.contains(&at)));
                }
            }
            Step::Tracks | Step::Event(_) => {}
            Step::End => break,
        }
    }
    drop(reader);
    assert_eq!(source.held.now.load(Ordering::Relaxed), 0);
}
