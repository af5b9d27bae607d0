//! The demuxer: packets to their PIDs, tables to programs, payloads to parsers.

mod cuts;
mod guess;
mod held;
mod marked;
mod probe;
mod programs;
mod seen;
mod slot;

use bytes::Bytes;
use mpeg2ts_reader::packet::Packet;

use crate::clock::Unwrapper;
use crate::codec::{Output, Place, Times};
use crate::error::DamageKind;
use crate::event::{Event, Stats};
use crate::pes::{Stamp, Step};
use crate::psi::{self, Sections};
use crate::sync::{Found, Framer, PACKET};
use held::Held;
use programs::Programs;
use seen::Seen;
use slot::{Carries, Slot};

pub use programs::Choice;

const PAT_PID: u16 = 0;
const NULL_PID: u16 = 0x1FFF;
const PIDS: usize = 1 << 13;
/// What a [`Demuxer`] does besides the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Also yield [`Event::Payload`]: the elementary bytes of every stream of the chosen programs as they
    /// came, those of listed-only streams included.
    pub raw: bool,
    /// Which programs are demuxed.
    pub programs: Choice,
}

/// Takes a transport stream apart.
///
/// Feed bytes with [`push`](Self::push) in pieces of any size, and take events with
/// [`next_event`](Self::next_event) until it returns `None`. How the input is cut makes no difference to the
/// events. [`end_segment`](Self::end_segment) says that an HLS segment ended, [`finish`](Self::finish) that
/// nothing more comes.
#[derive(Debug)]
pub struct Demuxer {
    framer: Framer,
    core: Core,
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demuxer {
    /// A demuxer of the first usable program.
    pub fn new() -> Self {
        Self::with_config(Config::default())
    }

    pub fn with_config(config: Config) -> Self {
        Self { framer: Framer::new(), core: Core::new(config) }
    }

    /// Takes the next bytes of the input.
    pub fn push(&mut self, chunk: Bytes) {
        self.core.out.stats.bytes += chunk.len() as u64;
        self.framer.feed(chunk);
        self.drain(false);
        while self.framer.advance() {
            self.drain(false);
        }
    }

    /// Takes a Media Initialization Section (RFC 8216 3.2), whole: its tables are in force until others come.
    pub fn push_init(&mut self, section: Bytes) {
        self.end_packets();
        self.push(section);
        self.end_packets();
    }

    /// An HLS segment of so many bytes begins: what comes of it is limited by that, until
    /// [`end_segment`](Self::end_segment). Without, events are as many as the input makes; take them as they come.
    pub fn begin_segment(&mut self, bytes: u64) {
        self.core.out.budget.begin(bytes);
    }

    /// An HLS segment ended. Continuity counters may begin anew. What is cut by the end waits for the next segment: a
    /// transport packet, a section, a frame, a PES packet that is short of its length, and a picture of a PES
    /// packet without length that fills its last transport packet, which is one that was cut nearly always.
    /// Other pictures come out.
    pub fn end_segment(&mut self) {
        self.drain_segment();
        let cut = self.framer.restart();
        self.core.end_segment(cut);
        self.core.out.end_segment(self.core.place);
        self.core.seen.begin_segment(self.core.out.stats.packets);
    }

    /// The input ended: everything that is complete comes out. The demuxer may be used on, as after a
    /// loss.
    pub fn finish(&mut self) {
        self.end(false);
    }

    /// A segment is missing before what comes next: as [`finish`](Self::finish), but what was to go on in it is cut.
    pub fn lose(&mut self) {
        self.end(true);
    }

    /// What comes next has nothing to do with what came (EXT-X-DISCONTINUITY), which is forgotten, events included.
    /// Where it brings no tables, those of before hold as far as they fit its packets.
    pub fn restart(&mut self) {
        let known = self.core.programs.known().or(self.core.known.take());
        *self = Self::with_config(self.core.config);
        self.core.known = known;
    }

    /// The next event; `None`: more input is needed.
    pub fn next_event(&mut self) -> Option<Event> {
        self.core.out.events.pop_front()
    }

    /// Counters of everything up to now.
    pub fn stats(&self) -> Stats {
        self.core.out.stats
    }

    fn end(&mut self, lost: bool) {
        self.end_packets();
        // Before anything is judged by an end that is none.
        let place = self.core.place;
        self.core.settle_tables();
        self.core.settle_all();
        for slot in &mut self.core.slots {
            slot.finish(lost, place, &mut self.core.out);
        }
    }

    /// The packets end here, and none goes on.
    fn end_packets(&mut self) {
        self.drain(true);
        self.framer.restart();
    }

    /// The packets that are whole; one that a segment's end cuts stays.
    fn drain_segment(&mut self) {
        self.framer.keep_cut();
        self.drain(true);
    }

    fn drain(&mut self, ended: bool) {
        let window = self.framer.window();
        while let Some(found) = self.framer.next(ended) {
            let core = &mut self.core;
            match found {
                Found::Packet { position, at } => {
                    core.place = Place { packet: core.out.stats.packets, offset: at };
                    core.out.stats.packets += 1;
                    core.packet(&window[position..position + PACKET], Some(&window));
                }
                Found::Skipped { bytes, at } => {
                    let place = Place { packet: core.out.stats.packets, offset: at };
                    core.out.stats.sync_losses += u64::from(self.framer.consume_loss());
                    core.out.stats.skipped_bytes += bytes;
                    core.out.damage(DamageKind::SyncLost { skipped: bytes }, None, place);
                }
                Found::Cut { bytes, at } => {
                    let place = Place { packet: core.out.stats.packets, offset: at };
                    core.out.stats.skipped_bytes += u64::from(bytes);
                    core.out.damage(DamageKind::CutPacket { bytes }, None, place);
                }
            }
        }
    }
}

/// Everything behind the framing.
#[derive(Debug)]
struct Core {
    config: Config,
    out: Output,
    /// For each PID the index of its slot plus one; 0: not in use.
    pids: Box<[u16]>,
    slots: Vec<Slot>,
    programs: Programs,
    /// Packets of PIDs whose meaning is not known, or not yet.
    held: Held,
    /// Tables that were read already.
    seen: Seen,
    /// The map of before a restart: PID and content.
    known: Option<(u16, psi::Map)>,
    place: Place,
}

impl Core {
    fn new(config: Config) -> Self {
        let mut core = Self {
            config,
            out: Output::default(),
            pids: vec![0; PIDS].into(),
            slots: Vec::new(),
            programs: Programs::new(config.programs),
            held: Held::default(),
            seen: Seen::default(),
            known: None,
            place: Place::default(),
        };
        core.assign(PAT_PID, Carries::Tables(Sections::default()));
        core
    }

    fn packet(&mut self, data: &[u8], owner: Option<&Bytes>) {
        let packet = Packet::new(data);
        let pid = u16::from(packet.pid());
        let index = usize::from(self.pids[usize::from(pid)]).checked_sub(1);
        let Some(index) = index.filter(|index| !matches!(self.slots[*index].carries, Carries::Free)) else {
            if pid != NULL_PID {
                self.hold(data);
            }
            return;
        };
        let slot = &mut self.slots[index];
        let control = packet.adaptation_control();
        if !control.has_payload() {
            return; // the counter stands still (2.4.3.3)
        }
        let payload = packet.payload();
        let start = packet.payload_unit_start_indicator();
        let found = data[3] & 0x0F;
        let border = slot.cuts.take_border();
        if border && (start || !slot.is_open()) {
            slot.counter = None;
        }
        let mark = slot.mark_of(data);
        let mut lost = None;
        if let Some(last) = slot.counter {
            let expected = (last + 1) & 0x0F;
            if found == last && mark == slot.mark {
                self.out.stats.duplicates += 1;
                return;
            }
            if found != expected {
                let announced =
                    packet.adaptation_field().is_some_and(|field| field.discontinuity_indicator());
                lost = (!announced).then_some(expected);
            }
        }
        if packet.transport_error_indicator() {
            self.out.stats.transport_errors += 1;
            self.out.damage(DamageKind::TransportError, Some(pid), self.place);
            // With the counter wrong too, the packet may not even be of this PID.
            if lost.is_some() || matches!(slot.carries, Carries::Tables(_) | Carries::Sections { .. }) {
                return;
            }
            slot.damaged(self.place);
        }
        slot.counter = Some(found);
        slot.mark = mark;
        if let Some(expected) = lost {
            self.out.stats.continuity_errors += 1;
            self.out.damage(DamageKind::Continuity { expected, found }, Some(pid), self.place);
            slot.lost(self.place, found.wrapping_sub(expected) & 0x0F);
        }
        let Some(payload) = payload else {
            if data[4] > 183 {
                self.out.damage(DamageKind::AdaptationField, Some(pid), self.place);
            }
            return;
        };
        slot.active = true;
        // Tables are never scrambled (2.4.4), and their CRC says whether they are right.
        let sections = matches!(slot.carries, Carries::Tables(_) | Carries::Sections { .. });
        if packet.transport_scrambling_control().is_scrambled() && !sections {
            if !slot.marked.takes_packet(payload, start) {
                self.out.stats.scrambled += 1;
                self.tell_scrambled(index);
                return;
            }
        } else if start {
            slot.marked.begins_unmarked();
        }
        if border && !start {
            self.goes_on(index);
        }
        let slot = &mut self.slots[index];
        slot.cuts.packet(data, start);
        match slot.carries {
            Carries::Free => {}
            Carries::Tables(_) => self.tables(index, payload, start),
            Carries::Sections { .. } => self.sections(index, payload, start),
            Carries::Stream { .. } => self.stream(index, payload, start, owner),
            Carries::Probe(_) => self.probe(index, payload, start),
        }
    }

    /// Payload was left out because it is scrambled: told at the start of each stretch of it.
    fn tell_scrambled(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if !std::mem::replace(&mut slot.scrambled, true) {
            self.out.damage(DamageKind::Scrambled, Some(slot.pid), self.place);
            slot.lost(self.place, 0);
        }
    }

    /// The first packet of a segment goes on with a PES packet of the segment before.
    fn goes_on(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let Carries::Stream { pes, parser, .. } = &mut slot.carries else { return };
        if pes.is_unbounded() && slot.cuts.goes_on() {
            self.out.damage(DamageKind::CutUnit, Some(slot.pid), self.place);
            if let Some(parser) = parser {
                parser.damaged();
            }
        }
    }

    fn stream(&mut self, index: usize, payload: &[u8], start: bool, owner: Option<&Bytes>) {
        let Some(Slot { pid, marked, scrambled, carries: Carries::Stream { clock, pes, parser }, .. }) =
            self.slots.get_mut(index)
        else {
            return;
        };
        let (pid, place) = (*pid, self.place);
        let mut step = pes.push(payload, start);
        let refused = step.marked && !marked.takes_data(step.data);
        if refused {
            pes.reset();
            self.out.stats.scrambled += 1;
            step = Step { short: step.short, bad_header: step.bad_header, ..Step::default() };
        }
        if step.begun.is_some() || refused {
            let told = std::mem::replace(scrambled, refused);
            if refused && !told {
                self.out.damage(DamageKind::Scrambled, Some(pid), place);
                if let Some(parser) = parser {
                    parser.lost(0);
                }
            }
        }
        if start {
            self.out.stats.pes_packets += 1;
        }
        if let Some(missing) = step.short {
            self.out.damage(DamageKind::PesShort { missing }, Some(pid), place);
            if let Some(parser) = parser {
                parser.damaged();
            }
        }
        if step.bad_header {
            self.out.damage(DamageKind::PesHeader, Some(pid), place);
            if let Some(parser) = parser {
                parser.interrupted(&mut self.out);
            }
        }
        let times = step.begun.flatten().map(|stamp| unwrap(self.programs.clock(*clock), stamp));
        if let Some(parser) = parser
            && !self.out.budget.takes_bytes(pid, step.data.len())
        {
            parser.lost(step.data.len() as u64);
        } else if let Some(parser) = parser {
            if step.begun.is_some() {
                parser.begin(times, place, &mut self.out);
            }
            if let Some(behind) = &step.behind {
                parser.data(behind, place, &mut self.out);
            }
            if !step.data.is_empty() {
                parser.data(step.data, place, &mut self.out);
            }
            if step.ended {
                parser.end(place, &mut self.out);
            }
        }
        if let Some(behind) = step.behind.filter(|_| self.config.raw) {
            self.out.events.push_back(Event::Payload { pid, data: behind.into() });
        }
        if self.config.raw && !step.data.is_empty() {
            let data = match owner {
                Some(owner) => owner.slice_ref(step.data),
                None => Bytes::copy_from_slice(step.data),
            };
            self.out.events.push_back(Event::Payload { pid, data });
        }
    }

    /// Hands on whole splice information sections (SCTE 35 9.2).
    fn sections(&mut self, index: usize, payload: &[u8], start: bool) {
        const SPLICE_INFO: u8 = 0xFC;
        let slot = &mut self.slots[index];
        let (pid, place) = (slot.pid, self.place);
        let Carries::Sections { clock, sections } = &mut slot.carries else { return };
        let near = self.programs.clock(*clock).last();
        let out = &mut self.out;
        sections.push(payload, start, |section| match section.first() {
            // Before the CRC: what is not taken costs no more than a look.
            Some(&SPLICE_INFO) if !out.budget.takes_section() => {}
            Some(&SPLICE_INFO) if psi::is_intact(section) => {
                out.events.push_back(Event::Section { pid, near, data: Bytes::copy_from_slice(section) });
            }
            Some(&table) if table == SPLICE_INFO => {
                out.stats.bad_sections += 1;
                out.damage(DamageKind::Section { table }, Some(pid), place);
            }
            _ => {}
        });
    }

    fn end_segment(&mut self, cut: bool) {
        self.settle_tables();
        self.settle_all();
        for slot in &mut self.slots {
            slot.end_segment(cut, self.place, &mut self.out);
        }
    }

    /// Gives `pid` a new use; returns whether it was free.
    fn assign(&mut self, pid: u16, carries: Carries) -> bool {
        let index = usize::from(self.pids[usize::from(pid)]);
        if let Some(slot) = index.checked_sub(1).and_then(|index| self.slots.get_mut(index)) {
            let free = matches!(slot.carries, Carries::Free);
            if free {
                *slot = Slot::new(pid, carries);
            }
            return free;
        }
        self.slots.push(Slot::new(pid, carries));
        self.pids[usize::from(pid)] = self.slots.len() as u16;
        true
    }

    /// Takes the use of `pid` away; what its parser still has comes out.
    fn free(&mut self, pid: u16) {
        let index = usize::from(self.pids[usize::from(pid)]);
        if let Some(slot) = index.checked_sub(1).and_then(|index| self.slots.get_mut(index)) {
            slot.finish(false, self.place, &mut self.out);
            slot.carries = Carries::Free;
        }
    }
}

fn unwrap(clock: &mut Unwrapper, stamp: Stamp) -> Times {
    let dts = clock.unwrap(stamp.dts);
    // Where the DTS is wrong, the PTS still belongs to the axis.
    Times { pts: Unwrapper::near(stamp.pts, clock.last().unwrap_or(dts)), dts }
}
