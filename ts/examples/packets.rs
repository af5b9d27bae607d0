//! Prints every sample of a transport stream: `pid pts dts size flags`, as `ffprobe -show_packets` would;
//! parameters and damage go to standard error.
//!
//! `cargo run -p overdub-ts --example packets FILE [--elementary PID]`: the latter writes the samples of one
//! PID to standard output instead, as Annex B or ADTS, for a decoder to judge.

#![expect(clippy::disallowed_methods, reason = "the crate does no I/O; its examples do")]

use std::io::Write as _;

use bytes::Bytes;
use overdub_ts::{Choice, Codec, Config, Demuxer, Event, Params, Sample, VideoParams};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let Some(file) = args.next() else {
        eprintln!("usage: packets FILE [--elementary PID]");
        std::process::exit(2);
    };
    let elementary = args.nth(1).and_then(|pid| pid.parse::<u16>().ok());
    let mut demuxer = Demuxer::with_config(Config { raw: false, programs: Choice::All });
    demuxer.push(Bytes::from(std::fs::read(file)?));
    demuxer.finish();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    while let Some(event) = demuxer.next_event() {
        match event {
            Event::Sample(sample) if Some(sample.pid) == elementary => out.write_all(&annex_b(&sample))?,
            Event::Sample(sample) if elementary.is_none() => {
                let Sample { pid, pts, dts, elementary_len, .. } = sample;
                let flags = if sample.random_access { "K_" } else { "__" };
                let stamped = if sample.stamped { "" } else { " unstamped" };
                let damaged = if sample.damaged { " damaged" } else { "" };
                writeln!(
                    out,
                    "{pid} {} {} {elementary_len} {flags}{stamped}{damaged} @{}",
                    pts.get(),
                    dts.get(),
                    sample.offset
                )?;
            }
            Event::Params { pid, params: Params::Video(params) } => {
                if Some(pid) == elementary {
                    out.write_all(&parameter_sets(&params))?;
                }
                eprintln!("{pid} {params:?}");
            }
            Event::Sample(_) => {}
            other => eprintln!("{other:?}"),
        }
    }
    eprintln!("{:?}", demuxer.stats());
    out.flush()
}

/// The NAL units of a length-prefixed sample behind start codes.
fn annex_b(sample: &Sample) -> Vec<u8> {
    let mut rest = &sample.data[..];
    let mut out = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (unit, next) = after.split_at(u32::from_be_bytes(*length) as usize);
        out.extend([0, 0, 0, 1]);
        out.extend(unit);
        rest = next;
    }
    out
}

/// The parameter sets of a configuration record behind start codes.
fn parameter_sets(params: &VideoParams) -> Vec<u8> {
    let mut out = Vec::new();
    let mut take = |rest: &mut &[u8], count: usize| {
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk().expect("a length");
            let (unit, next) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            out.extend([0, 0, 0, 1]);
            out.extend(unit);
            *rest = next;
        }
    };
    let record = &params.config[..];
    if params.codec == Codec::H264 {
        let mut rest = &record[6..];
        take(&mut rest, usize::from(record[5] & 0x1F));
        let count = usize::from(rest[0]);
        rest = &rest[1..];
        take(&mut rest, count);
    } else {
        let mut rest = &record[23..];
        for _ in 0..record[22] {
            let count = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
            rest = &rest[3..];
            take(&mut rest, count);
        }
    }
    out
}
