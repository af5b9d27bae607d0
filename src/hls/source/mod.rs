//! The task that reads one source.
//!
//! Playlists are read on time whether or not segments are on their way, so that nothing leaves the window
//! unseen; segments are fetched only as far as the receiver has room for them.

mod select;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;
use url::Url;

use crate::clock::Clock;
use crate::hls::cursor::{Cursor, Start};
use crate::hls::fetch::Http;
use crate::hls::file::Player;
use crate::hls::join::{Join, Side, Turn};
use crate::hls::load::{Address, Loaded, Loader, open};
use crate::hls::playlist::{self, Media};
use crate::hls::presentation::Presentation;
use crate::hls::reader::{Given, Reader};
use crate::hls::retry::backoff;
use crate::hls::segment::unsupported;
use crate::hls::work::{Client, Done, Fetched, Work};
use crate::hls::{Error, Event, Settings, SourceKind, Status, report};
use crate::media::{Moment, Rendition};
use crate::outside::{ShownUrl, Text};

/// A playlist that is not there so often in a row, before it ever was, will not come.
const STARTUP_REFUSALS: u32 = 3;

/// How long the end of the sound is waited for after that of the picture, in target durations: its playlist is
/// read once more within one.
const LAST_SOUND: u32 = 2;

/// Reads the source until it ends (after [`Event::Ended`]), `stop` is cancelled or the receiver is gone.
/// Segments are numbered from `first_number`. While `out` is full nothing more is fetched.
///
/// # Errors
///
/// Only a source that never worked: at once for what cannot get better (not a playlist, unsupported, not
/// there three times), after `settings.startup_budget` for the rest.
pub async fn run(
    settings: Settings,
    clock: Clock,
    first_number: u64,
    out: mpsc::Sender<Event>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let settings = Arc::new(settings);
    let http = Arc::new(Http::new(&settings).await?);
    status.send_modify(|status| status.source_url = ShownUrl::url(settings.url.as_str()));
    let source = Source {
        client: Client::new(http, settings, clock),
        clock,
        status,
        out,
        number: first_number,
        presentation: None,
        main: None,
        audio: None,
        audio_listed: None,
        join: Join::default(),
        outbox: VecDeque::new(),
        opening: Opening::Due(clock.now()),
        opening_began: clock.now(),
        announced: None,
        ending_since: None,
        trying: false,
        film: None,
        started_at: clock.now(),
        startup_failures: 0,
        startup_refusals: 0,
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        result = source.drive() => result,
    }
}

/// Whether the source's own address is to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Opening {
    Due(Moment),
    UnderWay,
    Done,
}

struct Source {
    client: Client,
    clock: Clock,
    status: watch::Sender<Status>,
    out: mpsc::Sender<Event>,
    number: u64,
    /// None where the source is a media playlist: there is nothing to choose.
    presentation: Option<Presentation>,
    main: Option<Reader>,
    audio: Option<Reader>,
    /// The audio playlist to read as soon as the main one says where.
    audio_listed: Option<Box<Loader>>,
    join: Join,
    outbox: VecDeque<Event>,
    opening: Opening,
    opening_began: Moment,
    /// What the receiver was told of a separate playlist for the sound.
    announced: Option<bool>,
    /// Since when the main playlist is done, and the sound is not.
    ending_since: Option<Moment>,
    /// A better variant is being tried.
    trying: bool,
    /// The source is no playlist but a film in one file.
    film: Option<Address>,
    started_at: Moment,
    startup_failures: u32,
    startup_refusals: u32,
}

impl Source {
    async fn drive(mut self) -> Result<(), Error> {
        let mut work: FuturesUnordered<Work> = FuturesUnordered::new();
        loop {
            if let Some(address) = self.film.take() {
                let Self { client, clock, number, out, status, .. } = self;
                return Player::new(client, clock, address, number, out, status).play().await;
            }
            let now = self.clock.now();
            work.extend(self.due(now));
            if self.is_finished(now) {
                info!("the playlist has ended and was delivered");
                let _ = self.out.send(Event::Ended).await;
                return Ok(());
            }
            self.publish_status(now);

            let turn = self.turn(now);
            let gives = !self.outbox.is_empty() || matches!(turn, Turn::Give(_));
            let wake = self.wake_at(turn);
            tokio::select! {
                room = self.out.clone().reserve_owned(), if gives => match room {
                    Ok(room) => self.give(turn, room),
                    Err(_) => return Ok(()),
                },
                Some(done) = work.next(), if !work.is_empty() => self.handle(done)?,
                () = self.clock.sleep_until(wake.unwrap_or_default()), if wake.is_some() => {}
                () = self.out.closed() => return Ok(()),
            }
        }
    }

    /// The requests that are due.
    fn due(&mut self, now: Moment) -> Vec<Work> {
        let mut work: Vec<Work> = Vec::new();
        if matches!(self.opening, Opening::Due(at) if at <= now) {
            self.opening = Opening::UnderWay;
            self.opening_began = now;
            let opened = open(self.client.http.clone(), self.client.settings.clone());
            work.push(Box::pin(async move { Done::Opened(opened.await) }));
        }
        if !self.trying
            && let Some(presentation) = &self.presentation
            && let Some((candidate, loader)) = presentation.better(&self.client, now)
        {
            self.trying = true;
            work.push(Box::pin(async move {
                let (loader, result) = loader.load().await;
                Done::Tried { candidate, loader: Box::new(loader), result }
            }));
        }
        // What waits to be announced comes before the segments.
        let room = if self.outbox.is_empty() { self.out.capacity() } else { 0 };
        for reader in [&mut self.main, &mut self.audio].into_iter().flatten() {
            work.extend(reader.work(&self.client, room, now));
        }
        work
    }

    fn wake_at(&self, turn: Turn) -> Option<Moment> {
        let readers = [&self.main, &self.audio].into_iter().flatten().filter_map(Reader::wake_at);
        let opening = match self.opening {
            Opening::Due(at) => Some(at),
            Opening::UnderWay | Opening::Done => None,
        };
        let better = self.presentation.as_ref().and_then(Presentation::better_at).filter(|_| !self.trying);
        let held = match turn {
            Turn::Wait(until) => Some(until),
            Turn::Give(_) | Turn::Nothing => None,
        };
        let target = self.main.as_ref().and_then(|main| main.cursor.target_duration()).unwrap_or_default();
        let ending = self.ending_since.map(|since| since + target * LAST_SOUND);
        // What is past has been looked at; only what it waits for can change it.
        let ending = ending.filter(|until| *until > self.clock.now());
        readers.chain(opening).chain(better).chain(held).chain(ending).min()
    }

    fn turn(&mut self, now: Moment) -> Turn {
        let idle = Side { done: true, ..Side::default() };
        let waits = Side::default();
        let main = self.main.as_ref().map_or(idle, Reader::side);
        let audio = match &self.audio {
            Some(reader) => reader.side(),
            None if self.audio_listed.is_some() => waits,
            None => idle,
        };
        let readers = [&self.main, &self.audio].into_iter().flatten();
        let target = readers.filter_map(|reader| reader.cursor.target_duration()).max();
        self.join.turn([main, audio], target.unwrap_or_default(), now)
    }

    /// There is room for one event: an announcement that waits, or else whose turn it is.
    fn give(&mut self, turn: Turn, room: mpsc::OwnedPermit<Event>) {
        if let Some(event) = self.outbox.pop_front() {
            room.send(event);
            return;
        }
        let reader = match turn {
            Turn::Give(0) => self.main.as_mut(),
            Turn::Give(_) => self.audio.as_mut(),
            Turn::Wait(_) | Turn::Nothing => None,
        };
        let Some(given) = reader.and_then(|reader| reader.give(self.number, room)) else { return };
        if matches!(given, Given::Segment { .. }) {
            self.number = self.number.saturating_add(1);
        }
        self.status.send_modify(|status| report::given(status, &given, turn == Turn::Give(0)));
    }

    /// The picture decides; the sound that belongs to its end is waited for, as long as it comes.
    fn is_finished(&mut self, now: Moment) -> bool {
        let main = self.main.as_ref().filter(|main| main.is_finished() && self.outbox.is_empty());
        let Some(main) = main else {
            self.ending_since = None;
            return false;
        };
        let target = main.cursor.target_duration().unwrap_or_default();
        let Some(audio) = self.audio.as_ref().filter(|audio| !audio.is_finished()) else { return true };
        if audio.cursor.is_vod() == Some(true) && audio.trouble() == 0 {
            return false;
        }
        let since = *self.ending_since.get_or_insert(now);
        !audio.side().ready && now >= since + target * LAST_SOUND
    }

    fn handle(&mut self, done: Done) -> Result<(), Error> {
        let now = self.clock.now();
        match done {
            Done::Opened(result) => self.handle_opened(result, now),
            Done::Playlist { rendition, loader, result } => {
                let reader = match rendition {
                    Rendition::Main => self.main.as_mut(),
                    Rendition::Audio => self.audio.as_mut(),
                };
                match reader.is_some_and(|reader| reader.returned(loader)) {
                    true => self.handle_playlist(rendition, result, now),
                    false => Ok(()),
                }
            }
            Done::Tried { candidate, loader, result } => {
                self.trying = false;
                self.handle_tried(candidate, &loader, &result, now);
                Ok(())
            }
            Done::Segment { rendition, id, result } => {
                self.handle_segment(rendition, id, result, now);
                Ok(())
            }
        }
    }

    /// A failure before anything worked: how long to wait, or the end.
    fn not_yet(&mut self, error: &Error, now: Moment) -> Result<std::time::Duration, Error> {
        self.startup_failures += 1;
        self.startup_refusals += u32::from(error.is_refusal());
        let budget = self.client.settings.startup_budget;
        if !error.is_transient() || self.startup_refusals >= STARTUP_REFUSALS {
            return Err(error.clone());
        }
        if now.saturating_since(self.started_at) >= budget {
            return Err(Error::Startup { budget, last: Box::new(error.clone()) });
        }
        Ok(backoff(self.startup_failures, rand::random()))
    }

    fn handle_playlist(
        &mut self,
        rendition: Rendition,
        result: Result<Loaded, Error>,
        now: Moment,
    ) -> Result<(), Error> {
        let reader = match rendition {
            Rendition::Main => self.main.as_mut(),
            Rendition::Audio => self.audio.as_mut(),
        };
        let Some(reader) = reader else { return Ok(()) };
        let first = rendition == Rendition::Main && reader.cursor.target_duration().is_none();
        let result = result.and_then(|loaded| match &loaded {
            Loaded::Changed(media) if first => acceptable(media, reader.listed()).map(|()| loaded),
            _ => Ok(loaded),
        });
        match result {
            Ok(loaded) => {
                let target_before = reader.cursor.target_duration();
                reader.handle_loaded(loaded, now);
                let target = reader.cursor.target_duration();
                let vod = reader.cursor.is_vod().unwrap_or(false);
                if rendition == Rendition::Main {
                    self.outbox.extend(target.filter(|_| target != target_before).map(Event::TargetDuration));
                    self.main_read(first, vod, now);
                }
                Ok(())
            }
            Err(error) => {
                let wait = backoff(reader.cursor.failures().saturating_add(1), rand::random());
                reader.playlist_failed(&error, wait, now);
                self.failed(&error);
                if first && let Err(error) = self.not_yet(&error, now) {
                    // One variant that cannot be read is not the end while there are others.
                    return if self.fail_over(now) { Ok(()) } else { Err(error) };
                }
                self.troubled(rendition, now);
                Ok(())
            }
        }
    }

    /// The main playlist was read: the sound can begin where it is.
    fn main_read(&mut self, first: bool, vod: bool, now: Moment) {
        if first {
            let kind = if vod { SourceKind::Vod } else { SourceKind::Live };
            let url = ShownUrl::url(self.client.settings.url.as_str());
            info!(%url, ?kind, "source opened");
            self.status.send_modify(|status| status.kind = Some(kind));
        }
        if let Some(main) = &self.main
            && let Some(loader) = self.audio_listed.take()
        {
            // Numbered by itself: a number of the main playlist means nothing there.
            let mut place = main.place(now);
            place.media_sequence =
                self.client.settings.resume.as_ref().and_then(|resume| resume.audio_sequence);
            let segments = self.client.settings.live_start_segments;
            let cursor = Cursor::starting(Start::Beside(place, now), segments);
            self.audio = Some(Reader::new(Rendition::Audio, loader, cursor));
        }
    }

    fn handle_segment(&mut self, rendition: Rendition, id: u64, result: Result<Fetched, Error>, now: Moment) {
        let reader = match rendition {
            Rendition::Main => self.main.as_mut(),
            Rendition::Audio => self.audio.as_mut(),
        };
        let failure = reader.and_then(|reader| reader.handle_segment(id, result, rand::random(), now));
        let Some((error, again)) = failure else { return };
        self.status.send_modify(|status| {
            status.retries += u64::from(again);
            status.last_error = Some(Text::of(&error));
        });
        self.troubled(rendition, now);
    }

    fn failed(&self, error: &Error) {
        self.status.send_modify(|status| {
            status.retries += 1;
            status.last_error = Some(Text::of(error));
        });
    }

    fn publish_status(&self, now: Moment) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            if let Some(main) = &self.main {
                report::readers(status, main, self.audio.as_ref(), now);
            }
            *status != before
        });
    }
}

/// Whether a playlist that is read for the first time can be played at all.
fn acceptable(media: &Media, listed: &Url) -> Result<(), Error> {
    if let Some(error) = media.segments.iter().find_map(unsupported) {
        return Err(error);
    }
    // A live window is read at its end. A complete one would begin somewhere in its middle.
    if media.is_vod() && media.left_out.segments > 0 {
        let kept = media.segments.len();
        let source =
            playlist::Error::TooManySegments { listed: media.before.saturating_add(kept as u64), kept };
        return Err(Error::Playlist { url: ShownUrl::url(listed.as_str()), source });
    }
    Ok(())
}
