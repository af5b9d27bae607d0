//! Reads the playlist of a source: the master where there is one, then the chosen media playlist.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::crypt::Plan;
use super::fetch::{Answer, Body, Http, Request, Validators};
use super::playlist::{Definitions, Key, Media, Playlist, SegmentRef, parse};
use super::{Error, Settings, variant};
use crate::policy::Reach;
use crate::redact;

/// A playlist that takes longer, however steadily it drips, is of no use to a live client.
const MAX_PLAYLIST_TIME: Duration = Duration::from_secs(20);

/// A media playlist of a master that fails so often in a row has probably moved: the master is read again.
/// One that is refused (401, 403, 404, 410) has lost its token or its session, and the master is read at once.
const FAILURES_BEFORE_MASTER: u32 = 3;

/// So many times in a row "not modified" is believed. Servers that date playlists to the second, or tag them
/// by a cache's own key, say it of what has changed.
const UNCHANGED_BELIEVED: u32 = 3;

/// Where the media playlist is, and how it was found. A value: each reading returns the next one.
#[derive(Clone)]
pub(super) struct Loader {
    http: Arc<Http>,
    settings: Arc<Settings>,
    /// How far away the source's own host has been: it may not come nearer while we run (rebinding).
    source_reach: Reach,
    media: Option<Address>,
    /// Readings of the address as it was listed that failed in a row.
    failures: u32,
    /// The master is read before the media playlist.
    reopen: bool,
}

#[derive(Clone)]
struct Address {
    /// As the source or its master lists it.
    listed: Url,
    /// Where redirects led last time: a balanced source is read from one server as long as it lives.
    current: Url,
    /// How far away who named `listed` is.
    named_by: Reach,
    /// The same of `current`: a redirect may have led farther.
    led_by: Reach,
    /// What was chosen, when there was a choice.
    variant: Option<String>,
    variables: BTreeMap<String, String>,
    known: Option<Known>,
}

/// The last reading, for a server that only says that it still holds.
#[derive(Clone)]
struct Known {
    validators: Validators,
    media: Media,
    unchanged: u32,
}

/// What one request for a playlist brought.
enum Reading {
    Unchanged,
    Changed(Box<Body>, Playlist),
}

impl Loader {
    pub(super) fn new(http: Arc<Http>, settings: Arc<Settings>) -> Self {
        Self { http, settings, source_reach: Reach::Machine, media: None, failures: 0, reopen: false }
    }

    /// The variant chosen from a master playlist.
    pub(super) fn variant(&self) -> Option<&str> {
        self.media.as_ref()?.variant.as_deref()
    }

    /// One reading of the media playlist, its addresses absolute. The loader comes back in either case, with
    /// what it learnt for the next reading.
    pub(super) async fn load(mut self) -> (Self, Result<Media, Error>) {
        let result = self.load_once().await;
        match &result {
            Ok(_) => self.failures = 0,
            Err(error) => self.handle_failure(error),
        }
        (self, result)
    }

    /// What the next reading begins with: the address that was given when a redirect's target died, the
    /// master when the listed address did.
    fn handle_failure(&mut self, error: &Error) {
        let Some(address) = &mut self.media else { return };
        address.known = None;
        if address.current != address.listed {
            address.current = address.listed.clone();
            address.led_by = address.named_by;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if address.variant.is_some() && (error.is_refusal() || self.failures >= FAILURES_BEFORE_MASTER) {
            self.failures = 0;
            self.reopen = true;
        }
    }

    async fn load_once(&mut self) -> Result<Media, Error> {
        // When the master fails too, the old address has the next turn.
        if self.media.is_none() || std::mem::take(&mut self.reopen) {
            let (address, media) = self.open().await?;
            self.media = Some(address);
            if let Some(media) = media {
                return Ok(media);
            }
        }
        let Some(mut address) = self.media.clone() else {
            return Err(Error::Address { playlist: redact::url(self.settings.url.as_str()) });
        };
        let known = address.known.take().filter(|known| known.unchanged < UNCHANGED_BELIEVED);
        let validators = known.as_ref().map(|known| &known.validators);
        let from = address.led_by;
        let reading = self.playlist(&address.current, from, address.variables.clone(), validators).await?;
        let media = match (reading, known) {
            (Reading::Changed(body, playlist), _) => {
                let Playlist::Media(media) = playlist else {
                    return Err(Error::NestedMaster { url: redact::url(body.url.as_str()) });
                };
                let media = absolute(media, &body.url)?;
                address.follow(&body, &media);
                self.http.note_playlist(body.reach);
                media
            }
            (Reading::Unchanged, Some(known)) => {
                let media = known.media.clone();
                address.known = Some(Known { unchanged: known.unchanged.saturating_add(1), ..known });
                media
            }
            (Reading::Unchanged, None) => {
                return Err(Error::Status { url: redact::url(address.current.as_str()), status: 304 });
            }
        };
        self.media = Some(address);
        Ok(media)
    }

    /// Reads the source's own address: a media playlist is the answer already.
    async fn open(&mut self) -> Result<(Address, Option<Media>), Error> {
        let source = self.settings.url.clone();
        let reading = self.playlist(&source, self.source_reach, BTreeMap::new(), None).await?;
        let Reading::Changed(body, playlist) = reading else {
            return Err(Error::Status { url: redact::url(source.as_str()), status: 304 });
        };
        self.source_reach = self.source_reach.max(body.first);
        let master = match playlist {
            Playlist::Media(media) => {
                let media = absolute(media, &body.url)?;
                let mut address = Address::new(source, self.source_reach);
                address.follow(&body, &media);
                self.http.note_playlist(body.reach);
                return Ok((address, Some(media)));
            }
            Playlist::Master(master) => master,
        };
        let shown = redact::url(body.url.as_str());
        let choice = variant::choose(&master).ok_or_else(|| Error::Playlist {
            url: shown.clone(),
            source: super::playlist::Error::EmptyMaster,
        })?;
        if let Some(rendition) = choice.separate_audio {
            let what = format!("sound in a playlist of its own (audio rendition {:?})", rendition.name);
            return Err(Error::Unsupported { url: shown, what });
        }
        let listed = body.url.join(&choice.variant.uri).map_err(|_| Error::Address { playlist: shown })?;
        let mut address = Address::new(listed, body.reach);
        address.variant = Some(variant::describe(choice.variant));
        address.variables = master.variables.clone();
        Ok((address, None))
    }

    async fn playlist(
        &self,
        url: &Url,
        from: Reach,
        imported: BTreeMap<String, String>,
        known: Option<&Validators>,
    ) -> Result<Reading, Error> {
        let (limit, total) = (self.settings.max_playlist_bytes, MAX_PLAYLIST_TIME);
        let request = Request { url, from, range: None, limit, total, known };
        let Answer::Body(body) = self.http.fetch(request).await? else { return Ok(Reading::Unchanged) };
        let definitions = Definitions { imported, query: body.url.query_pairs().into_owned().collect() };
        let playlist = parse(&body.bytes, &definitions)
            .map_err(|source| Error::Playlist { url: redact::url(body.url.as_str()), source })?;
        Ok(Reading::Changed(body, playlist))
    }
}

impl Address {
    fn new(listed: Url, named_by: Reach) -> Self {
        Self {
            current: listed.clone(),
            listed,
            named_by,
            led_by: named_by,
            variant: None,
            variables: BTreeMap::new(),
            known: None,
        }
    }

    /// Keeps to where `body` came from, and what it said.
    fn follow(&mut self, body: &Body, media: &Media) {
        if self.current != body.url {
            // Whoever redirected us there answers for it.
            (self.current, self.led_by) = (body.url.clone(), body.reach);
        }
        let validators = body.validators.clone();
        let known = Known { validators, media: media.clone(), unchanged: 0 };
        self.known = (known.validators != Validators::default()).then_some(known);
    }
}

/// Resolves every segment's address against the playlist's (RFC 8216 4.1), and refuses what is not a stream.
fn absolute(mut media: Media, base: &Url) -> Result<Media, Error> {
    if media.iframes_only {
        let what = "a playlist of single pictures (EXT-X-I-FRAMES-ONLY)".to_owned();
        return Err(Error::Unsupported { url: redact::url(base.as_str()), what });
    }
    let join = |uri: &str| {
        base.join(uri).map(String::from).map_err(|_| Error::Address { playlist: redact::url(base.as_str()) })
    };
    let resolve_key = |key: &mut Option<Arc<Key>>| {
        // An address that cannot be joined is left as it is: nobody asks for a DRM system's `skd:`.
        if let Some(key) = key
            && let Some(uri) = key.uri.as_deref().and_then(|uri| join(uri).ok())
        {
            Arc::make_mut(key).uri = Some(uri);
        }
    };
    for segment in &mut media.segments {
        segment.uri = join(&segment.uri)?;
        resolve_key(&mut segment.key);
        if let Some(map) = &mut segment.map {
            let map = Arc::make_mut(map);
            map.uri = join(&map.uri)?;
            resolve_key(&mut map.key);
        }
    }
    Ok(media)
}

/// What this version cannot read in a segment.
pub(super) fn unsupported(segment: &SegmentRef) -> Option<Error> {
    let url = || redact::url(&segment.uri);
    if let Some(key) = &segment.key
        && let Err(source) = Plan::new(key, segment.sequence)
    {
        return Some(Error::Crypt { url: url(), source });
    }
    let what = "fragmented MP4 (EXT-X-MAP)".to_owned();
    segment.map.is_some().then(|| Error::Unsupported { url: url(), what })
}
