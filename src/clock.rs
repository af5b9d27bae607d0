//! The one place that reads the clock.
//!
//! Everything else is given a [`Moment`]. Under `tokio::time::pause` this clock stands still too, so the
//! shells are tested on an invented clock like the cores.

use std::time::{Duration, SystemTime};

use crate::media::Moment;

/// A monotonic clock that starts at [`Clock::start`]; cheap to copy, all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock whose [`Moment::ZERO`] is now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// The time since [`Clock::start`].
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Moment {
        Moment::from_start(tokio::time::Instant::now().duration_since(self.origin))
    }

    /// Waits until `moment`; returns at once when it is past.
    pub async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep_until(self.origin + moment.since_start()).await;
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The calendar time, for logs, status and the wire protocol only: no decision depends on it.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
