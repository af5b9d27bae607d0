//! Transport streams that make as much work or output as they can of each byte.

use bytes::Bytes;

use super::support::{AUDIO, Mux, PMT, PPS, SPS, VIDEO, adts, annex_b, slice};

/// One kind: its name, and what makes about so many bytes of it.
pub(crate) type Attack = (&'static str, fn(usize) -> Bytes);

pub(crate) const ATTACKS: [Attack; 17] = [
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
    ("start codes", |size| video(size, &[0, 0, 1])),
    ("NAL units of one byte", |size| video(size, &[0, 0, 1, 0x41])),
    ("SEI messages of two bytes", |size| video(size, &[0, 0, 1, 6, 5])),
    ("pictures of some bytes", |size| {
        let units: Vec<Vec<u8>> = (0..16).map(|n| slice(n == 0, true, n, n, 0x11, 0)).collect();
        let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
        video(size, &[&annex_b(&[SPS, PPS])[..], &annex_b(&units)].concat())
    }),
    ("another SPS for each picture", |size| {
        let mut other = SPS.to_vec();
        other[3] += 1;
        let unit = slice(true, true, 0, 0, 0x11, 0);
        video(size, &annex_b(&[SPS, PPS, &unit, &other, PPS, &unit]))
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
        let descriptor = [0x05, 4, b'I', b'D', b'3', b' '];
        let mut body = vec![0xE1, 0x00, 0xF0, 0x00, 0x1B, 0xE1, 0x00, 0xF0, 0, 0x15, 0xE1, 0x02, 0xF0, 6];
        body.extend(descriptor);
        mux.section(0, 0, 1, &[0, 1, 0xE0 | (PMT >> 8) as u8, PMT as u8]).section(PMT, 2, 1, &body);
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
fn video(size: usize, unit: &[u8]) -> Bytes {
    let payload: Vec<u8> = unit.iter().copied().cycle().take(60_000 / unit.len() * unit.len()).collect();
    fill(size, &[(0x1B, VIDEO)], |mux, n| {
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
