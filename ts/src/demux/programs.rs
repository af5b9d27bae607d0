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
        Self { choice, list: Vec::new(), first: None, clocks: vec![Unwrapper::new()] }
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
fn keep_shown(known: &Map, map: &mut Map) {
    let unclear = map.streams.iter_mut().filter(|stream| map.unclear.contains(&stream.pid));
    for stream in unclear {
        let same = |it: &&Stream| (it.pid, it.stream_type) == (stream.pid, stream.stream_type);
        if let Some(before) = known.streams.iter().find(same) {
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
        sections.push(payload, start, |section| whole.push(section.to_vec()));
        for section in whole {
            match psi::read(&section) {
                Some(Table::Pat { programs, alone }) if pid == PAT_PID => self.take_pat(programs, alone),
                Some(Table::Pmt(map)) if pid != PAT_PID => self.take_map(pid, map),
                Some(_) => {}
                None => {
                    self.out.stats.bad_sections += 1;
                    let table = section.first().copied().unwrap_or_default();
                    self.out.damage(DamageKind::Section { table }, Some(pid), self.place);
                }
            }
        }
    }

    /// `alone`: the table has one section, so what it does not list is gone.
    fn take_pat(&mut self, programs: Vec<(u16, u16)>, alone: bool) {
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
            for stream in entry.map.iter().flat_map(|map| &map.streams).filter(|_| entry.clock.is_some()) {
                self.free(stream.pid);
            }
        }
        for (number, pmt_pid) in programs {
            let known = self.programs.list.iter().any(|it| it.number == number);
            if known || pmt_pid == PAT_PID || pmt_pid == NULL_PID || self.programs.list.len() == MAX_PROGRAMS
            {
                continue;
            }
            self.programs.list.push(Entry { number, pmt_pid, map: None, clock: None });
            self.assign(pmt_pid, Carries::Tables(Sections::default()));
        }
        if !gone.is_empty() {
            self.choose_again();
        }
    }

    fn take_map(&mut self, pmt_pid: u16, mut map: Map) {
        let number = map.program;
        let entry = self.programs.list.iter().find(|it| it.number == number && it.pmt_pid == pmt_pid);
        if let Some(known) = entry.and_then(|entry| entry.map.as_ref()) {
            keep_shown(known, &mut map);
        }
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
        if self.held.is_some() && self.programs.is_complete() {
            self.release();
        }
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
        self.out.events.push_back(program(pmt_pid, &map, selected));
        let same =
            |a: &Stream, b: &Stream| a.pid == b.pid && a.stream_type == b.stream_type && a.codec == b.codec;
        let old_streams = old.map(|map| map.streams).unwrap_or_default();
        for gone in old_streams.iter().filter(|old| !map.streams.iter().any(|new| same(old, new))) {
            self.free(gone.pid);
        }
        if let Some(clock) = clock {
            for new in map.streams.iter().filter(|new| !old_streams.iter().any(|old| same(old, new))) {
                if new.pid == PAT_PID || new.pid == NULL_PID {
                    continue;
                }
                if new.codec == Some(Codec::Scte35) {
                    self.assign(new.pid, Carries::Sections { clock, sections: Sections::default() });
                    continue;
                }
                let unclear = map.unclear.contains(&new.pid);
                let carries = match self.use_of(new, clock) {
                    _ if unclear => Carries::Probe(Probe::new(new, clock)),
                    Carries::Free => continue,
                    carries => carries,
                };
                self.assign(new.pid, carries);
            }
        }
        if let Some(entry) = self.programs.list.iter_mut().find(|it| it.number == number) {
            entry.map = Some(map);
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

    /// No map came in time. Without a PAT, maps are recognised by their own form; without those, streams by
    /// their content.
    pub(super) fn do_without_tables(&mut self) {
        if self.programs.list.is_empty() {
            let maps = super::guess::maps(self.held.iter().flatten());
            self.take_pat(maps.iter().map(|(pid, map)| (map.program, *pid)).collect(), false);
            for (pid, map) in maps {
                self.take_map(pid, map);
            }
        }
        if self.held.is_none() {
            return;
        }
        let known = self.programs.list.iter().any(|it| it.clock.is_some());
        let streams = if known { Vec::new() } else { super::guess::streams(self.held.iter().flatten()) };
        if !streams.is_empty() {
            self.out.damage(DamageKind::NoTables, None, self.place);
            // program_number 0 is never a program's in a PAT (2.4.4.5).
            self.programs.list.push(Entry { number: 0, pmt_pid: NULL_PID, map: None, clock: None });
            if let Choice::First = self.programs.choice {
                self.programs.first = Some(0);
            }
            let unclear = streams.iter().filter(|it| it.codec.is_none()).map(|it| it.pid).collect();
            self.install(NULL_PID, Map { program: 0, pcr_pid: NULL_PID, streams, unclear });
        }
        self.release();
    }
}
