//! Which packet leaves at which moment, and which never. Pure.

use std::time::Duration;

use crate::media::{Flicks, Moment, Packet};
use crate::playout::Playout;

/// How long before its due time a packet leaves: covers timer granularity and the write, so that what is due
/// is at the server when it is due, and is far below any player's buffer.
pub const LEAD: Duration = Duration::from_millis(50);

/// The latest that a packet may leave after its due time while the connection lives. TCP repairs a lost burst
/// within a second or two; sending the delayed packets then, at most this much at once, harms viewers less
/// than the hole up to the next random-access picture that dropping them would cost.
pub const MAX_LATE: Duration = Duration::from_secs(2);

/// At the start, and after an interruption, play begins at a picture that is at most this late: room for a
/// busy machine, not for a burst of the past.
const MAX_LATE_AT_RESUME: Duration = Duration::from_millis(500);

/// After an interruption sound waits for the first random-access picture, but no longer than this: SRS drops
/// a publisher after 5 to 10 s of silence, and long GOPs last that long.
const SOUND_WAITS: Duration = Duration::from_secs(3);

/// Sound waits only for a picture when there has been video this recently.
const VIDEO_IS_RECENT: Duration = Duration::from_secs(10);

/// Video that waits for a random-access picture for this long will hardly get one: groups of pictures of 20 s are
/// rare.
const STARVED: Duration = Duration::from_secs(20);

/// Whether packets can leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// Connected, everything before was written.
    Open,
    /// Connected, the packet before is still being written.
    Busy,
    /// Not connected.
    Closed,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ask again at this moment, or when something changes.
    Wait(Moment),
    /// It leaves now.
    Send(Stamp),
    /// It never leaves.
    Drop,
}

/// The times of a packet as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Output DTS in milliseconds, rounded once from the exact time.
    pub(crate) dts: i64,
    /// PTS less DTS in milliseconds, not negative.
    pub(crate) composition: i32,
    /// When it was to leave.
    pub(crate) planned: Moment,
}

/// Decides about the packets of one output, in DTS order.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// Video was interrupted: only a random-access picture can go on.
    awaits_picture: bool,
    /// Since when pictures were dropped for that, and whether it was told on this connection.
    awaited_since: Option<Moment>,
    told: bool,
    /// Sound waits for that picture until this moment.
    sound_waits_until: Option<Moment>,
    /// When a video packet was looked at last.
    video_at: Option<Moment>,
    last_video: Option<i64>,
    last_audio: Option<i64>,
    /// Of either track.
    last: i64,
}

impl Pacer {
    /// A connection was made: the receiver has no reference pictures.
    pub(crate) fn connected(&mut self, now: Moment) {
        self.awaits_picture = true;
        (self.awaited_since, self.told) = (None, false);
        let recent = self.video_at.is_some_and(|at| now.saturating_since(at) <= VIDEO_IS_RECENT);
        self.sound_waits_until = recent.then_some(now + SOUND_WAITS);
    }

    /// Pictures come, and for long none at which a receiver can begin; says so once for each connection.
    pub(crate) fn starves(&mut self, now: Moment) -> bool {
        let starves = self.awaited_since.is_some_and(|since| now.saturating_since(since) > STARVED);
        starves && !std::mem::replace(&mut self.told, true)
    }

    /// What happens to `packet`, the oldest that is left.
    pub(crate) fn decide(
        &mut self,
        packet: &Packet,
        playout: Playout,
        now: Moment,
        outlet: Outlet,
    ) -> Verdict {
        if packet.is_video() {
            self.video_at = Some(now);
        }
        let due = playout.due(packet.dts);
        match outlet {
            Outlet::Closed if now < due => Verdict::Wait(due),
            Outlet::Closed => self.drop(packet),
            _ if now.saturating_since(due) > MAX_LATE => self.drop(packet),
            // One millisecond more, so that the limit is passed when the timer fires.
            Outlet::Busy => Verdict::Wait(due + MAX_LATE + Duration::from_millis(1)),
            Outlet::Open if now < due - LEAD => Verdict::Wait(due - LEAD),
            Outlet::Open if packet.is_video() => self.video(packet, due, now),
            Outlet::Open => self.audio(packet, due, now),
        }
    }

    fn video(&mut self, packet: &Packet, due: Moment, now: Moment) -> Verdict {
        let resumes = packet.is_random_access() && now.saturating_since(due) <= MAX_LATE_AT_RESUME;
        if self.awaits_picture && !resumes {
            self.awaited_since.get_or_insert(now);
            return Verdict::Drop;
        }
        self.awaits_picture = false;
        self.awaited_since = None;
        self.sound_waits_until = None;
        Verdict::Send(stamp(packet, &mut self.last_video, &mut self.last, due))
    }

    fn audio(&mut self, packet: &Packet, due: Moment, now: Moment) -> Verdict {
        if self.sound_waits_until.is_some_and(|until| now < until) {
            return Verdict::Drop;
        }
        Verdict::Send(stamp(packet, &mut self.last_audio, &mut self.last, due))
    }

    fn drop(&mut self, packet: &Packet) -> Verdict {
        self.awaits_picture |= packet.is_video();
        Verdict::Drop
    }
}

/// Milliseconds from the exact times, strictly increasing per track and never decreasing over both, as servers
/// take them for one clock: two samples within one millisecond, or one before zero, move by the least that keeps
/// the order.
fn stamp(packet: &Packet, track: &mut Option<i64>, last: &mut i64, due: Moment) -> Stamp {
    let dts = packet.dts.to_millis().max(track.map_or(0, |before| before + 1)).max(*last);
    (*track, *last) = (Some(dts), dts);
    let composition = (packet.pts.max(packet.dts).max(Flicks::ZERO).to_millis() - dts).max(0);
    Stamp { dts, composition: i32::try_from(composition).unwrap_or(i32::MAX), planned: due - LEAD }
}
