//! Streams whose PES packets are units by themselves: timed ID3 tags.

use bytes::{Bytes, BytesMut};

use super::{Elementary, Output, Place, Times};
use crate::Ticks;
use crate::error::DamageKind;
use crate::event::{Intra, Sample};

/// Largest unit: tags carry cover pictures at most.
const MAX_UNIT: usize = 4 << 20;

/// Turns each PES packet of one stream into a sample.
#[derive(Debug)]
pub(crate) struct Whole {
    pid: u16,
    times: Option<Times>,
    buffer: BytesMut,
    offset: u64,
    damaged: bool,
    /// The packet is out already; bytes behind its length are none of it.
    done: bool,
}

impl Whole {
    pub(crate) fn new(pid: u16) -> Self {
        Self { pid, times: None, buffer: BytesMut::new(), offset: 0, damaged: false, done: false }
    }

    fn emit(&mut self, place: Place, out: &mut Output) {
        let whole = self.buffer.split().freeze();
        let damaged = std::mem::take(&mut self.damaged);
        if whole.is_empty() {
            return;
        }
        let elementary_len = whole.len() as u64;
        let data = without_cell_header(whole);
        let Some(Times { pts, dts }) = self.times.take() else {
            out.damage(DamageKind::NoFrame { bytes: elementary_len }, Some(self.pid), place);
            return;
        };
        out.sample(Sample {
            pid: self.pid,
            pts,
            dts,
            duration: Ticks(0),
            stamped: true,
            random_access: true,
            idr: true,
            intra: Intra::WithSets,
            damaged,
            data,
            elementary_len,
            offset: self.offset,
        });
    }
}

/// A tag may stand in a metadata access unit cell (ISO/IEC 13818-1 2.12.4): behind a service id, a sequence
/// number, flags and its length.
fn without_cell_header(unit: Bytes) -> Bytes {
    const TAG: &[u8] = b"ID3";
    match *unit {
        [_, _, _, high, low, ref rest @ ..] if !unit.starts_with(TAG) && rest.starts_with(TAG) => {
            let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
            unit.slice_ref(&rest[..length])
        }
        _ => unit,
    }
}

impl Elementary for Whole {
    fn begin(&mut self, times: Option<Times>, place: Place, out: &mut Output) {
        self.emit(place, out);
        self.times = times;
        self.offset = place.offset;
        self.done = false;
    }

    fn data(&mut self, bytes: &[u8], place: Place, out: &mut Output) {
        if self.done {
            return;
        }
        if self.buffer.len() + bytes.len() > MAX_UNIT {
            out.damage(DamageKind::TooLarge { limit: MAX_UNIT }, Some(self.pid), place);
            self.buffer.clear();
            self.done = true;
            return;
        }
        self.buffer.extend_from_slice(bytes);
    }

    fn end(&mut self, place: Place, out: &mut Output) {
        self.emit(place, out);
        self.done = true;
    }

    fn lost(&mut self, _: u64) {
        self.damaged = true;
    }

    fn damaged(&mut self) {
        self.damaged = true;
    }

    fn interrupted(&mut self, _: &mut Output) {
        self.damaged = true;
    }

    fn end_segment(&mut self, short: bool, place: Place, out: &mut Output) {
        if !short {
            self.emit(place, out);
        }
    }

    fn finish(&mut self, short: bool, place: Place, out: &mut Output) {
        self.damaged |= short;
        self.emit(place, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn each_pes_packet_is_a_tag_with_or_without_a_cell_header() {
        let mut parser = Whole::new(5);
        let mut out = Output::default();
        let place = Place::default();
        for (pts, parts) in [(10, [&b"ID3 one"[..], b" more"]), (20, [&[0, 0, 0xFF, 0, 7, b'I'], b"D3 two."])]
        {
            parser.begin(Some(Times { pts: Ticks(pts), dts: Ticks(pts) }), place, &mut out);
            parts.iter().for_each(|part| parser.data(part, place, &mut out));
            parser.end(place, &mut out);
        }
        parser.data(b"stuffing", place, &mut out);
        parser.finish(false, place, &mut out);
        let found: Vec<_> = out
            .events
            .iter()
            .map(|event| match event {
                Event::Sample(sample) => (sample.pts.0, &sample.data[..]),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, [(10, &b"ID3 one more"[..]), (20, b"ID3 two")]);
    }
}
