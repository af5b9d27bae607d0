//! Reads the playlist of a source: the master where there is one, then the chosen media playlist.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::fetch::Http;
use super::playlist::{Definitions, Key, Map, Master, Media, Playlist, parse};
use super::{Error, Settings};
use crate::redact;

/// A playlist that takes longer, however steadily it drips, is of no use to a live client.
const MAX_PLAYLIST_TIME: Duration = Duration::from_secs(20);

/// What the source's own address turned out to be.
pub(super) enum Opened {
    /// A media playlist: there is nothing to choose.
    Media(Box<Loader>, Media),
    /// A master playlist, and where it was found.
    Master(Master, Url),
}

/// Reads the source's own address.
pub(super) async fn open(http: Arc<Http>, settings: Arc<Settings>) -> Result<Opened, Error> {
    let mut loader = Loader::new(http, settings.clone(), settings.url.clone(), BTreeMap::new());
    let (final_url, playlist) = loader.playlist(&settings.url, BTreeMap::new()).await?;
    match playlist {
        Playlist::Media(media) => {
            loader.current = final_url.clone();
            Ok(Opened::Media(Box::new(loader), absolute(media, &final_url)?))
        }
        Playlist::Master(master) => Ok(Opened::Master(master, final_url)),
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
    variables: BTreeMap<String, String>,
}

impl Loader {
    /// `variables` are what the master playlist defined.
    pub(super) fn new(
        http: Arc<Http>,
        settings: Arc<Settings>,
        listed: Url,
        variables: BTreeMap<String, String>,
    ) -> Self {
        Self { http, settings, current: listed.clone(), listed, variables }
    }

    /// The address that was given.
    pub(super) fn listed(&self) -> &Url {
        &self.listed
    }

    /// One reading of the media playlist, its addresses absolute. The loader comes back in either case, with
    /// what it learnt for the next reading.
    pub(super) async fn load(mut self) -> (Self, Result<Media, Error>) {
        let result = self.load_once().await;
        if result.is_err() {
            // A redirect's target may be the one that died; the address that was given still holds.
            self.current = self.listed.clone();
        }
        (self, result)
    }

    async fn load_once(&mut self) -> Result<Media, Error> {
        let (final_url, playlist) = self.playlist(&self.current, self.variables.clone()).await?;
        let Playlist::Media(media) = playlist else {
            return Err(Error::NestedMaster { url: redact::url(final_url.as_str()) });
        };
        self.current = final_url.clone();
        absolute(media, &final_url)
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

/// Resolves every address against the playlist's (RFC 8216 4.1), and refuses what is not a stream. An address
/// that is none stays as it is: only its segment is lost by it.
fn absolute(mut media: Media, base: &Url) -> Result<Media, Error> {
    if media.iframes_only {
        let what = "a playlist of single pictures (EXT-X-I-FRAMES-ONLY)".to_owned();
        return Err(Error::Unsupported { url: redact::url(base.as_str()), what });
    }
    let join = |uri: &str| base.join(uri).map_or_else(|_| uri.to_owned(), String::from);
    let mut keys = Resolved::default();
    let mut maps = Resolved::default();
    for segment in &mut media.segments {
        segment.uri = join(&segment.uri);
        let key = |key: &Key| Key { uri: key.uri.as_deref().map(join), ..key.clone() };
        segment.key = segment.key.take().map(|known| keys.get(known, key));
        segment.map = segment.map.take().map(|known| {
            maps.get(known, |map: &Map| Map {
                uri: join(&map.uri),
                byte_range: map.byte_range,
                key: map.key.as_deref().map(|known| Arc::new(key(known))),
            })
        });
    }
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
