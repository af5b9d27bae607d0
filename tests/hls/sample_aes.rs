//! `METHOD=SAMPLE-AES` with a plain key, encrypted here as Apple's "MPEG-2 Stream Encryption Format for HTTP Live
//! Streaming" says; FFmpeg, which decrypts it too, says whether it was done right.

use std::collections::HashMap;

use aes::Aes128;
use cbc::Encryptor;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use overdub_ts as ts;

use crate::clips::{Clip, Form, HASHES, Packets, ffmpeg, read_hashes};
use crate::origin::{Answer, segment_number, start};
use crate::run::{run, settings};

const KEY: [u8; 16] = *b"sixteen bytes...";
const IV: [u8; 16] = [0x5A; 16];
const SECONDS: usize = 4;

const PACKET: usize = 188;
const MAP_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;

struct Cipher(Encryptor<Aes128>);

impl Cipher {
    fn new() -> Self {
        Self(Encryptor::new((&KEY).into(), (&IV).into()))
    }

    fn blocks(&mut self, bytes: &mut [u8]) {
        bytes.as_chunks_mut::<16>().0.iter_mut().for_each(|block| self.0.encrypt_block(block.into()));
    }
}

/// The slices of an Annex B stream, one block in ten, and emulation prevention once more.
fn encrypted_pictures(stream: &[u8]) -> Vec<u8> {
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(2)).filter(|at| stream[*at..].starts_with(&[0, 0, 1])).collect();
    let mut out = stream[..starts.first().copied().unwrap_or(stream.len())].to_vec();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(stream.len());
        let zeros = stream[start + 3..end].iter().rev().take_while(|byte| **byte == 0).count();
        let mut unit = stream[start + 3..end - zeros].to_vec();
        out.extend([0, 0, 1]);
        if unit.len() > 48 && matches!(unit[0] & 0x1F, 1 | 5) {
            let (mut cipher, mut at) = (Cipher::new(), 32);
            while unit.len() - at > 16 {
                cipher.blocks(&mut unit[at..at + 16]);
                at = (at + 160).min(unit.len());
            }
            for byte in unit {
                if byte <= 3 && out.ends_with(&[0, 0]) {
                    out.push(3);
                }
                out.push(byte);
            }
        } else {
            out.extend(unit);
        }
        out.resize(out.len() + zeros, 0);
    }
    out
}

/// The ADTS frames, all but the header and 16 bytes.
fn encrypted_sound(stream: &[u8]) -> Vec<u8> {
    let mut out = stream.to_vec();
    let mut at = 0;
    while at < out.len() {
        let header = ts::adts::Header::parse(&out[at..]).expect("whole frames");
        let frame = &mut out[at..at + header.frame_len];
        if let Some(hidden) = frame.get_mut(header.header_len + 16..) {
            Cipher::new().blocks(hidden);
        }
        at += header.frame_len;
    }
    out
}

/// A transport stream of FFmpeg's again, its PES packets encrypted.
#[derive(Default)]
struct Muxer {
    out: Vec<u8>,
    counters: HashMap<u16, u8>,
    /// Of each PID, the adaptation field of the first packet, and the PES packet.
    open: HashMap<u16, (Vec<u8>, Vec<u8>)>,
}

impl Muxer {
    fn encrypted(segment: &[u8]) -> Vec<u8> {
        let mut muxer = Self::default();
        for packet in segment.chunks_exact(PACKET) {
            muxer.packet(packet);
        }
        for pid in [VIDEO_PID, AUDIO_PID] {
            muxer.flush(pid);
        }
        muxer.out
    }

    fn packet(&mut self, packet: &[u8]) {
        let pid = u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2]);
        let field = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        let (field, payload) = packet[4..].split_at(field);
        let starts = packet[1] & 0x40 != 0;
        match pid {
            VIDEO_PID | AUDIO_PID => {
                if starts {
                    self.flush(pid);
                    // The PCR, without stuffing.
                    let field = if field.len() >= 8 && field[1] & 0x10 != 0 {
                        field[1..8].to_vec()
                    } else {
                        Vec::new()
                    };
                    self.open.insert(pid, (field, Vec::new()));
                }
                self.open.get_mut(&pid).expect("it began").1.extend_from_slice(payload);
            }
            MAP_PID => {
                let mut packet = packet.to_vec();
                let section = &mut packet[5..];
                let length = 3 + (usize::from(section[1] & 0x0F) << 8 | usize::from(section[2]));
                for at in 12..length - 4 {
                    let streams = [(0x1B_u8, VIDEO_PID, 0xDB), (0x0F, AUDIO_PID, 0xCF)];
                    for (plain, pid, encrypted) in streams {
                        if section[at..].starts_with(&[plain, 0xE0 | (pid >> 8) as u8, pid as u8]) {
                            section[at] = encrypted;
                        }
                    }
                }
                let crc = ts::section_crc(&section[..length - 4]);
                section[length - 4..length].copy_from_slice(&crc.to_be_bytes());
                self.out.extend(packet);
            }
            _ => self.out.extend_from_slice(packet),
        }
    }

    fn flush(&mut self, pid: u16) {
        let Some((field, pes)) = self.open.remove(&pid) else { return };
        let (header, payload) = pes.split_at(9 + usize::from(pes[8]));
        let payload = if pid == VIDEO_PID { encrypted_pictures(payload) } else { encrypted_sound(payload) };
        let mut header = header.to_vec();
        if pid == VIDEO_PID {
            // Of any length: it may have grown.
            header[4..6].fill(0);
        }
        let pes = [header, payload].concat();
        let (mut rest, mut field) = (pes.as_slice(), field);
        let mut first = 0x40;
        while !rest.is_empty() {
            let counter = self.counters.entry(pid).or_default();
            *counter = (*counter + 1) & 0x0F;
            let counter = *counter;
            let has_field = !field.is_empty() || rest.len() < PACKET - 4;
            let room = PACKET - 4 - if has_field { 1 + field.len().max(1) } else { 0 };
            let (part, after) = rest.split_at(rest.len().min(room));
            // Exactly one byte short of a packet: a field of no length.
            let exact = has_field && field.is_empty() && rest.len() == PACKET - 5;
            let (part, after) = if exact { rest.split_at(rest.len()) } else { (part, after) };
            let control = if has_field { 0x30 } else { 0x10 };
            self.out.extend([0x47, first | (pid >> 8) as u8, pid as u8, control | counter]);
            if has_field {
                let length = PACKET - 5 - part.len();
                self.out.push(length as u8);
                if length > 0 {
                    let mut content = if field.is_empty() { vec![0] } else { std::mem::take(&mut field) };
                    content.resize(length, 0xFF);
                    self.out.extend(content);
                }
            }
            self.out.extend_from_slice(part);
            rest = after;
            first = 0;
        }
    }
}

/// All samples of a transport stream, by PID: what is in them is what counts.
fn samples(stream: impl IntoIterator<Item = axum::body::Bytes>) -> HashMap<u16, Vec<axum::body::Bytes>> {
    let mut demuxer = ts::Demuxer::default();
    let mut found: HashMap<u16, Vec<_>> = HashMap::new();
    let mut take = |demuxer: &mut ts::Demuxer| {
        while let Some(event) = demuxer.next_event() {
            if let ts::Event::Sample(sample) = event {
                assert!(!sample.damaged);
                found.entry(sample.pid).or_default().push(sample.data);
            }
        }
    };
    for segment in stream {
        demuxer.push(segment);
        demuxer.end_segment();
        take(&mut demuxer);
    }
    demuxer.finish();
    take(&mut demuxer);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_samples_are_those_of_the_clip_here_and_in_ffmpeg() {
    let clip = Clip::make(Form::Muxed, "320x180", 48_000, 0.0, SECONDS);
    let encrypted: Vec<axum::body::Bytes> =
        clip.segments.iter().map(|segment| Muxer::encrypted(segment).into()).collect();
    let iv: String = IV.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: String = (0..SECONDS).map(|n| format!("#EXTINF:1,\nseg-{n}.ts\n")).collect();
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"key\",IV=0x{iv}\n{list}#EXT-X-ENDLIST\n"
    );
    let (url, _) = start(move |ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(encrypted[usize::try_from(number).expect("few")].clone()),
        None if ask.path == "/key" => Answer::Body(KEY.to_vec().into()),
        None => Answer::text(playlist.clone()),
    })
    .await;

    let mut command = ffmpeg();
    command.args(["-i", url.as_str()]).args(HASHES).arg("-");
    let output = tokio::task::spawn_blocking(move || command.output().expect("ffmpeg runs")).await.unwrap();
    let theirs = read_hashes(&String::from_utf8_lossy(&output.stdout));
    let mut expected = Packets::default();
    // FFmpeg 5.1 leaves the last packets encrypted: those that it still holds when no segment is left to be read.
    clip.packets[..SECONDS - 1].iter().for_each(|packets| expected.add(packets.clone()));
    let missing = |all: &HashMap<String, u32>, some: &HashMap<String, u32>| {
        all.keys().filter(|hash| !some.contains_key(*hash)).count()
    };
    assert_eq!(missing(&expected.video, &theirs.video), 0, "the pictures are not encrypted as FFmpeg has it");
    assert_eq!(missing(&expected.audio, &theirs.audio), 0, "the sound is not encrypted as FFmpeg has it");

    let got = run(settings(url)).take(SECONDS).await;
    assert!(got.lost.is_empty(), "{:?}", got.lost);
    let ours = samples(got.segments.into_iter().map(|segment| segment.data));
    let clear = samples(clip.segments);
    assert_eq!(ours.keys().count(), 2);
    assert!(ours == clear);
}
