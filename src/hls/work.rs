//! What a source waits for: the requests for playlists and segments, each a future of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use url::Url;

use super::fetch::Http;
use super::load::{Loader, Opened};
use super::playlist::{ByteRange, Key, Map, Media, SegmentRef};
use super::{Error, Settings};
use crate::media::Rendition;
use crate::redact;

/// Initialization sections kept: a source that breaks for advertisements comes back to its own.
const MAX_MAPS: usize = 8;

/// An initialization section is some kilobytes; parameter sets and a cover picture stay below this.
const MAX_MAP_BYTES: usize = 4 << 20;

/// A request on its way.
pub(super) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What came of it.
pub(super) enum Done {
    Opened(Result<Opened, Error>),
    Playlist {
        rendition: Rendition,
        loader: Box<Loader>,
        result: Result<Media, Error>,
    },
    /// The playlist of a variant that is better than the one that is read.
    Tried {
        candidate: usize,
        loader: Box<Loader>,
        result: Result<Media, Error>,
    },
    Segment {
        rendition: Rendition,
        id: u64,
        result: Result<Fetched, Error>,
    },
}

/// A segment's body, and that of its initialization section.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) init: Option<Bytes>,
    pub(super) data: Bytes,
}

/// An initialization section and its body.
type KnownMap = (Arc<Map>, Bytes);

/// What every request needs.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: Arc<Http>,
    pub(super) settings: Arc<Settings>,
    maps: Arc<Mutex<Vec<KnownMap>>>,
}

impl Client {
    pub(super) fn new(http: Arc<Http>, settings: Arc<Settings>) -> Self {
        Self { http, settings, maps: Arc::default() }
    }

    /// The segment and, where it has one, its initialization section: each is asked for once.
    pub(super) async fn fetch(self, segment: SegmentRef, total: Duration) -> Result<Fetched, Error> {
        let init = match &segment.map {
            Some(map) => Some(self.fetch_map(map, total).await?),
            None => None,
        };
        Ok(Fetched { init, data: self.fetch_segment(&segment, total).await? })
    }

    /// The body of one segment, in the clear.
    pub(super) async fn fetch_segment(&self, segment: &SegmentRef, total: Duration) -> Result<Bytes, Error> {
        refuse_key(segment.key.as_deref(), &segment.uri)?;
        self.get(&segment.uri, segment.byte_range, self.settings.max_segment_bytes, total).await
    }

    /// The body of an initialization section: the same bytes as long as the address and the range are the same.
    async fn fetch_map(&self, map: &Arc<Map>, total: Duration) -> Result<Bytes, Error> {
        // Held while it is fetched: the segments that need it too wait for it instead of asking again.
        let mut maps = self.maps.lock().await;
        if let Some((_, bytes)) = maps.iter().find(|(known, _)| known == map) {
            return Ok(bytes.clone());
        }
        refuse_key(map.key.as_deref(), &map.uri)?;
        let bytes = self.get(&map.uri, map.byte_range, MAX_MAP_BYTES, total).await?;
        if maps.len() == MAX_MAPS {
            maps.remove(0);
        }
        maps.push((map.clone(), bytes.clone()));
        Ok(bytes)
    }

    async fn get(
        &self,
        uri: &str,
        range: Option<ByteRange>,
        limit: usize,
        total: Duration,
    ) -> Result<Bytes, Error> {
        let shown = redact::url(uri);
        let url = Url::parse(uri).map_err(|_| Error::Address { playlist: shown.clone() })?;
        let body = self.http.get(&url, range, limit, total).await?;
        check_body(&body.bytes, &shown)?;
        Ok(body.bytes)
    }
}

fn refuse_key(key: Option<&Key>, uri: &str) -> Result<(), Error> {
    key.map_or(Ok(()), |key| {
        let what = format!("encryption ({:?})", key.method);
        Err(Error::Unsupported { url: redact::url(uri), what })
    })
}

/// What this version cannot read in a segment.
pub(super) fn unsupported(segment: &SegmentRef) -> Option<Error> {
    refuse_key(segment.key.as_deref(), &segment.uri).err()
}

/// Servers answer 200 with a page, or with nothing, for a segment that is not there.
fn check_body(body: &[u8], shown: &str) -> Result<(), Error> {
    let reason = match body.first() {
        None => "it is empty",
        Some(b'<') => "it is a web page",
        Some(_) => return Ok(()),
    };
    Err(Error::NotASegment { url: shown.to_owned(), reason })
}
