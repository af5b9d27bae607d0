//! Transport streams that make as much work or output as they can of each byte.

use bytes::Bytes;

use super::support::{AUDIO, Mux, PMT, PPS, SPS, VIDEO, adts, annex_b, slice};

/// One kind: its name, and what makes about so many bytes of it.
pub(crate) type Attack = (&'static str, fn(usize) -> Bytes);

pub(crate) const ATTACKS: [Attack; 24] = [
    ("a PAT again and again", |size| fill(size, &[], |mux, _| pat(mux, 250, 0))),
    ("PATs that differ", |size| fill(size, &[], |mux, n| pat(mux, 40, n as u16))),
    ("programs that come and go, among packets of unknown PIDs", |size| {
        fill(size, &[], |mux, n| {
            if n < 8_000 {
                mux.packets(0x1F00, &[0; 184]);
            }
            mux.section(0, 0, 1, &[0, 1, 0xF0, n as u8 % 0x80]);
        })
    }),
    ("maps that differ", |size| {
        fill(size, &[(0x1B, VIDEO)], |mux, n| {
            let body = [0xE1, 0x00, 0xF0, 0x00, 0x1B, 0xE2, n as u8, 0xF0, 0];
            mux.section(PMT, 2, 1, &body);
        })
    }),
    ("start codes", |size| video(size, 0x1B, &[0, 0, 1])),
    ("start codes of HEVC", |size| video(size, 0x24, &[0, 0, 1])),
    ("NAL units of one byte", |size| video(size, 0x1B, &[0, 0, 1, 0x41])),
    ("NAL units of HEVC of three bytes", |size| video(size, 0x24, &[0, 0, 1, 2, 1, 0x80])),
    ("SEI messages of two bytes", |size| video(size, 0x1B, &[0, 0, 1, 6, 5])),
    ("pictures of some bytes", |size| {
        let units: Vec<Vec<u8>> = (0..16).map(|n| slice(n == 0, true, n, n, 0x11, 0)).collect();
        let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
        video(size, 0x1B, &[&annex_b(&[SPS, PPS])[..], &annex_b(&units)].concat())
    }),
    ("another SPS for each picture", |size| {
        let mut other = SPS.to_vec();
        other[3] += 1;
        let unit = slice(true, true, 0, 0, 0x11, 0);
        video(size, 0x1B, &annex_b(&[SPS, PPS, &unit, &other, PPS, &unit]))
    }),
    ("ADTS frames of eight bytes", |size| audio(size, 0x0F, &adts(0x11, 1))),
    ("ADTS headers without frames", |size| audio(size, 0x0F, &[0xFF, 0xF1, 0x4C, 0x80, 0, 0])),
    ("sync bytes", |size| audio(size, 0x0F, &[0xFF])),
    ("a byte between ADTS frames", |size| audio(size, 0x0F, &[&adts(0x11, 1)[..], &[0]].concat())),
    // Layer III, MPEG-2.5, 8 kbit/s at 12 kHz: 48 bytes.
    ("MPEG audio frames of 48 bytes", |size| {
        let mut frame = vec![0xFF, 0xE3, 0x14, 0xC0];
        frame.resize(48, 0);
        audio(size, 0x03, &frame)
    }),
    ("Opus packets of one byte", |size| {
        let descriptors = [5, 4, b'O', b'p', b'u', b's', 0x7F, 2, 0x80, 2];
        let mut mux = described(0x06, AUDIO, &descriptors);
        let payload = [0x7F, 0xE0, 1, 0xFC].repeat(15_000);
        for n in 0.. {
            if mux.bytes.len() >= size {
                break;
            }
            mux.pes(AUDIO, 0xBD, Some((n * 3_600, n * 3_600)), true, &payload);
        }
        mux.bytes.into()
    }),
    // 32 kbit/s at 48 kHz: 128 bytes, and six blocks of 256 samples.
    ("AC-3 frames of 128 bytes", |size| {
        let mut frame = vec![0x0B, 0x77, 0, 0, 0, 0x40, 0x2F, 0x84];
        frame.resize(128, 0);
        audio(size, 0x81, &frame)
    }),
    // One block of 256 samples in 64 bytes.
    ("E-AC-3 frames of 64 bytes", |size| {
        let mut frame = vec![0x0B, 0x77, 0, 0x1F, 0x04, 0x80];
        frame.resize(64, 0);
        audio(size, 0x87, &frame)
    }),
    // AudioMuxElement with a StreamMuxConfig, and without.
    ("LATM elements of four bytes", |size| audio(size, 0x11, &[0x56, 0xE0, 1, 0x80])),
    ("runs of LATM elements", |size| {
        audio(size, 0x11, &[[0x56, 0xE0, 1, 0x80].repeat(200), vec![0]].concat())
    }),
    ("PES packets of one byte", |size| {
        fill(size, &[(0x0F, AUDIO)], |mux, n| {
            mux.pes(AUDIO, 0xC0, Some((n as u64 * 90, n as u64 * 90)), true, &[0xFF]);
        })
    }),
    ("ID3 tags of one byte", |size| {
        fill(size, &[(0x15, 0x102)], |mux, n| {
            mux.pes(0x102, 0xBD, Some((n as u64 * 90, n as u64 * 90)), true, b"I");
        })
    }),
    ("splice information", |size| {
        fill(size, &[(0x86, 0x103)], |mux, n| {
            mux.section(0x103, 0xFC, n as u16, &[0; 4]);
        })
    }),
];

/// Pictures and audio of an ordinary stream, for comparison.
pub(crate) fn ordinary(size: usize) -> Bytes {
    fill(size, &[(0x1B, VIDEO), (0x0F, AUDIO)], |mux, n| {
        let stamp = n as u64 * 3_600;
        let unit = slice(n.is_multiple_of(50), true, n as u8, (2 * n) as u8, 0x11, 12_000);
        mux.pes(VIDEO, 0xE0, Some((stamp, stamp)), false, &annex_b(&[SPS, PPS, &unit]));
        let frames = [adts(n as u8, 380), adts(n as u8, 390)].concat();
        mux.pes(AUDIO, 0xC0, Some((stamp, stamp)), true, &frames);
    })
}

fn fill(size: usize, streams: &[(u8, u16)], mut each: impl FnMut(&mut Mux, usize)) -> Bytes {
    let mut mux = Mux::default();
    if streams == [(0x86, 0x103)] {
        // Registered as SCTE 35 by its type alone; a program needs something to take apart beside it.
        mux.tables(&[(0x1B, VIDEO), (0x86, 0x103)]);
    } else if streams == [(0x15, 0x102)] {
        mux = described(0x15, 0x102, b"\x05\x04ID3 ");
    } else if !streams.is_empty() {
        mux.tables(streams);
    }
    let mut n = 0;
    while mux.bytes.len() < size {
        each(&mut mux, n);
        n += 1;
    }
    mux.bytes.into()
}

/// The tables of a program with pictures, and a stream with descriptors.
fn described(stream_type: u8, pid: u16, descriptors: &[u8]) -> Mux {
    let mut mux = Mux::default();
    let mut body = vec![0xE1, 0x00, 0xF0, 0x00, 0x1B, 0xE1, 0x00, 0xF0, 0];
    body.extend([stream_type, 0xE0 | (pid >> 8) as u8, pid as u8, 0xF0, descriptors.len() as u8]);
    body.extend(descriptors);
    mux.section(0, 0, 1, &[0, 1, 0xE0 | (PMT >> 8) as u8, PMT as u8]).section(PMT, 2, 1, &body);
    mux
}

fn pat(mux: &mut Mux, programs: u16, first: u16) {
    let body: Vec<u8> = (0..programs)
        .flat_map(|n| {
            let number = 1 + n + first % 7 * programs;
            let pid = 0xE000 | (0x20 + number);
            [number.to_be_bytes(), pid.to_be_bytes()].concat()
        })
        .collect();
    mux.section(0, 0, 1, &body);
}

/// `unit` over and over, in PES packets with stamps.
fn video(size: usize, stream_type: u8, unit: &[u8]) -> Bytes {
    let payload: Vec<u8> = unit.iter().copied().cycle().take(60_000 / unit.len() * unit.len()).collect();
    fill(size, &[(stream_type, VIDEO)], |mux, n| {
        let stamp = n as u64 * 3_600;
        mux.pes(VIDEO, 0xE0, Some((stamp, stamp)), false, &payload);
    })
}

fn audio(size: usize, stream_type: u8, frame: &[u8]) -> Bytes {
    let payload: Vec<u8> = frame.iter().copied().cycle().take(60_000 / frame.len() * frame.len()).collect();
    fill(size, &[(stream_type, AUDIO)], |mux, n| {
        let stamp = n as u64 * 3_600;
        mux.pes(AUDIO, 0xC0, Some((stamp, stamp)), true, &payload);
    })
}
