//! A film in one MP4 file, plain or fragmented, as a source that is complete: cut into segments, which go the way
//! of all others. It is read as far as the receiver has room for it, in byte ranges, some megabytes at a time.

mod blocks;
mod cutter;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::attempt::{Attempts, Limits, Verdict};
use super::load::Address;
use super::reader::Given;
use super::report;
use super::work::Client;
use super::{Error, Event, Segment, SourceKind, Status};
use crate::clock::Clock;
use crate::heavy::Work;
use crate::media::{Moment, Rendition};
use crate::outside::Text;
use blocks::Blocks;
use cutter::{Cutter, Next, Piece, TARGET};

/// What a film needs that is played.
pub(super) struct Player {
    client: Client,
    clock: Clock,
    out: mpsc::Sender<Event>,
    status: watch::Sender<Status>,
    blocks: Blocks,
    /// Of the next segment.
    number: u64,
    /// Segments given or left out, and how long they are together.
    index: u64,
    position: Duration,
    discontinuities: u64,
    target: Duration,
    /// When the reading of the piece that comes next began.
    began: Moment,
}

/// How reading ended.
enum Stop {
    /// The receiver is gone.
    Closed,
    Failed(Error),
}

impl Player {
    pub(super) fn new(
        client: Client,
        clock: Clock,
        address: Address,
        first_number: u64,
        out: mpsc::Sender<Event>,
        status: watch::Sender<Status>,
    ) -> Self {
        let blocks = Blocks::new(client.http.clone(), address);
        Self {
            client,
            clock,
            out,
            status,
            blocks,
            number: first_number,
            index: 0,
            position: Duration::ZERO,
            discontinuities: 0,
            target: Duration::ZERO,
            began: clock.now(),
        }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    ///
    /// The file gives nothing at all. What fails later ends it early, and is reported as [`Event::Lost`].
    pub(super) async fn play(mut self) -> Result<(), Error> {
        match self.pieces().await {
            Ok(()) => info!("the file has ended and was delivered"),
            Err(Stop::Closed) => return Ok(()),
            Err(Stop::Failed(error)) => {
                self.status.send_modify(|status| status.last_error = Some(Text::of(&error)));
                if self.index == 0 {
                    return Err(error);
                }
                warn!(%error, "the rest of the file is lost");
                let (media_sequence, reason) = (self.index, Text::of(&error));
                let (rendition, duration) = (Rendition::Main, Duration::ZERO);
                let _ = self.out.send(Event::Lost { rendition, media_sequence, duration, reason }).await;
            }
        }
        let _ = self.out.send(Event::Ended).await;
        Ok(())
    }

    async fn pieces(&mut self) -> Result<(), Stop> {
        // The first block says how long the file is, which guards against boxes that promise more.
        let mut first = self.read(0..1).await?;
        let mut cutter = Cutter::new(self.blocks.length());
        let broken = |player: &Self, error: cutter::CutError| {
            Stop::Failed(Error::File { url: player.blocks.shown(), reason: Text::of(&error) })
        };
        // What was given last: about as much there is to do at each step.
        let (mut work, mut supplied) = (Work::Bytes(0), None);
        loop {
            let step = move || {
                let next = match supplied {
                    Some(bytes) => cutter.supply(&bytes).and_then(|()| cutter.poll()),
                    None => cutter.poll(),
                };
                (cutter, next)
            };
            let next;
            (cutter, next) = self.client.settings.share.run(work, step).await;
            supplied = None;
            match next.map_err(|error| broken(self, error))? {
                Next::Need(range) => {
                    let given = std::mem::take(&mut first);
                    let enough = range.start == 0 && range.end <= given.len() as u64;
                    let bytes = if enough { given } else { self.read(range).await? };
                    work = Work::Bytes(bytes.len());
                    supplied = Some(bytes);
                }
                Next::Piece(piece) => self.give(piece).await?,
                Next::End => {
                    if let Some((places, error)) = cutter.damage() {
                        warn!(places, %error, "the file is damaged: a part of it is lost");
                        self.status.send_modify(|status| {
                            status.last_error =
                                Some(Text::of(&format_args!("{}: {error}", self.blocks.shown())));
                        });
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Bytes of the file, tried for as long as a segment of a complete playlist is.
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Stop> {
        let limits = Limits { vod: true, live_life: Duration::ZERO };
        let mut attempts = Attempts::begin(limits, self.clock.now());
        loop {
            let result = tokio::select! {
                result = self.blocks.read(range.clone()) => result,
                () = self.out.closed() => return Err(Stop::Closed),
            };
            let error = match result {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            self.status.send_modify(|status| {
                status.retries += 1;
                status.last_error = Some(Text::of(&error));
            });
            match attempts.handle_failure(&error, true, rand::random(), self.clock.now()) {
                Verdict::RetryAt(at) => {
                    warn!(%error, "the file could not be read, will be tried again");
                    self.clock.sleep_until(at).await;
                }
                Verdict::GiveUp => return Err(Stop::Failed(error)),
            }
        }
    }

    async fn give(&mut self, piece: Piece) -> Result<(), Stop> {
        let Piece { init, data, duration, discontinuity } = piece;
        let data = self.client.settings.meter.wrap(data);
        let media_sequence = self.index;
        self.index += 1;
        self.position += duration;
        // Of the piece in which the start lies, all is given.
        let from = self.client.settings.start_offset.unwrap_or(0.0);
        if self.position.as_secs_f64() <= from {
            return Ok(());
        }
        if self.target.is_zero() {
            info!(url = %self.blocks.shown(), "source opened: an MP4 file");
            self.status.send_modify(|status| status.kind = Some(SourceKind::Vod));
            self.send(Event::Renditions { separate_audio: false }).await?;
        }
        let longest = self.target.max(TARGET).max(duration);
        if longest > self.target {
            self.target = longest;
            self.status.send_modify(|status| status.target_duration = Some(longest));
            self.send(Event::TargetDuration(longest)).await?;
        }
        self.discontinuities += u64::from(discontinuity);
        let now = self.clock.now();
        let given = Given::Segment {
            bytes: data.len() as u64,
            took: now.saturating_since(self.began),
            duration,
            media_sequence,
            discontinuity,
        };
        let segment = Segment {
            number: self.number,
            rendition: Rendition::Main,
            media_sequence,
            discontinuity,
            discontinuity_sequence: self.discontinuities,
            duration,
            program_date_time: None,
            url: self.blocks.shown(),
            extension: "m4s".to_owned(),
            init: Some(init),
            data,
            offset: 0,
            captured_at: now,
        };
        self.send(Event::Segment(segment)).await?;
        self.number = self.number.saturating_add(1);
        self.status.send_modify(|status| report::given(status, &given, true));
        self.began = self.clock.now();
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), Stop> {
        self.out.send(event).await.map_err(|_| Stop::Closed)
    }
}
