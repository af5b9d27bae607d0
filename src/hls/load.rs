//! Reads the playlist of a source: the master where there is one, then the chosen media playlist.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::fetch::Http;
use super::playlist::{Definitions, Media, Playlist, SegmentRef, parse};
use super::{Error, Settings, variant};
use crate::redact;

/// A playlist that takes longer, however steadily it drips, is of no use to a live client.
const MAX_PLAYLIST_TIME: Duration = Duration::from_secs(20);

/// A media playlist of a master that refuses so often in a row has probably lost its token: the master is
/// read again for a new address.
const REFUSALS_BEFORE_MASTER: u32 = 3;

/// Where the media playlist is, and how it was found. A value: each reading returns the next one.
#[derive(Clone)]
pub(super) struct Loader {
    http: Arc<Http>,
    settings: Arc<Settings>,
    media: Option<Address>,
    refusals: u32,
}

#[derive(Clone)]
struct Address {
    /// As the source or its master lists it.
    listed: Url,
    /// Where redirects led last time: a balanced source is read from one server as long as it lives.
    current: Url,
    /// What was chosen, when there was a choice.
    variant: Option<String>,
    variables: BTreeMap<String, String>,
}

impl Loader {
    pub(super) fn new(http: Arc<Http>, settings: Arc<Settings>) -> Self {
        Self { http, settings, media: None, refusals: 0 }
    }

    /// The variant chosen from a master playlist.
    pub(super) fn variant(&self) -> Option<&str> {
        self.media.as_ref()?.variant.as_deref()
    }

    /// One reading of the media playlist, its addresses absolute. The loader comes back in either case, with
    /// what it learnt for the next reading.
    pub(super) async fn load(mut self) -> (Self, Result<Media, Error>) {
        let result = self.load_once().await;
        match (&result, &mut self.media) {
            (Ok(_), _) => self.refusals = 0,
            (Err(error), Some(address)) => {
                // A redirect's target may be the one that died; the address that was given still holds.
                address.current = address.listed.clone();
                self.refusals = if error.is_refusal() { self.refusals.saturating_add(1) } else { 0 };
                if self.refusals >= REFUSALS_BEFORE_MASTER && address.variant.is_some() {
                    self.media = None;
                    self.refusals = 0;
                }
            }
            (Err(_), None) => {}
        }
        (self, result)
    }

    async fn load_once(&mut self) -> Result<Media, Error> {
        let address = match &self.media {
            Some(address) => address.clone(),
            None => match self.open().await? {
                (address, Some(media)) => {
                    self.media = Some(address);
                    return Ok(media);
                }
                (address, None) => {
                    self.media = Some(address.clone());
                    address
                }
            },
        };
        let (final_url, playlist) = self.playlist(&address.current, address.variables.clone()).await?;
        let Playlist::Media(media) = playlist else {
            return Err(Error::NestedMaster { url: redact::url(final_url.as_str()) });
        };
        if let Some(kept) = &mut self.media {
            kept.current = final_url.clone();
        }
        absolute(media, &final_url)
    }

    /// Reads the source's own address: a media playlist is the answer already.
    async fn open(&self) -> Result<(Address, Option<Media>), Error> {
        let source = &self.settings.url;
        let (final_url, playlist) = self.playlist(source, BTreeMap::new()).await?;
        let master = match playlist {
            Playlist::Media(media) => {
                let address = Address {
                    listed: source.clone(),
                    current: final_url.clone(),
                    variant: None,
                    variables: BTreeMap::new(),
                };
                return Ok((address, Some(absolute(media, &final_url)?)));
            }
            Playlist::Master(master) => master,
        };
        let shown = redact::url(final_url.as_str());
        let choice = variant::choose(&master).ok_or_else(|| Error::Playlist {
            url: shown.clone(),
            source: super::playlist::Error::EmptyMaster,
        })?;
        if let Some(rendition) = choice.separate_audio {
            let what = format!("sound in a playlist of its own (audio rendition {:?})", rendition.name);
            return Err(Error::Unsupported { url: shown, what });
        }
        let listed = final_url.join(&choice.variant.uri).map_err(|_| Error::Address { playlist: shown })?;
        let address = Address {
            current: listed.clone(),
            listed,
            variant: Some(variant::describe(choice.variant)),
            variables: master.variables.clone(),
        };
        Ok((address, None))
    }

    async fn playlist(
        &self,
        url: &Url,
        imported: BTreeMap<String, String>,
    ) -> Result<(Url, Playlist), Error> {
        let body = self.http.get(url, None, self.settings.max_playlist_bytes, MAX_PLAYLIST_TIME).await?;
        let definitions = Definitions { imported, query: body.url.query_pairs().into_owned().collect() };
        let playlist = parse(&body.bytes, &definitions)
            .map_err(|source| Error::Playlist { url: redact::url(body.url.as_str()), source })?;
        Ok((body.url, playlist))
    }
}

/// Resolves every segment's address against the playlist's (RFC 8216 4.1), and refuses what is not a stream.
fn absolute(mut media: Media, base: &Url) -> Result<Media, Error> {
    if media.iframes_only {
        let what = "a playlist of single pictures (EXT-X-I-FRAMES-ONLY)".to_owned();
        return Err(Error::Unsupported { url: redact::url(base.as_str()), what });
    }
    for segment in &mut media.segments {
        let url =
            base.join(&segment.uri).map_err(|_| Error::Address { playlist: redact::url(base.as_str()) })?;
        segment.uri = url.into();
    }
    Ok(media)
}

/// What this version cannot read in a segment.
pub(super) fn unsupported(segment: &SegmentRef) -> Option<Error> {
    let what = if let Some(key) = &segment.key {
        format!("encryption ({:?})", key.method)
    } else if segment.map.is_some() {
        "fragmented MP4 (EXT-X-MAP)".to_owned()
    } else {
        return None;
    };
    Some(Error::Unsupported { url: redact::url(&segment.uri), what })
}
