//! Reads playlists: what is at the source's own address, and a media playlist again and again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::fetch::{Answer, Body, Http, Request, Validators};
use super::playlist::{
    Definitions, Key, Map, Master, Media, Playlist, SegmentRef, Start, limits, parse_from,
};
use super::{Error, Settings, unpack};
use crate::heavy::Work;
use crate::memory::Held;
use crate::outside::ShownUrl;
use crate::policy::Reach;

/// A playlist that takes longer, however steadily it drips, is of no use to a live client.
const MAX_PLAYLIST_TIME: Duration = Duration::from_secs(20);

/// So many times in a row "not modified" is believed. Servers that date playlists to the second, or tag them
/// by a cache's own key, say it of what has changed.
const UNCHANGED_BELIEVED: u32 = 3;

/// What the source's own address turned out to be.
pub(super) enum Opened {
    /// A media playlist: there is nothing to choose.
    Media(Box<Loader>, Media),
    /// A master playlist, and where it was found.
    Master(Master, Address),
    /// No playlist but a film in one file, and where.
    Film(Address),
}

/// What a master playlist says for all media playlists that it lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Inherited {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) start: Option<Start>,
}

/// Where a playlist came from: what its addresses are relative to, and how near they may lead.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) url: Url,
    pub(super) reach: Reach,
}

/// Reads the source's own address.
pub(super) async fn open(http: Arc<Http>, settings: Arc<Settings>) -> Result<Opened, Error> {
    let source = Address { url: settings.url.clone(), reach: http.source_reach() };
    let mut loader = Loader::new(http, settings, source, Inherited::default());
    let (body, playlist) = match loader.read(None, true).await? {
        Reading::Changed(changed) => *changed,
        Reading::Film(first) => {
            let reach = loader.http.note_source(first);
            return Ok(Opened::Film(Address { url: loader.listed, reach }));
        }
        Reading::Unchanged => return Err(loader.not_asked_for()),
    };
    let named_by = loader.http.note_source(body.first);
    (loader.named_by, loader.led_by) = (named_by, named_by);
    match playlist {
        Playlist::Media(media) => {
            loader.follow(&body);
            Ok(Opened::Media(Box::new(loader), media))
        }
        Playlist::Master(master) => Ok(Opened::Master(master, Address { url: body.url, reach: body.reach })),
    }
}

/// One media playlist: where it is, and where it was found last. A value: each reading returns the next one.
#[derive(Clone)]
pub(super) struct Loader {
    http: Arc<Http>,
    settings: Arc<Settings>,
    /// As the source or its master lists it.
    listed: Url,
    /// Where redirects led last time: a balanced source is read from one server as long as it lives.
    current: Url,
    /// How far away who named `listed` is.
    named_by: Reach,
    /// The same of `current`: a redirect may have led farther.
    led_by: Reach,
    /// How far away the last reading came from: what it names may be no nearer.
    reach: Reach,
    inherited: Inherited,
    known: Option<Known>,
    /// The media sequence number of the first segment that has not been taken yet.
    needed_from: u64,
}

/// The last reading, for a server that only says that it still holds.
#[derive(Clone)]
struct Known {
    validators: Validators,
    unchanged: u32,
}

/// What one reading of a media playlist brought.
#[derive(Debug)]
pub(super) enum Loaded {
    Changed(Media),
    /// The last one still holds; whoever reads it has it.
    Unchanged,
}

/// What one request for a playlist brought.
enum Reading {
    Unchanged,
    /// Its addresses absolute.
    Changed(Box<(Body, Playlist)>),
    Film(Reach),
}

impl Loader {
    /// `listed` is the playlist's address, and how far away who named it is.
    pub(super) fn new(
        http: Arc<Http>,
        settings: Arc<Settings>,
        listed: Address,
        inherited: Inherited,
    ) -> Self {
        let Address { url, reach } = listed;
        Self {
            http,
            settings,
            current: url.clone(),
            listed: url,
            named_by: reach,
            led_by: reach,
            reach,
            inherited,
            known: None,
            needed_from: 0,
        }
    }

    /// The address that was given.
    pub(super) fn listed(&self) -> &Url {
        &self.listed
    }

    /// How near what the last reading names may be.
    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    /// What is needed of the next reading: its segments from this number on, and all of it where the last one is not
    /// at hand.
    pub(super) fn expect(&mut self, needed_from: u64, has_last: bool) {
        self.needed_from = needed_from;
        self.known.take_if(|_| !has_last);
    }

    /// One reading of the media playlist, its addresses absolute. The loader comes back in either case, with
    /// what it learnt for the next reading.
    pub(super) async fn load(mut self) -> (Self, Result<Loaded, Error>) {
        let result = self.load_once().await;
        if result.is_err() {
            // A redirect's target may be the one that died; the address that was given still holds.
            self.current = self.listed.clone();
            self.led_by = self.named_by;
            self.known = None;
        }
        (self, result)
    }

    async fn load_once(&mut self) -> Result<Loaded, Error> {
        let known = self.known.take().filter(|known| known.unchanged < UNCHANGED_BELIEVED);
        match (self.read(known.as_ref().map(|known| &known.validators), false).await?, known) {
            (Reading::Changed(changed), _) => match *changed {
                (body, Playlist::Media(media)) => {
                    self.follow(&body);
                    Ok(Loaded::Changed(media))
                }
                (body, Playlist::Master(_)) => {
                    Err(Error::NestedMaster { url: ShownUrl::url(body.url.as_str()) })
                }
            },
            (Reading::Unchanged, Some(known)) => {
                self.known = Some(Known { unchanged: known.unchanged.saturating_add(1), ..known });
                Ok(Loaded::Unchanged)
            }
            (Reading::Unchanged, None) | (Reading::Film(_), _) => Err(self.not_asked_for()),
        }
    }

    async fn read(&self, known: Option<&Validators>, stops_at_film: bool) -> Result<Reading, Error> {
        let (url, from) = (&self.current, self.led_by);
        let (limit, total) = (self.settings.max_playlist_bytes, MAX_PLAYLIST_TIME);
        let request = Request { limit, total, known, stops_at_film, ..Request::new(url, from) };
        let body = match self.http.fetch(request).await? {
            Answer::Body(body) => body,
            Answer::Unchanged => return Ok(Reading::Unchanged),
            Answer::Film { first } => return Ok(Reading::Film(first)),
        };
        let imported = self.inherited.variables.clone();
        let definitions = Definitions { imported, query: body.url.query_pairs().into_owned().collect() };
        let (packed, length) = (unpack::is_packed(&body.bytes), body.bytes.len());
        let work = if packed { Work::Unknown } else { Work::Bytes(length) };
        let (bytes, base, start) = (body.bytes.clone(), body.url.clone(), self.inherited.start);
        let needed_from = self.needed_from;
        let understand = move || understand(&bytes, limit, &definitions, &base, start, needed_from);
        let playlist = self.settings.share.run(work, understand).await?;
        Ok(Reading::Changed(Box::new((*body, playlist))))
    }

    /// A part of what the stream holds.
    pub(super) fn part(&self) -> Held {
        self.settings.meter.part()
    }

    /// Keeps to where `body` came from, and what it said.
    fn follow(&mut self, body: &Body) {
        if self.current != body.url {
            // Whoever redirected us there answers for it.
            (self.current, self.led_by) = (body.url.clone(), body.reach);
        }
        self.reach = body.reach;
        let validators = body.validators.clone();
        let known = Known { validators, unchanged: 0 };
        self.known = (known.validators != Validators::default()).then_some(known);
    }

    /// "Not modified", where nothing was known.
    fn not_asked_for(&self) -> Error {
        Error::Status { url: ShownUrl::url(self.current.as_str()), status: 304 }
    }
}

/// The playlist in `body`, which came from `base`. `start` is what its master says of where to begin.
fn understand(
    body: &Bytes,
    limit: usize,
    definitions: &Definitions,
    base: &Url,
    start: Option<Start>,
    needed_from: u64,
) -> Result<Playlist, Error> {
    let shown = || ShownUrl::url(base.as_str());
    let text = unpack::text(body, limit).map_err(|fault| match fault {
        unpack::Fault::TooLarge => Error::TooLarge { url: shown(), limit },
        unpack::Fault::Playlist(source) => Error::Playlist { url: shown(), source },
    })?;
    let playlist = parse_from(&text, definitions, needed_from)
        .map_err(|source| Error::Playlist { url: shown(), source })?;
    Ok(match playlist {
        Playlist::Media(media) => {
            let mut media = absolute(media, base)?;
            // Where both say it, the master's is the one that holds (RFC 8216 4.3.5).
            media.start = start.or(media.start);
            Playlist::Media(media)
        }
        master @ Playlist::Master(_) => master,
    })
}

/// How many bytes a playlist takes while its reader keeps it, which is also what "not modified" refers to.
pub(super) fn size(media: &Media) -> u64 {
    let each = |segment: &SegmentRef| (size_of::<SegmentRef>() + segment.uri.len()) as u64;
    media.segments.iter().map(each).sum()
}

/// Resolves every address against the playlist's (RFC 8216 4.1), and refuses what is not a stream. An address
/// that is none stays as it is: only its segment is lost by it.
fn absolute(mut media: Media, base: &Url) -> Result<Media, Error> {
    if media.iframes_only {
        let what = "a playlist of single pictures (EXT-X-I-FRAMES-ONLY)".into();
        return Err(Error::Unsupported { url: ShownUrl::url(base.as_str()), what });
    }
    let text = Cell::new(0_usize);
    let join = |uri: &str| {
        let joined = base.join(uri).map_or_else(|_| uri.to_owned(), String::from);
        text.set(text.get().saturating_add(joined.len()));
        joined
    };
    let mut keys = Resolved::default();
    let mut maps = Resolved::default();
    let mut kept = 0;
    // The newest first: a base of some kilobytes makes much of short addresses.
    for segment in media.segments.iter_mut().rev() {
        segment.uri = join(&segment.uri).into();
        let key = |key: &Key| Key { uri: key.uri.as_deref().map(join), ..key.clone() };
        segment.key = segment.key.take().map(|known| keys.get(known, key));
        segment.map = segment.map.take().map(|known| {
            maps.get(known, |map: &Map| Map {
                uri: join(&map.uri),
                byte_range: map.byte_range,
                key: map.key.as_deref().map(|known| Arc::new(key(known))),
            })
        });
        if text.get() > limits::MAX_TEXT {
            break;
        }
        kept += 1;
    }
    media.keep_newest(kept);
    Ok(media)
}

/// The last one resolved: runs of segments share theirs.
struct Resolved<T>(Option<(Arc<T>, Arc<T>)>);

impl<T> Default for Resolved<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Resolved<T> {
    fn get(&mut self, written: Arc<T>, resolve: impl FnOnce(&T) -> T) -> Arc<T> {
        if let Some((known, resolved)) = &self.0
            && Arc::ptr_eq(known, &written)
        {
            return resolved.clone();
        }
        let resolved = Arc::new(resolve(&written));
        self.0 = Some((written, resolved.clone()));
        resolved
    }
}
