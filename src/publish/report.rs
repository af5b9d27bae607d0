//! Counters of one output between two refreshes of its status.

use std::time::Duration;

use tokio::sync::watch;

use super::Status;
use super::status::{Bitrate, Lates};
use crate::media::{Flicks, Moment, Packet};

/// Counters between two refreshes of the status.
pub(super) struct Report {
    pub(super) status: watch::Sender<Status>,
    pub(super) bytes_sent: u64,
    pub(super) packets_sent: u64,
    unsupported: u64,
    position: Option<Flicks>,
    lates: Lates,
    bitrate: Bitrate,
}

impl Report {
    pub(super) fn new(status: watch::Sender<Status>) -> Self {
        Self {
            status,
            bytes_sent: 0,
            packets_sent: 0,
            unsupported: 0,
            position: None,
            lates: Lates::default(),
            bitrate: Bitrate::default(),
        }
    }

    pub(super) fn left(&mut self, late: Duration, dts: Flicks) {
        self.lates.record(late);
        self.packets_sent += 1;
        self.position = Some(dts);
    }

    /// Pictures come, and none at which a receiver can begin.
    pub(super) fn starves(&self, url: &str) {
        let message = "no video: no picture since the connection at which a receiver can begin";
        tracing::warn!(url, "{message}");
        self.change(|status| status.last_error = Some(message.into()));
    }

    pub(super) fn unsupported(&mut self, packet: &Packet, url: &str) {
        if self.unsupported == 0 {
            tracing::warn!(url, kind = ?packet.kind, "codec cannot be carried by this output: not sent");
            self.change(|status| status.last_error = Some("a codec cannot be carried by rtmp".into()));
        }
        self.unsupported += 1;
    }

    pub(super) fn refresh(&mut self, now: Moment, dropped: u64) {
        let bitrate = self.bitrate.at(now, self.bytes_sent);
        let lateness = self.lates.summary();
        self.status.send_modify(|status| {
            status.bytes_sent = self.bytes_sent;
            status.packets_sent = self.packets_sent;
            status.packets_dropped = dropped + self.unsupported;
            status.position = self.position;
            status.bitrate = bitrate;
            status.lateness = lateness;
            status.late.clone_from(self.lates.counts());
        });
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}
