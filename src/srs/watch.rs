//! What SRS's answers mean for an output. Pure.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::api;
use crate::config::KickGhost;
use crate::media::Moment;
use crate::outside::{Name, Text};

/// A publisher from which SRS has heard nothing for this long is dead: its counters are brought up to date every
/// three seconds, and a living publisher, also an idle one, says something every few seconds.
const DEAD: Duration = Duration::from_secs(7);

/// A publisher that was cut off is gone within a moment. Asking again sooner would cut off nobody else, and later
/// it may be a new one with the same fate.
const KICK_AGAIN: Duration = Duration::from_secs(3);

/// A playlist that does not move for this long is left over from earlier: SRS's segments are of 2 to 10 s.
const HLS_STALLED: Duration = Duration::from_secs(30);

/// What SRS says about an output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = SrsStatus)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The API answered last time.
    pub reachable: bool,
    /// Why the API, or the HLS address, could not be asked last.
    pub last_error: Option<Text>,
    /// `None` while SRS does not know the stream.
    pub stream: Option<Stream>,
    pub hls: Option<Hls>,
    /// Who publishes the stream while this output cannot.
    pub ghost: Option<Ghost>,
    /// Publishers cut off so far.
    pub kicked: u64,
}

/// The stream at SRS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = SrsStream)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// It has a publisher.
    pub active: bool,
    pub viewers: u64,
    /// Kilobits per second over the last half a minute: received, and sent to all viewers.
    pub recv_kbps: f64,
    pub send_kbps: f64,
    /// As SRS names them (`H264`, `HEVC`, `AAC`).
    pub video: Option<Name>,
    pub audio: Option<Name>,
}

/// SRS's HLS of the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = SrsHls)]
#[serde(rename_all = "camelCase")]
pub struct Hls {
    /// The playlist is there, has segments and moves on.
    pub available: bool,
    pub segments: usize,
    pub media_sequence: u64,
}

/// A publisher in this output's way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = SrsGhost)]
#[serde(rename_all = "camelCase")]
pub struct Ghost {
    /// SRS's number for the client.
    pub client: Name,
    pub ip: Name,
    /// Seconds since it connected.
    pub alive_seconds: f64,
    /// Seconds since SRS received anything from it, as far as it was watched.
    pub silent_seconds: f64,
    /// It is this output's own former connection.
    pub own: bool,
}

/// How the output itself stands with SRS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not connected.
    Away,
    /// Connected for a moment: the publisher that SRS names may be this output, or the one that SRS will close it
    /// for.
    Fresh,
    /// Publishing: it is the publisher that SRS names.
    Settled,
}

/// Puts answer after answer together.
#[derive(Debug)]
pub(super) struct Watch {
    kick: KickGhost,
    status: Status,
    /// The publisher while this output was publishing: itself.
    own: Option<Name>,
    /// The publisher that is in the way, its bytes and when they grew last.
    progress: Option<(Name, u64, Moment)>,
    kicked_at: Option<Moment>,
    /// Sequence and count of the playlist, and when they changed last.
    hls: Option<(u64, usize, Moment)>,
}

impl Watch {
    pub(super) fn new(kick: KickGhost) -> Self {
        Self { kick, status: Status::default(), own: None, progress: None, kicked_at: None, hls: None }
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// The API did not answer.
    pub(super) fn unreachable(&mut self, error: Text) {
        self.status = Status {
            last_error: Some(error),
            kicked: self.status.kicked,
            hls: self.status.hls.take(),
            ..Status::default()
        };
    }

    /// What `/api/v1/streams/` said. Returns the client to ask about: who is in the way.
    pub(super) fn streams(
        &mut self,
        now: Moment,
        phase: Phase,
        stream: Option<&api::Stream>,
    ) -> Option<Name> {
        self.status.reachable = true;
        self.status.last_error = None;
        self.status.stream = stream.map(|stream| Stream {
            active: stream.publish.active,
            viewers: stream.clients.saturating_sub(u64::from(stream.publish.active)),
            recv_kbps: stream.kbps.recv_30s,
            send_kbps: stream.kbps.send_30s,
            video: stream.video.as_ref().map(|video| video.codec.clone()),
            audio: stream.audio.as_ref().map(|audio| audio.codec.clone()),
        });
        let active = stream.filter(|stream| stream.publish.active && !stream.publish.cid.is_empty());
        if phase == Phase::Settled {
            self.own = active.map(|stream| stream.publish.cid.clone()).or(self.own.take());
        }
        let Some(stream) = active.filter(|_| phase == Phase::Away) else {
            self.status.ghost = None;
            self.progress = None;
            return None;
        };
        let (client, bytes) = (stream.publish.cid.clone(), stream.recv_bytes);
        let since = match self.progress.take() {
            Some((known, before, since)) if known == client && before == bytes => since,
            _ => now,
        };
        self.status.ghost = Some(Ghost {
            own: self.own.as_ref() == Some(&client),
            silent_seconds: now.saturating_since(since).as_secs_f64(),
            client: client.clone(),
            ..self.status.ghost.take().filter(|ghost| ghost.client == client).unwrap_or_default()
        });
        self.progress = Some((client.clone(), bytes, since));
        Some(client)
    }

    /// What `/api/v1/clients/{id}` said about who is in the way. Returns the client to cut off.
    pub(super) fn client(&mut self, now: Moment, client: Option<&api::Client>) -> Option<Name> {
        let Some(client) = client else {
            self.status.ghost = None;
            return None;
        };
        let ghost = self.status.ghost.as_mut()?;
        ghost.ip.clone_from(&client.ip);
        ghost.alive_seconds = client.alive;
        let dead = ghost.silent_seconds >= DEAD.as_secs_f64();
        let allowed = match self.kick {
            KickGhost::Off => false,
            KickGhost::Own => ghost.own,
            KickGhost::Dead => ghost.own || dead,
        };
        let again = self.kicked_at.is_none_or(|at| now.saturating_since(at) >= KICK_AGAIN);
        (allowed && again).then(|| {
            self.kicked_at = Some(now);
            ghost.client.clone()
        })
    }

    /// It was cut off.
    pub(super) fn kicked(&mut self) {
        self.status.kicked += 1;
    }

    /// What the HLS address answered; `None` when there is no playlist.
    pub(super) fn playlist(&mut self, now: Moment, playlist: Option<(u64, usize)>) {
        let Some((sequence, segments)) = playlist else {
            self.hls = None;
            self.status.hls = Some(Hls::default());
            return;
        };
        let since = match self.hls {
            Some((known, count, since)) if (known, count) == (sequence, segments) => since,
            _ => now,
        };
        self.hls = Some((sequence, segments, since));
        let moves = now.saturating_since(since) < HLS_STALLED;
        let active = self.status.stream.as_ref().is_some_and(|stream| stream.active);
        self.status.hls =
            Some(Hls { available: segments > 0 && moves && active, segments, media_sequence: sequence });
    }

    /// Asking did not work in part.
    pub(super) fn failed(&mut self, error: Text) {
        self.status.last_error = Some(error);
    }
}
