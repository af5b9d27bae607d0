//! Hostile tables in well-formed packets: sections with the right length and CRC around any bytes.
//!
//! The input is a list of records: what to do, how many bytes follow, the bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_fuzz::{Control, ts};
use overdub_ts::{Choice, Config};

/// Packets in all: what one input may cost.
const MOST: usize = 400 * 188;

fuzz_target!(|data: &[u8]| {
    let mut control = Control(data);
    let head = control.byte();
    let programs = match head & 3 {
        0 => Choice::All,
        1 => Choice::Number(1),
        _ => Choice::First,
    };
    let config = Config { raw: head & 4 != 0, programs };
    let piece = usize::from(control.byte()) + 1;
    let mut mux = ts::Mux::default();
    let mut segments = Vec::new();
    while !control.is_empty() && mux.bytes.len() < MOST {
        let (what, len) = (control.byte(), control.byte());
        let body = control.take(len.into());
        let number = u16::from(what >> 4 & 3);
        let pmt_pid = ts::PMT_PID + number;
        let pid = ts::ELEMENTARY_PID + number;
        match what & 0x0F {
            0 => mux.table(ts::PAT_PID, 0, 1, body),
            1 => mux.table(pmt_pid, 2, number, body),
            2 => mux.table(pmt_pid, 2, number, &body.repeat(8)),
            3 => mux.section(pmt_pid, what >> 6, body),
            4 => mux.section(ts::PAT_PID, what >> 6, body),
            // Splice information (SCTE 35 9.2), or whatever else is announced on this PID.
            5 => mux.section(pid, 0xFC, body),
            6 => mux.packets(pmt_pid, body),
            7 => mux.packets(ts::PAT_PID, body),
            8 => mux.packet(pmt_pid, false, &body[..body.len().min(184)]),
            9 => mux.pes(pid, 0xE0, (Some(u64::from(len) << 8), None), what & 0x80 != 0, body),
            10 => mux.bytes.extend(body),
            11 => mux.lose(pmt_pid),
            12 => segments.push(mux.bytes.len()),
            13 => mux.packets(pid, body),
            14 => {
                let again = mux.bytes.len().saturating_sub(188);
                mux.bytes.extend_from_within(again..);
            }
            _ => mux.packets(control.u16() & 0x1FFF, body),
        }
    }
    let stream = Bytes::from(mux.bytes);
    segments.retain(|&at| at < stream.len());
    let _ = ts::check(&stream, config, piece, &segments);
});
