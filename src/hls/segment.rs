//! One attempt at a segment or an initialization section: its key, its body, whole and plain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::crypt::samples::Protection;
use super::crypt::{Method, Plan};
use super::fetch::{Answer, Http, Request, Span, Validators};
use super::keys::Keys;
use super::playlist::{ByteRange, Key, KeyMethod, Map, SegmentRef};
use super::whole::{self, Cuts, Fault};
use super::{Error, Settings};
use crate::outside::ShownUrl;
use crate::policy::Reach;

/// An initialization section is some kilobytes; parameter sets and a cover picture stay below this.
const MAX_MAP_BYTES: usize = 4 << 20;

/// Fetches the segments of one source.
pub(super) struct Segments {
    http: Arc<Http>,
    keys: Keys,
    max_bytes: usize,
    cuts: Mutex<Cuts>,
}

/// What came of an address that was asked before.
pub(super) enum Section {
    Unchanged,
    Changed { body: Bytes, validators: Validators },
}

/// What is asked for, and on which terms.
struct Resource<'a> {
    uri: &'a str,
    range: Option<ByteRange>,
    key: Option<&'a Key>,
    /// The media sequence number of the segment that needs it.
    sequence: u64,
    /// How far away the playlist is that lists it.
    from: Reach,
    limit: usize,
    total: Duration,
    /// The version that is there already.
    known: Option<&'a Validators>,
}

impl Segments {
    pub(super) fn new(http: Arc<Http>, settings: &Settings) -> Self {
        let keys = Keys::new(http.clone(), settings.share.clone());
        Self { http, keys, max_bytes: settings.max_segment_bytes, cuts: Mutex::default() }
    }

    /// The segment's body, decrypted, within `total`. The playlist that lists it is `from` away.
    ///
    /// # Errors
    ///
    /// Of this attempt; whether another can help is [`Error::is_transient`].
    pub(super) async fn fetch(
        &self,
        segment: &SegmentRef,
        protection: Option<Arc<Protection>>,
        from: Reach,
        total: Duration,
    ) -> Result<Bytes, Error> {
        let resource = Resource {
            uri: &segment.uri,
            range: segment.byte_range,
            key: segment.key.as_deref(),
            sequence: segment.sequence,
            from,
            limit: self.max_bytes,
            total,
            known: None,
        };
        match self.resource(&resource, protection).await? {
            Section::Changed { body, .. } => Ok(body),
            // Nothing was known, so nothing can be unchanged.
            Section::Unchanged => Err(Error::Status { url: ShownUrl::url(&segment.uri), status: 304 }),
        }
    }

    /// The initialization section `map` (RFC 8216 4.3.2.5), decrypted, for the segment of this `sequence`; where a
    /// version of it is `known`, whether it still holds, by the word of the origin rather than of a cache.
    ///
    /// # Errors
    ///
    /// As [`Segments::fetch`].
    pub(super) async fn initialization(
        &self,
        map: &Map,
        known: Option<&Validators>,
        sequence: u64,
        from: Reach,
        total: Duration,
    ) -> Result<Section, Error> {
        let limit = MAX_MAP_BYTES;
        // It has no samples.
        let key = map.key.as_deref().filter(|key| key.method != KeyMethod::SampleAes);
        let range = map.byte_range;
        let resource = Resource { uri: &map.uri, range, key, sequence, from, limit, total, known };
        self.resource(&resource, None).await
    }

    async fn resource(
        &self,
        resource: &Resource<'_>,
        protection: Option<Arc<Protection>>,
    ) -> Result<Section, Error> {
        let &Resource { uri, range, key, sequence, from, limit, total, known } = resource;
        let shown = ShownUrl::url(uri);
        let url = Url::parse(uri).map_err(|_| Error::Address { playlist: shown.clone() })?;
        let plan = key
            .map(|key| Plan::new(key, sequence))
            .transpose()
            .map_err(|source| Error::Crypt { url: shown.clone(), source })?;
        let work = async {
            // The key first: without it the body is of no use.
            let found = match &plan {
                Some(plan) => Some((plan, self.keys.find(plan, from, total).await?)),
                None => None,
            };
            let span = range.map_or(Span::All, Span::Exactly);
            let request =
                Request { span, limit, total, known, fresh: known.is_some(), ..Request::new(&url, from) };
            let (body, held, validators) = match self.http.fetch(request).await? {
                Answer::Body(body) => (body.bytes, body.held, body.validators),
                Answer::Unchanged | Answer::Film { .. } => return Ok(Section::Unchanged),
            };
            let plain = match found {
                Some((plan, found)) if plan.method == Method::SampleAes => {
                    self.keys.decrypt_samples(plan, found, protection, body, &shown).await?
                }
                Some((plan, found)) => self.keys.decrypt(plan, found, body, &shown, from, total).await?,
                None => body,
            };
            self.check(&plain, resource, &shown)?;
            // From here on it counts until nobody holds a slice of it.
            Ok(Section::Changed { body: held.wrap(plain), validators })
        };
        let late = |_| Error::Timeout { url: shown.clone(), what: "complete segment", after: total };
        tokio::time::timeout(total, work).await.map_err(late)?
    }

    fn check(&self, body: &[u8], resource: &Resource<'_>, shown: &ShownUrl) -> Result<(), Error> {
        let reason = match whole::check(body) {
            Ok(()) => return Ok(()),
            Err(Fault::NoSegment(reason)) => {
                return Err(Error::NotASegment { url: shown.to_owned(), reason });
            }
            Err(Fault::Cut(reason)) => reason,
        };
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        if cuts.are_the_sources_own(resource.uri, resource.range, body.len()) {
            return Ok(());
        }
        let (url, received) = (shown.to_owned(), body.len());
        Err(Error::Truncated { url, received, reason: reason.into() })
    }
}

/// What this version cannot decrypt of a segment or its initialization section.
pub(super) fn unsupported(segment: &SegmentRef) -> Option<Error> {
    let refused = |key: Option<&Key>, uri: &str| {
        let source = Plan::new(key?, segment.sequence).err()?;
        Some(Error::Crypt { url: ShownUrl::url(uri), source })
    };
    let map = segment.map.as_deref();
    refused(segment.key.as_deref(), &segment.uri)
        .or_else(|| map.and_then(|map| refused(map.key.as_deref(), &map.uri)))
}
