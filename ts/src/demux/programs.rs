//! Tables to programs, and which of them is demuxed.

use std::sync::Arc;

use super::probe::Probe;
use super::slot::Carries;
use super::{Core, NULL_PID, PAT_PID};
use crate::clock::Unwrapper;
use crate::codec;
use crate::error::DamageKind;
use crate::event::{Codec, Event, Program, Stream};
use crate::pes::Pes;
use crate::psi::{self, Map, Sections, Table};

/// Programs of a PAT that are followed: more than any multiplex has, far less than the 253 entries of one
/// section times 256 sections.
const MAX_PROGRAMS: usize = 256;

/// Which programs are demuxed. All are listed, whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first whose map comes and lists a stream that this crate takes apart; where no map does, the first
    /// of the PAT.
    #[default]
    First,
    /// The one with this program_number.
    Number(u16),
    /// Every one.
    All,
}

/// The programs of the PAT in force.
#[derive(Debug)]
pub(super) struct Programs {
    choice: Choice,
    list: Vec<Entry>,
    /// The program that [`Choice::First`] settled on.
    first: Option<u16>,
    /// One per selected program; an index stays good when its program goes.
    clocks: Vec<Unwrapper>,
    /// Streams whose program the PAT lists elsewhere now: they go on until its map comes from there.
    orphans: Vec<Stream>,
}

#[derive(Debug)]
struct Entry {
    number: u16,
    pmt_pid: u16,
    map: Option<Map>,
    /// Index of its clock; it is demuxed.
    clock: Option<usize>,
}

impl Programs {
    pub(super) fn new(choice: Choice) -> Self {
        Self { choice, list: Vec::new(), first: None, clocks: vec![Unwrapper::new()], orphans: Vec::new() }
    }

    /// No program is listed.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A program is demuxed.
    pub(super) fn is_selected(&self) -> bool {
        self.list.iter().any(|it| it.clock.is_some())
    }

    /// Some program has a stream of this PID.
    pub(super) fn lists(&self, pid: u16) -> bool {
        let maps = self.list.iter().filter_map(|entry| entry.map.as_ref());
        maps.flat_map(|map| &map.streams).any(|stream| stream.pid == pid)
    }

    /// The map of the program that is demuxed, where a table brought it, with its PID.
    pub(super) fn known(&self) -> Option<(u16, Map)> {
        let entry = self.list.iter().find(|it| it.clock.is_some() && it.pmt_pid != NULL_PID)?;
        Some((entry.pmt_pid, entry.map.clone()?))
    }

    pub(super) fn clock(&mut self, index: usize) -> &mut Unwrapper {
        &mut self.clocks[index]
    }

    /// Decides on a program whose map is `map`.
    fn selects(&mut self, number: u16, map: &Map) -> bool {
        match self.choice {
            Choice::All => true,
            Choice::Number(wanted) => wanted == number,
            Choice::First => match self.first {
                Some(first) => first == number,
                None if is_usable(map) => {
                    self.first = Some(number);
                    true
                }
                None => false,
            },
        }
    }

    /// The clock of program `number`. One program at a time keeps one axis, also across a change of its
    /// number; programs side by side have clocks of their own.
    fn clock_of(&mut self, number: u16) -> usize {
        if self.choice != Choice::All {
            return 0;
        }
        if let Some(clock) = self.list.iter().find(|it| it.number == number).and_then(|it| it.clock) {
            return clock;
        }
        self.clocks.push(Unwrapper::new());
        self.clocks.len() - 1
    }

    /// Every map that may bring streams has come.
    fn is_complete(&self) -> bool {
        match self.choice {
            Choice::First | Choice::Number(_) => self.list.iter().any(|it| it.clock.is_some()),
            Choice::All => self.list.iter().all(|it| it.map.is_some()) && !self.list.is_empty(),
        }
    }
}

fn program(pmt_pid: u16, map: &Map, selected: bool) -> Event {
    Event::Program(Arc::new(Program {
        number: map.program,
        pmt_pid,
        pcr_pid: map.pcr_pid,
        selected,
        streams: map.streams.clone(),
    }))
}

/// What the content of streams showed stays known when their map comes again.
fn keep_shown<'a>(known: &(impl Iterator<Item = &'a Stream> + Clone), map: &mut Map) {
    let unclear = map.streams.iter_mut().filter(|stream| map.unclear.contains(&stream.pid));
    for stream in unclear {
        let same = |it: &&Stream| (it.pid, it.stream_type) == (stream.pid, stream.stream_type);
        if let Some(before) = known.clone().find(same) {
            stream.codec = before.codec;
        }
    }
}

fn is_usable(map: &Map) -> bool {
    map.streams.iter().any(|stream| stream.codec.is_some_and(Codec::is_media))
}

/// Stream types of ISO/IEC 13818-1 table 2-34 whose packets carry sections.
fn is_sections(stream_type: u8) -> bool {
    matches!(stream_type, 0x05 | 0x0A..=0x0D | 0x13 | 0x14 | 0x16..=0x19)
}

impl Core {
    pub(super) fn tables(&mut self, index: usize, payload: &[u8], start: bool) {
        let slot = &mut self.slots[index];
        let (pid, Carries::Tables(sections)) = (slot.pid, &mut slot.carries) else { return };
        let mut whole = Vec::new();
        sections.push(payload, start, |section| {
            if !self.seen.knows(pid, section) {
                whole.push(section.to_vec());
            }
        });
        for section in whole {
            if !self.seen.takes(self.place.packet) {
                self.out.budget.leave_table();
                continue;
            }
            self.out.stats.tables += 1;
            match psi::read(&section) {
                Some(table) => {
                    match table {
                        Table::Pat { programs, alone } if pid == PAT_PID => self.take_pat(programs, alone),
                        Table::Pmt(map) if pid != PAT_PID => self.take_map(pid, map),
                        _ => {}
                    }
                    self.seen.remember(pid, section);
                }
                None => {
                    self.held.doubt(pid, &section);
                    self.out.stats.bad_sections += 1;
                    let table = section.first().copied().unwrap_or_default();
                    self.out.damage(DamageKind::Section { table }, Some(pid), self.place);
                }
            }
        }
    }

    /// `alone`: the table has one section, so what it does not list is gone.
    pub(super) fn take_pat(&mut self, programs: Vec<(u16, u16)>, alone: bool) {
        let listed = |entry: &Entry| programs.contains(&(entry.number, entry.pmt_pid));
        let moved = |entry: &Entry| programs.iter().any(|it| it.0 == entry.number && it.1 != entry.pmt_pid);
        let (gone, kept) = std::mem::take(&mut self.programs.list)
            .into_iter()
            .partition(|entry| if alone { !listed(entry) } else { moved(entry) });
        self.programs.list = kept;
        let gone: Vec<Entry> = gone;
        for entry in &gone {
            if !self.programs.list.iter().any(|it| it.pmt_pid == entry.pmt_pid) {
                self.free(entry.pmt_pid);
            }
            if self.programs.first == Some(entry.number) {
                self.programs.first = None;
            }
            let streams = entry.map.iter().flat_map(|map| &map.streams).filter(|_| entry.clock.is_some());
            for stream in streams {
                // Nothing of a program that only moved is lost before its map comes from its new PID.
                if self.programs.choice == Choice::All {
                    self.free(stream.pid);
                } else {
                    self.programs.orphans.push(stream.clone());
                }
            }
        }
        let mut fresh = Vec::new();
        for (number, pmt_pid) in programs {
            let known = self.programs.list.iter().any(|it| it.number == number);
            if known || pmt_pid == PAT_PID || pmt_pid == NULL_PID || self.programs.list.len() == MAX_PROGRAMS
            {
                continue;
            }
            self.programs.list.push(Entry { number, pmt_pid, map: None, clock: None });
            self.seen.forget();
            if self.assign(pmt_pid, Carries::Tables(Sections::default())) {
                fresh.push(pmt_pid);
            }
        }
        if !gone.is_empty() {
            self.seen.forget();
            self.choose_again();
        }
        self.replay(&fresh);
    }

    /// Nothing that was listed is there.
    pub(super) fn forget_programs(&mut self) {
        let mut gone = std::mem::take(&mut self.programs.orphans);
        for entry in std::mem::take(&mut self.programs.list) {
            self.free(entry.pmt_pid);
            gone.extend(entry.map.into_iter().filter(|_| entry.clock.is_some()).flat_map(|map| map.streams));
        }
        self.programs.first = None;
        self.seen.forget();
        gone.iter().for_each(|stream| self.free(stream.pid));
    }

    pub(super) fn take_map(&mut self, pmt_pid: u16, mut map: Map) {
        let number = map.program;
        let entry = self.programs.list.iter().find(|it| it.number == number && it.pmt_pid == pmt_pid);
        let listed = entry.and_then(|entry| entry.map.as_ref()).into_iter().flat_map(|known| &known.streams);
        keep_shown(&listed.chain(&self.programs.orphans), &mut map);
        // A map may change under its old version number, and come again under a new one unchanged.
        if entry.is_some_and(|entry| entry.map.as_ref() != Some(&map)) {
            self.install(pmt_pid, map);
        }
        let none = self.programs.list.iter().all(|it| it.map.is_some() && it.clock.is_none());
        if none && self.programs.first.is_none() && self.programs.choice == Choice::First {
            // Nothing to take apart anywhere: the first program is listed as the chosen one.
            let first = self.programs.list.first().map(|it| it.number);
            self.programs.first = first;
            self.choose_again();
        }
        self.held.settled |= self.programs.is_complete();
    }

    /// The chosen program went, or was chosen anew: another map that came already may be meant.
    fn choose_again(&mut self) {
        let waiting = self.programs.list.iter_mut().filter(|it| it.clock.is_none());
        let maps: Vec<_> = waiting.filter_map(|it| Some((it.pmt_pid, it.map.take()?))).collect();
        for (pmt_pid, map) in maps {
            self.install(pmt_pid, map);
        }
    }

    /// Puts a map into force and tells it.
    pub(super) fn install(&mut self, pmt_pid: u16, map: Map) {
        let number = map.program;
        let selected = self.programs.selects(number, &map);
        let clock = selected.then(|| self.programs.clock_of(number));
        let Some(entry) = self.programs.list.iter_mut().find(|it| it.number == number) else { return };
        let old = entry.map.take().filter(|_| entry.clock.is_some());
        entry.clock = clock;
        let mut before = old.map(|map| map.streams).unwrap_or_default();
        if selected {
            before.append(&mut self.programs.orphans);
        }
        // stream_type may be a guess; what counts is how the stream is taken apart.
        let same = |a: &Stream, b: &Stream| {
            a.pid == b.pid && a.codec == b.codec && (a.codec.is_some() || a.stream_type == b.stream_type)
        };
        let kept = |new: &&Stream| before.iter().any(|old| same(old, new));
        for gone in before.iter().filter(|old| !map.streams.iter().any(|new| same(old, new))) {
            self.free(gone.pid);
        }
        // Behind the last samples of the streams that are gone.
        self.out.events.push_back(program(pmt_pid, &map, selected));
        let mut fresh = Vec::new();
        for new in map.streams.iter().filter(|it| selected && !kept(it)) {
            if let Some(clock) = clock
                && let Some(carries) = self.use_of_new(new, clock, map.unclear.contains(&new.pid))
                && self.assign(new.pid, carries)
            {
                fresh.push(new.pid);
            }
        }
        if let Some(entry) = self.programs.list.iter_mut().find(|it| it.number == number) {
            entry.map = Some(map);
        }
        self.replay(&fresh);
    }

    /// What is done with the packets of a stream that a map brings; `None`: nothing.
    fn use_of_new(&self, new: &Stream, clock: usize, unclear: bool) -> Option<Carries> {
        if new.pid == PAT_PID || new.pid == NULL_PID {
            return None;
        }
        if new.codec == Some(Codec::Scte35) {
            return Some(Carries::Sections { clock, sections: Sections::default() });
        }
        match self.use_of(new, clock) {
            _ if unclear => Some(Carries::Probe(Probe::new(new, clock))),
            Carries::Free => None,
            carries => Some(carries),
        }
    }

    /// What is done with the PES packets of a stream.
    pub(super) fn use_of(&self, stream: &Stream, clock: usize) -> Carries {
        let parser = codec::parser(stream);
        // Sections of private tables and carousels are no PES packets.
        let tapped = self.config.raw && !is_sections(stream.stream_type);
        if parser.is_none() && !tapped {
            return Carries::Free;
        }
        Carries::Stream { clock, pes: Pes::default(), parser }
    }

    /// The content of a stream showed another codec than its map has: the program is told anew.
    pub(super) fn relist(&mut self, stream: &Stream) {
        let entries = self.programs.list.iter_mut().filter(|entry| entry.clock.is_some());
        for (entry, map) in entries.filter_map(|entry| Some((entry.pmt_pid, entry.map.as_mut()?))) {
            let Some(listed) = map.streams.iter_mut().find(|it| it.pid == stream.pid) else { continue };
            listed.codec = stream.codec;
            self.out.events.push_back(program(entry, map, true));
        }
    }

    /// Puts a map into force that content made: program_number 0 is never a program's in a PAT (2.4.4.5).
    pub(super) fn install_guess(&mut self, map: Map) {
        self.seen.forget();
        self.programs.list.push(Entry { number: map.program, pmt_pid: NULL_PID, map: None, clock: None });
        if let Choice::First = self.programs.choice {
            self.programs.first = Some(map.program);
        }
        self.install(NULL_PID, map);
    }
}
