//! What a source waits for: the requests for playlists and segments, each a future of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::cursor::Listed;
use super::fetch::Http;
use super::load::{Loaded, Loader, Opened};
use super::maps::{Maps, Need};
use super::playlist::KeyMethod;
use super::segment::Segments;
use super::{Error, Settings};
use crate::clock::Clock;
use crate::media::Rendition;
use crate::outside::ShownUrl;
use crate::policy::Reach;

/// A request on its way.
pub(super) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What came of it.
pub(super) enum Done {
    Opened(Result<Opened, Error>),
    Playlist {
        rendition: Rendition,
        loader: Box<Loader>,
        result: Result<Loaded, Error>,
    },
    /// The playlist of a variant that is better than the one that is read.
    Tried {
        candidate: usize,
        loader: Box<Loader>,
        result: Result<Loaded, Error>,
    },
    Segment {
        rendition: Rendition,
        id: u64,
        result: Result<Fetched, Error>,
    },
}

/// A segment's body in the clear, and that of its initialization section.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) init: Option<Bytes>,
    pub(super) data: Bytes,
}

/// What every request needs.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: Arc<Http>,
    pub(super) settings: Arc<Settings>,
    segments: Arc<Segments>,
    maps: Arc<Mutex<Maps>>,
}

impl Client {
    pub(super) fn new(http: Arc<Http>, settings: Arc<Settings>, clock: Clock) -> Self {
        let segments = Arc::new(Segments::new(http.clone(), &settings));
        Self { http, settings, segments, maps: Arc::new(Mutex::new(Maps::new(clock))) }
    }

    /// The segment and, where it has one, its initialization section. The playlist that lists them is `from` away.
    pub(super) async fn fetch(
        self,
        rendition: Rendition,
        listed: Listed,
        from: Reach,
        total: Duration,
    ) -> Result<Fetched, Error> {
        let Listed { segment, era, listed_at, .. } = listed;
        let samples_encrypted = segment.key.as_ref().is_some_and(|key| key.method == KeyMethod::SampleAes);
        let (mut init, mut protection) = (None, None);
        if let Some(map) = &segment.map {
            let need = Need { rendition, era, listed_at, sequence: segment.sequence, from, total };
            // Held while it is fetched: the segments that need it too wait for it instead of asking again.
            let found = self.maps.lock().await.find(&self.segments, map, need).await?;
            init = Some(found.body);
            if samples_encrypted {
                let crypt = |source| Error::Crypt { url: ShownUrl::url(&map.uri), source };
                protection = match found.opened.map_err(crypt)? {
                    Some((plain, how)) => {
                        init = Some(plain);
                        Some(how)
                    }
                    None => Some(Arc::default()),
                };
            }
        }
        Ok(Fetched { init, data: self.segments.fetch(&segment, protection, from, total).await? })
    }
}
