//! One attempt at a segment: its key, its body, whole and plain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::crypt::Plan;
use super::fetch::Http;
use super::keys::Keys;
use super::playlist::{ByteRange, Key, SegmentRef};
use super::whole::{self, Fault};
use super::{Error, Settings};
use crate::redact;

/// Fetches the segments of one source.
pub(super) struct Segments {
    http: Arc<Http>,
    keys: Keys,
    max_bytes: usize,
    /// The last body that seemed to be cut off: when the same comes again, it is the source's own.
    seemed_cut: Mutex<Option<(String, usize)>>,
}

impl Segments {
    pub(super) fn new(http: Arc<Http>, settings: &Settings) -> Self {
        let keys = Keys::new(http.clone());
        Self { http, keys, max_bytes: settings.max_segment_bytes, seemed_cut: Mutex::default() }
    }

    /// The segment's body, decrypted, within `total`.
    ///
    /// # Errors
    ///
    /// Of this attempt; whether another can help is [`Error::is_transient`].
    pub(super) async fn fetch(&self, segment: &SegmentRef, total: Duration) -> Result<Bytes, Error> {
        let key = segment.key.as_deref();
        self.resource(&segment.uri, segment.byte_range, key, segment.sequence, total).await
    }

    /// The initialization section that holds for the segment (RFC 8216 4.3.2.5), decrypted; none where it
    /// needs none.
    #[expect(dead_code, reason = "fragmented MP4 is refused until it can be demultiplexed")]
    pub(super) async fn initialization(
        &self,
        segment: &SegmentRef,
        total: Duration,
    ) -> Result<Option<Bytes>, Error> {
        let Some(map) = &segment.map else { return Ok(None) };
        let key = map.key.as_deref();
        self.resource(&map.uri, map.byte_range, key, segment.sequence, total).await.map(Some)
    }

    async fn resource(
        &self,
        uri: &str,
        range: Option<ByteRange>,
        key: Option<&Key>,
        sequence: u64,
        total: Duration,
    ) -> Result<Bytes, Error> {
        let shown = redact::url(uri);
        let url = Url::parse(uri).map_err(|_| Error::Address { playlist: shown.clone() })?;
        let plan = key
            .map(|key| Plan::new(key, sequence))
            .transpose()
            .map_err(|source| Error::Crypt { url: shown.clone(), source })?;
        let work = async {
            // The key first: without it the body is of no use.
            let found = match &plan {
                Some(plan) => Some((plan, self.keys.find(plan, total).await?)),
                None => None,
            };
            let body = self.http.get(&url, range, self.max_bytes, total).await?.bytes;
            let plain = match found {
                Some((plan, found)) => self.keys.decrypt(plan, found, body, &shown, total).await?,
                None => body,
            };
            self.check(&plain, uri, &shown)?;
            Ok(plain)
        };
        let late = |_| Error::Timeout { url: shown.clone(), what: "complete segment", after: total };
        tokio::time::timeout(total, work).await.map_err(late)?
    }

    fn check(&self, body: &[u8], uri: &str, shown: &str) -> Result<(), Error> {
        let mut seemed_cut = self.seemed_cut.lock().unwrap_or_else(PoisonError::into_inner);
        match whole::check(body) {
            Ok(()) => Ok(()),
            Err(Fault::NoSegment(reason)) => Err(Error::NotASegment { url: shown.to_owned(), reason }),
            // Twice the same length is no accident of the transfer.
            Err(Fault::Cut(_))
                if seemed_cut.take().is_some_and(|last| last == (uri.to_owned(), body.len())) =>
            {
                Ok(())
            }
            Err(Fault::Cut(reason)) => {
                *seemed_cut = Some((uri.to_owned(), body.len()));
                let (url, received) = (shown.to_owned(), body.len());
                Err(Error::Truncated { url, received, reason: reason.to_owned() })
            }
        }
    }
}
