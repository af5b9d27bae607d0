//! Packets whose PID has no meaning, or none yet, and the tables that have to be done without.
//!
//! Tables may come behind the packets that they describe: at the start of a recording, and where a map moves to other
//! PIDs. So packets of unknown PIDs are kept until their segment ends, and go their way when a map lists them.
//! What no table lists by then, content tells.

use std::collections::VecDeque;

use super::{Core, NULL_PID, guess};
use crate::codec::Place;
use crate::error::DamageKind;
use crate::psi::{self, Map};
use crate::sync::PACKET;

/// Packets kept: 1.5 MB, several seconds of an ordinary stream. Tables are due every 100 ms (ETSI TR 101 290), so past
/// this there are none.
const MAX_HELD: usize = 8192;
/// Maps with a wrong CRC that are remembered, one for each PID: as many programs as are on air in one multiplex.
const MAX_DOUBTFUL: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Held {
    packets: VecDeque<(Place, [u8; PACKET])>,
    /// There are tables, or none are waited for any more.
    pub(super) settled: bool,
    /// Maps that came with a wrong CRC, with their PIDs.
    doubtful: Vec<(u16, Map)>,
}

impl Held {
    /// A PMT section with a wrong CRC came on `pid`.
    pub(super) fn doubt(&mut self, pid: u16, section: &[u8]) {
        let Some(map) = psi::read_doubtful(section) else { return };
        self.doubtful.retain(|(known, other)| (*known, other.program) != (pid, map.program));
        if self.doubtful.len() < MAX_DOUBTFUL {
            self.doubtful.push((pid, map));
        }
    }
}

impl Core {
    /// Keeps a packet whose PID has no meaning yet.
    pub(super) fn hold(&mut self, data: &[u8]) {
        let Ok(packet) = data.try_into() else { return };
        if self.held.settled && self.held.packets.len() >= MAX_HELD {
            self.held.packets.pop_front();
        }
        self.held.packets.push_back((self.place, packet));
        if !self.held.settled && self.held.packets.len() >= MAX_HELD {
            self.do_without_tables();
        }
    }

    /// Packets of these PIDs have a meaning now.
    pub(super) fn replay(&mut self, pids: &[u16]) {
        let pid_of = |packet: &[u8; PACKET]| u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        // Mostly none is: looking costs less than moving all of them.
        if pids.is_empty() || !self.packets().any(|packet| pids.contains(&pid_of(packet))) {
            return;
        }
        let place = self.place;
        let (now, later) = std::mem::take(&mut self.held.packets)
            .into_iter()
            .partition(|(_, packet)| pids.contains(&pid_of(packet)));
        self.held.packets = later;
        let now: VecDeque<_> = now;
        for (at, packet) in now {
            self.place = at;
            self.packet(&packet, None);
        }
        self.place = place;
    }

    /// A segment ended: what is not known by now has to be inferred, and what was held is of no more use.
    pub(super) fn settle_tables(&mut self) {
        if !self.held.settled {
            if !self.held.packets.is_empty() {
                self.do_without_tables();
            }
        } else if self.is_astray() {
            self.forget_programs();
            self.do_without_tables();
        }
        self.held.packets.clear();
        self.held.doubtful.clear();
    }

    /// The map in force lists nothing that came in this segment, while there are streams that it does not list: it is of
    /// before a change that no table told, or only a broken one.
    fn is_astray(&self) -> bool {
        !self.slots.iter().any(|slot| slot.active && slot.is_media())
            && guess::streams(self.packets())
                .iter()
                .any(|stream| stream.codec.is_some() && !self.programs.lists(stream.pid))
    }

    fn packets(&self) -> impl Iterator<Item = &[u8; PACKET]> {
        self.held.packets.iter().map(|(_, packet)| packet)
    }

    /// No map came in time. In this order: maps that are recognised by their own form, where there is no PAT; maps with a
    /// wrong CRC, and the map of before a restart, if the streams that they list are there; and streams by
    /// their content.
    pub(super) fn do_without_tables(&mut self) {
        self.held.settled = true;
        if self.programs.is_empty() {
            self.take_maps(guess::maps(self.packets(), psi::read_map));
        }
        if !self.programs.is_selected() {
            let mut doubtful = std::mem::take(&mut self.held.doubtful);
            if self.programs.is_empty() {
                doubtful.extend(guess::maps(self.packets(), psi::read_doubtful));
            }
            doubtful.extend(self.known.clone());
            let streams = guess::streams(self.packets());
            if let Some(fits) = doubtful.into_iter().find(|(_, map)| guess::is_of(map, &streams)) {
                self.take_maps(vec![fits]);
            }
        }
        if !self.programs.is_selected() {
            let streams = guess::streams(self.packets());
            if !streams.is_empty() {
                self.out.damage(DamageKind::NoTables, None, self.place);
                let unclear = streams.iter().filter(|it| it.codec.is_none()).map(|it| it.pid).collect();
                self.install_guess(Map { program: 0, pcr_pid: NULL_PID, streams, unclear });
            }
        }
    }

    /// Puts maps into force that no PAT lists.
    fn take_maps(&mut self, maps: Vec<(u16, Map)>) {
        let programs = maps.iter().map(|(pid, map)| (map.program, *pid)).collect();
        self.take_pat(programs, false);
        for (pid, map) in maps {
            self.take_map(pid, map);
        }
    }
}
