//! Transport streams around any bytes, and what must hold of every demuxer's events.

use std::collections::BTreeMap;

use bytes::Bytes;
use overdub_fmp4::{Codec as Mp4Codec, TrackConfig, init_segment};
use overdub_ts::{
    AudioParams, BYTES_PER_SAMPLE, Codec, Config, Demuxer, Event, FREE_SAMPLES, Params, Stats, VideoParams,
};

pub const PAT_PID: u16 = 0;
pub const PMT_PID: u16 = 0x1000;
pub const ELEMENTARY_PID: u16 = 0x100;

/// Writes packets with the right continuity counters.
#[derive(Default)]
pub struct Mux {
    pub bytes: Vec<u8>,
    counters: BTreeMap<u16, u8>,
}

impl Mux {
    /// Splits `payload` into packets of `pid`, the last one stuffed.
    pub fn packets(&mut self, pid: u16, payload: &[u8]) {
        for (n, part) in payload.chunks(184).enumerate() {
            self.packet(pid, n == 0, part);
        }
    }

    /// One packet with at most 184 bytes of payload.
    pub fn packet(&mut self, pid: u16, start: bool, payload: &[u8]) {
        let counter = self.counters.entry(pid).or_default();
        let stuffing = 184 - payload.len();
        let control = if stuffing > 0 { 0x30 } else { 0x10 };
        self.bytes.extend([0x47, u8::from(start) << 6 | (pid >> 8) as u8, pid as u8, control | *counter]);
        *counter = (*counter + 1) % 16;
        if stuffing > 0 {
            // adaptation_field_length, flags, stuffing bytes
            let field = [stuffing as u8 - 1, 0x00].into_iter().chain(std::iter::repeat(0xFF));
            self.bytes.extend(field.take(stuffing));
        }
        self.bytes.extend(payload);
    }

    /// A packet of `pid` was lost on the way.
    pub fn lose(&mut self, pid: u16) {
        let counter = self.counters.entry(pid).or_default();
        *counter = (*counter + 1) % 16;
    }

    /// A section of any content with the right length and CRC, in packets of its own.
    pub fn section(&mut self, pid: u16, table: u8, body: &[u8]) {
        let mut section = vec![0, table]; // pointer_field
        let body = &body[..body.len().min(4_000)];
        let length = body.len() + 4;
        section.extend([0xB0 | (length >> 8) as u8, length as u8]);
        section.extend(body);
        section.extend(crc(&section[1..]).to_be_bytes());
        let whole = section.len().next_multiple_of(184);
        section.resize(whole, 0xFF);
        self.packets(pid, &section);
    }

    /// The body of a long section (ISO/IEC 13818-1 2.4.4.11) behind its extended header.
    pub fn table(&mut self, pid: u16, table: u8, extension: u16, body: &[u8]) {
        let head = [&extension.to_be_bytes()[..], &[0xC1, 0, 0]].concat();
        self.section(pid, table, &[&head, body].concat());
    }

    /// A PAT with program 1, and its map with one stream, described by `descriptors`.
    pub fn program(&mut self, stream_type: u8, descriptors: &[u8]) {
        self.table(PAT_PID, 0, 1, &[0, 1, 0xE0 | (PMT_PID >> 8) as u8, PMT_PID as u8]);
        let mut body = vec![0xE1, 0x00, 0xF0, 0x00, stream_type, 0xE1, 0x00, 0xF0, descriptors.len() as u8];
        body.extend(descriptors);
        self.table(PMT_PID, 2, 1, &body);
    }

    /// A PES packet; `bounded`: with its length.
    pub fn pes(
        &mut self,
        pid: u16,
        id: u8,
        (pts, dts): (Option<u64>, Option<u64>),
        bounded: bool,
        data: &[u8],
    ) {
        let mut header = vec![0x80, 0, 0];
        for (prefix, stamp) in [(if dts.is_some() { 3 } else { 2 }, pts), (1, dts)] {
            if let Some(stamp) = stamp {
                header[1] |= if prefix == 1 { 0x40 } else { 0x80 };
                header[2] += 5;
                header.extend(stamp_bytes(prefix, stamp));
            }
        }
        let length = if bounded { u16::try_from(header.len() + data.len()).unwrap_or(0) } else { 0 };
        let mut pes = vec![0, 0, 1, id, (length >> 8) as u8, length as u8];
        pes.extend(header);
        pes.extend(data);
        self.packets(pid, &pes);
    }
}

fn stamp_bytes(prefix: u8, stamp: u64) -> [u8; 5] {
    [
        prefix << 4 | (stamp >> 29) as u8 & 0x0E | 1,
        (stamp >> 22) as u8,
        (stamp >> 14) as u8 | 1,
        (stamp >> 7) as u8,
        (stamp << 1) as u8 | 1,
    ]
}

fn crc(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc & 1 << 31 == 0 { crc << 1 } else { crc << 1 ^ 0x04C1_1DB7 }
        })
    })
}

/// Where an input is cut.
#[derive(Clone, Copy)]
pub struct Cuts<'a> {
    /// Bytes pushed at a time.
    pub piece: usize,
    /// Offsets at which a segment ends, rising.
    pub segments: &'a [usize],
}

/// Everything that comes of `input`.
pub fn demux(input: &Bytes, config: Config, cuts: Cuts<'_>) -> (Vec<Event>, Stats) {
    let mut demuxer = Demuxer::with_config(config);
    let mut out = Vec::new();
    let mut from = 0;
    for &to in cuts.segments.iter().chain([&input.len()]) {
        let segment = input.slice(from..to);
        for piece in segment.chunks(cuts.piece) {
            demuxer.push(segment.slice_ref(piece));
            out.extend(std::iter::from_fn(|| demuxer.next_event()));
        }
        if to < input.len() {
            demuxer.end_segment();
        }
        from = to;
    }
    demuxer.finish();
    out.extend(std::iter::from_fn(|| demuxer.next_event()));
    let stats = demuxer.stats();
    (out, stats)
}

/// What must hold of any input: the same events however it is pushed, in the order of the input, no more bytes
/// than came in, and records that an init segment can hold.
pub fn check(input: &Bytes, config: Config, piece: usize, segments: &[usize]) -> Vec<Event> {
    let (events, stats) = demux(input, config, Cuts { piece: input.len().max(1), segments });
    assert!((events.clone(), stats) == demux(input, config, Cuts { piece, segments }), "pushed by {piece}");
    assert_eq!(stats.bytes, input.len() as u64);
    let len = input.len() as u64;
    let (mut offsets, mut payload, mut samples) = (BTreeMap::new(), 0, 0);
    for event in &events {
        match event {
            Event::Sample(sample) => {
                samples += 1;
                payload += sample.data.len() as u64;
                let before = offsets.insert(sample.pid, sample.offset).unwrap_or(0);
                assert!(before <= sample.offset && sample.offset < len, "{before} {} {len}", sample.offset);
            }
            Event::Params { params: Params::Video(params), .. } => check_record(video(params)),
            Event::Params { params: Params::Audio(params), .. } => {
                if let Some(codec) = audio(params) {
                    check_record(codec);
                }
            }
            Event::Damage(damage) => assert!(damage.offset <= len && damage.packet <= stats.packets),
            _ => {}
        }
    }
    assert_eq!(stats.samples, samples);
    // A start code of 3 bytes becomes a length of 4: at most a quarter more.
    assert!(payload <= len + len / 4, "{payload} bytes of {len}");
    events
}

/// As one segment, no more comes of it than its bytes allow.
pub fn check_budget(input: &Bytes) {
    let mut demuxer = Demuxer::new();
    demuxer.begin_segment(input.len() as u64);
    demuxer.push(input.clone());
    demuxer.end_segment();
    let events = std::iter::from_fn(|| demuxer.next_event());
    let samples = events.filter(|event| matches!(event, Event::Sample(_))).count() as u64;
    assert!(samples <= FREE_SAMPLES + input.len() as u64 / BYTES_PER_SAMPLE, "{samples} samples");
}

/// The NAL units behind their lengths fill each sample of `events` exactly, and none is empty.
fn check_lengths(events: &[Event]) {
    for event in events {
        let Event::Sample(sample) = event else { continue };
        let mut rest = &sample.data[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            assert!(0 < length && length <= after.len(), "{length} of {}", after.len());
            rest = &after[length..];
        }
        assert!(rest.is_empty() && !sample.data.is_empty());
    }
}

fn video(params: &VideoParams) -> Mp4Codec {
    let clamp = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    let (width, height) = (clamp(params.width), clamp(params.height));
    match params.codec {
        Codec::H264 => Mp4Codec::Avc { avcc: params.config.clone(), width, height },
        _ => Mp4Codec::Hevc { hvcc: params.config.clone(), width, height },
    }
}

fn audio(params: &AudioParams) -> Option<Mp4Codec> {
    let AudioParams { ref config, sample_rate, channels, .. } = *params;
    Some(match params.codec {
        Codec::AacAdts | Codec::AacLatm => Mp4Codec::Aac { asc: config.clone(), sample_rate, channels },
        Codec::MpegAudio => Mp4Codec::MpegAudio { sample_rate, channels },
        Codec::Ac3 => Mp4Codec::Ac3 { dac3: config.clone(), sample_rate, channels },
        Codec::Eac3 => Mp4Codec::Eac3 { dec3: config.clone(), sample_rate, channels },
        Codec::Opus => Mp4Codec::Opus { dops: config.clone(), channels },
        _ => return None,
    })
}

/// A record goes into an init segment and comes out of it the same.
fn check_record(codec: Mp4Codec) {
    let config = TrackConfig { id: 1, timescale: 90_000, codec, language: None, edit: None };
    let init = init_segment(std::slice::from_ref(&config)).expect("a record that can be written");
    let movie = overdub_fmp4::parse(&init).expect("an init segment");
    let read = &movie.tracks.first().expect("a track").info.config.codec;
    assert_eq!(record(read), record(&config.codec));
}

fn record(codec: &Mp4Codec) -> Option<&Bytes> {
    match codec {
        Mp4Codec::Avc { avcc: record, .. }
        | Mp4Codec::Hevc { hvcc: record, .. }
        | Mp4Codec::Aac { asc: record, .. }
        | Mp4Codec::Ac3 { dac3: record, .. }
        | Mp4Codec::Eac3 { dec3: record, .. }
        | Mp4Codec::Opus { dops: record, .. } => Some(record),
        _ => None,
    }
}

/// What one input may cost: very small PES packets are mostly stuffing.
const MOST_PES: usize = 100;

/// The codec parsers' input: nine control bytes, then elementary bytes, which are put into well-formed PES
/// packets with the stamps, losses and segment borders that the control bytes ask for.
pub fn check_elementary(input: &[u8], stream_type: u8, stream_id: u8, descriptors: &[u8]) {
    let mut control = crate::Control(input);
    let flags = control.byte();
    let size = (usize::from(control.byte()) + 1) * 8;
    let (losses, stamps) = (control.byte(), control.byte());
    let jump = u64::from(control.u32()) << 1;
    let piece = usize::from(control.byte()) + 1;
    let mut mux = Mux::default();
    mux.program(stream_type, descriptors);
    let mut segments = Vec::new();
    let mut time = 126_000_u64;
    for (n, data) in control.0.chunks(size).take(MOST_PES).enumerate() {
        time += 3_600;
        let stamp = match stamps >> (n % 4 * 2) & 3 {
            0 => (None, None),
            1 => (Some(time), None),
            2 => (Some(time + 7_200), Some(time)),
            _ => {
                time = time.wrapping_add(jump);
                (Some(time), Some(time.wrapping_sub(jump)))
            }
        };
        mux.pes(ELEMENTARY_PID, stream_id, stamp, flags & 1 == 0, data);
        if losses >> (n % 8) & 1 != 0 {
            match flags >> 1 & 3 {
                0 => mux.lose(ELEMENTARY_PID),
                1 => mux.bytes.truncate(mux.bytes.len() - 188),
                2 => segments.push(mux.bytes.len()),
                _ => mux.bytes.extend(&data[..data.len().min(20)]),
            }
        }
    }
    let stream = Bytes::from(mux.bytes);
    segments.retain(|&at| at < stream.len());
    let events = check(&stream, Config::default(), piece, &segments);
    if matches!(stream_type, 0x1B | 0x24) {
        check_lengths(&events);
    }
}
