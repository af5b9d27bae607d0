//! Where packets begin: 188 bytes at a stride of 188, 192 or 204.
//!
//! The decision depends on the bytes alone, never on how they were cut into pushes.

use bytes::{Bytes, BytesMut};

/// Size of a transport packet (ISO/IEC 13818-1 2.4.3.2), whatever surrounds it.
pub(crate) const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Distances between packets in use: plain, M2TS (a 4-byte time code before each packet), and with 16 bytes
/// of Reed-Solomon parity after each (ETSI EN 300 429).
const STRIDES: [usize; 3] = [188, 192, 204];
/// Sync bytes in a row that make a lock: random bytes do that once in 2^32 places per stride.
const LOCK: usize = 4;
/// Packets in a row that make a lock where packets are expected: at the stride that was lost, or at the
/// start. Short stretches of good packets between losses are worth more than the chance of a wrong lock,
/// which costs one packet of a random PID.
const RELOCK: usize = 2;
/// Segments are disguised as images: behind the header of a GIF, chance may find a second sync byte in its pixels.
const GIF: &[u8] = b"GIF8";
/// How far the search looks ahead of a place to judge it.
const LOOK_AHEAD: usize = (LOCK - 1) * 204 + 1;
/// How much of a push is joined to what the push before left over: enough that what is then left over lies
/// in the new push altogether.
const BORDER: usize = 1024;

/// What [`Framer::next`] found. Positions are within the window, offsets from the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Packet {
        position: usize,
        at: u64,
    },
    /// So many bytes before the next packet belong to none.
    Skipped {
        bytes: u64,
        at: u64,
    },
    /// The end came inside a packet.
    Cut {
        bytes: u32,
        at: u64,
    },
}

/// Cuts the input into packets.
#[derive(Debug)]
pub(crate) struct Framer {
    /// The stretch of input in work.
    window: Bytes,
    /// The push whose first bytes the window ends with, until it takes the window's place.
    pushed: Bytes,
    /// First byte of `window` that is not consumed.
    position: usize,
    /// Offset of `position` from the start of the input.
    at: u64,
    /// Distance between packets while locked.
    stride: Option<usize>,
    /// The stride of the last lock, tried first.
    last_stride: usize,
    /// Bytes between packets that the window did not contain yet.
    gap: usize,
    /// Bytes passed over since the search began.
    skipped: u64,
    /// The search began where packets were due, not at the start of the input or a segment.
    lost: bool,
    /// A packet that the end of a segment cuts stays for what comes next.
    keeps_cut: bool,
}

impl Framer {
    pub(crate) fn new() -> Self {
        Self {
            window: Bytes::new(),
            pushed: Bytes::new(),
            position: 0,
            at: 0,
            stride: None,
            last_stride: STRIDES[0],
            gap: 0,
            skipped: 0,
            lost: false,
            keeps_cut: false,
        }
    }

    /// Appends `chunk`, once [`Framer::next`] has returned `None` and [`Framer::advance`] `false`.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        let left = &self.window[self.position..];
        if left.is_empty() {
            self.window = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(left.len() + chunk.len().min(BORDER));
            joined.extend_from_slice(left);
            joined.extend_from_slice(&chunk[..chunk.len().min(BORDER)]);
            self.window = joined.freeze();
            if chunk.len() > BORDER {
                self.pushed = chunk;
            }
        }
        self.position = 0;
    }

    /// Goes on from the bytes around a border between two pushes, once all of them are judged, to the rest of
    /// the later push. Only those around the border were copied. `false`: there is no rest.
    pub(crate) fn advance(&mut self) -> bool {
        let pushed = std::mem::take(&mut self.pushed);
        if pushed.is_empty() {
            return false;
        }
        let left = self.window.len() - self.position;
        debug_assert!(left <= BORDER, "a look ahead is shorter");
        self.window = pushed.slice(BORDER - left.min(BORDER)..);
        self.position = 0;
        true
    }

    /// The bytes that positions refer to; they change with [`Framer::feed`] and
    /// [`Framer::advance`] only.
    pub(crate) fn window(&self) -> Bytes {
        self.window.clone()
    }

    /// The next packet or gap; `None` when more input is needed. `ended`: none will come, so the search may
    /// judge by what there is.
    pub(crate) fn next(&mut self, ended: bool) -> Option<Found> {
        loop {
            let gap = self.gap.min(self.window.len() - self.position);
            self.gap -= gap;
            self.consume(gap);
            let Some(stride) = self.stride else {
                match self.search(ended) {
                    Some(found) => return Some(found),
                    None if self.stride.is_some() => continue,
                    None => return None,
                }
            };
            let rest = &self.window[self.position..];
            match rest.first() {
                None => return None,
                Some(&SYNC) => {}
                Some(_) => {
                    self.stride = None;
                    self.lost = true;
                    continue;
                }
            }
            if rest.len() < PACKET {
                if !ended || self.keeps_cut {
                    return None;
                }
                let cut = Found::Cut { bytes: rest.len() as u32, at: self.at };
                self.consume(rest.len());
                return Some(cut);
            }
            if rest.len() <= stride && !ended {
                return None; // the next sync byte judges this packet
            }
            if rest.get(stride).is_some_and(|&byte| byte != SYNC) {
                if rest.len() < stride + LOOK_AHEAD && !ended {
                    return None;
                }
                // Bytes of this packet are missing where the next ones begin inside of it.
                let next = memchr::memchr_iter(SYNC, &rest[1..stride]).map(|at| at + 1);
                if let Some(at) = { next }.find(|&at| is_lock(&rest[at..], stride, LOCK)) {
                    self.lost = true;
                    self.skip(at);
                    return self.report(0);
                }
            }
            let found = Found::Packet { position: self.position, at: self.at };
            self.consume(PACKET);
            self.gap = stride - PACKET;
            return Some(found);
        }
    }

    /// Until the next [`Framer::restart`], an end leaves the packet that it cuts: it may go on in what comes next.
    pub(crate) fn keep_cut(&mut self) {
        self.keeps_cut = true;
    }

    /// A new run of packets begins with the next byte fed, or goes on with a packet that was kept; returns whether
    /// there is one. What was left of the old run must have been drained with `ended`.
    pub(crate) fn restart(&mut self) -> bool {
        self.stride = None;
        self.gap = 0;
        self.lost = false;
        self.keeps_cut = false;
        self.position < self.window.len()
    }

    /// Whether the skipped bytes that were just reported stood where packets were due.
    pub(crate) fn consume_loss(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    fn consume(&mut self, bytes: usize) {
        self.position += bytes;
        self.at += bytes as u64;
    }

    /// Looks for a place where packets begin. Locks and returns `None`, or reports what was skipped first.
    fn search(&mut self, ended: bool) -> Option<Found> {
        loop {
            let rest = &self.window[self.position..];
            let Some(next) = memchr::memchr(SYNC, rest) else {
                self.skip(rest.len());
                return if ended { self.report(0) } else { None };
            };
            self.skip(next);
            let rest = &self.window[self.position..];
            if rest.len() < LOOK_AHEAD && !ended {
                return None;
            }
            let again = (self.lost && is_lock(rest, self.last_stride, RELOCK)).then_some(self.last_stride);
            // At the start of the input or a segment, packets are due at once; but a GIF begins with a sync byte.
            let due = self.skipped == 0 && !self.lost && !rest.starts_with(GIF);
            let count = if due { RELOCK } else { LOCK };
            let Some(stride) = again.or_else(|| STRIDES.into_iter().find(|&it| is_lock(rest, it, count)))
            else {
                self.skip(1);
                continue;
            };
            self.stride = Some(stride);
            self.last_stride = stride;
            // What precedes the first packet of an M2TS file is its time code.
            return self.report(if self.lost { 0 } else { stride - PACKET });
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.consume(bytes);
        self.skipped += bytes as u64;
    }

    fn report(&mut self, allowed: usize) -> Option<Found> {
        let bytes = std::mem::take(&mut self.skipped);
        (bytes > allowed as u64).then(|| Found::Skipped { bytes, at: self.at - bytes })
    }
}

/// Whether `count` packets begin at the start of `rest`. Where it ends too early, as many as there can be,
/// after one whole packet.
fn is_lock(rest: &[u8], stride: usize, count: usize) -> bool {
    // adaptation_field_control 00 is reserved, and receivers discard it (2.4.3.3).
    let plausible = |at: usize| rest[at] == SYNC && rest.get(at + 3).is_none_or(|byte| byte & 0x30 != 0);
    rest.len() >= PACKET && (0..rest.len()).step_by(stride).take(count).all(plausible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(fill: u8) -> Vec<u8> {
        let mut packet = vec![fill; PACKET];
        packet[0] = SYNC;
        packet[3] = 0x10;
        packet
    }

    fn frame(input: &[u8], cuts: &[usize]) -> Vec<(u8, Found)> {
        let mut framer = Framer::new();
        let mut found = Vec::new();
        let mut start = 0;
        let ends = cuts.iter().map(|cut| cut % (input.len() + 1)).collect::<std::collections::BTreeSet<_>>();
        for end in ends.into_iter().chain([input.len()]) {
            framer.feed(Bytes::copy_from_slice(&input[start..end]));
            start = end;
            drain(&mut framer, false, &mut found);
            while framer.advance() {
                drain(&mut framer, false, &mut found);
            }
        }
        drain(&mut framer, true, &mut found);
        found
    }

    fn drain(framer: &mut Framer, ended: bool, found: &mut Vec<(u8, Found)>) {
        let window = framer.window();
        while let Some(next) = framer.next(ended) {
            match next {
                Found::Packet { position, at } => {
                    found.push((window[position + 1], Found::Packet { position: 0, at }));
                }
                other => found.push((0, other)),
            }
        }
    }

    fn at(offset: usize) -> Found {
        Found::Packet { position: 0, at: offset as u64 }
    }

    #[test]
    fn every_stride_is_found_and_its_surroundings_are_not_damage() {
        for (stride, before) in [(188, 0), (192, 4), (204, 0)] {
            let mut input = vec![];
            for fill in 1..=6 {
                input.extend(vec![0xAA; before]);
                input.extend(packet(fill));
                input.extend(vec![0xBB; stride - PACKET - before]);
            }
            let expected: Vec<_> = (0..6_u8).map(|n| (n + 1, at(before + usize::from(n) * stride))).collect();
            assert_eq!(frame(&input, &[]), expected, "{stride}");
        }
    }

    #[test]
    fn a_single_packet_is_enough_when_the_input_ends() {
        assert_eq!(frame(&packet(9), &[]), [(9, at(0))]);
    }

    #[test]
    fn garbage_costs_only_itself_and_a_cut_end_is_told() {
        let mut input = vec![1, 2, SYNC, 3];
        (1..=5).for_each(|n| input.extend(packet(n)));
        input.extend([0xFF; 300]);
        (6..=9).for_each(|n| input.extend(packet(n)));
        input.extend([SYNC, 1, 2]);
        let found = frame(&input, &[]);
        assert_eq!(found[0].1, Found::Skipped { bytes: 4, at: 0 });
        assert_eq!(found[6].1, Found::Skipped { bytes: 300, at: 944 });
        assert_eq!(found.last().map(|f| f.1), Some(Found::Cut { bytes: 3, at: 1996 }));
        assert_eq!(found.iter().filter(|f| matches!(f.1, Found::Packet { .. })).count(), 9);
    }

    proptest! {
        #[test]
        fn cuts_between_pushes_change_nothing(
            parts in prop::collection::vec(
                prop_oneof![
                    (1_usize..9).prop_map(|n| packet(7).repeat(n)),
                    prop::collection::vec(any::<u8>(), 0..400),
                ],
                1..6,
            ),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let input = parts.concat();
            prop_assert_eq!(frame(&input, &cuts), frame(&input, &[]));
        }
    }
}
