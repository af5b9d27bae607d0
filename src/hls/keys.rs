//! The keys of encrypted segments: each fetched once, kept as long as it is of use, never shown.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tracing::debug;
use url::Url;

use super::Error;
use super::crypt::samples::Protection;
use super::crypt::{Key, Plan};
use super::fetch::Http;
use crate::heavy::{Share, Work};
use crate::outside::ShownUrl;
use crate::policy::Reach;

/// Keys kept, the last used first. A live window names one or two at a time; a source that changes its key
/// with every segment and is read in two renditions stays within this for its whole window.
const MAX_KEYS: usize = 32;

/// Keys kept that were replaced under their address: segments listed before the change may come after it, as
/// several are on their way at once.
const MAX_FORMER: usize = 4;

/// Larger than any key; the length is judged afterwards, so that an error page is told from a flood.
const MAX_KEY_BODY: usize = 64 << 10;

/// A key is a few bytes: who needs longer than this is asked again.
const MAX_KEY_TIME: Duration = Duration::from_secs(8);

/// The keys of one source. Rotation needs no clock: a new key has a new address as a rule, and pushes out the
/// one that was used longest ago; a key that was changed under its address is noticed by what it decrypts.
pub(super) struct Keys {
    http: Arc<Http>,
    share: Share,
    held: Mutex<VecDeque<Held>>,
    /// With their addresses, the last one first.
    former: Mutex<VecDeque<(String, Key)>>,
}

/// The cell is filled by the first who needs the key; the others wait for it.
#[derive(Clone)]
struct Held {
    uri: String,
    key_length: usize,
    cell: Arc<OnceCell<Key>>,
}

/// A key, and whether somebody else had asked for it before.
pub(super) struct Found {
    key: Key,
    held: Held,
    before: bool,
}

impl Keys {
    pub(super) fn new(http: Arc<Http>, share: Share) -> Self {
        Self { http, share, held: Mutex::default(), former: Mutex::default() }
    }

    /// The key that `plan` names, from memory or from its address; the playlist that names it is `from` away.
    pub(super) async fn find(&self, plan: &Plan<'_>, from: Reach, total: Duration) -> Result<Found, Error> {
        let held = self.hold(plan);
        let mut before = true;
        let fetch = || {
            before = false;
            self.fetch(plan, from, total)
        };
        let key = held.cell.get_or_try_init(fetch).await?.clone();
        Ok(Found { key, held, before })
    }

    /// Decrypts a body with the key that was found for it. When a key from memory does not fit, it is fetched
    /// again first: it may have been changed under its address.
    pub(super) async fn decrypt(
        &self,
        plan: &Plan<'_>,
        found: Found,
        body: Bytes,
        shown: &ShownUrl,
        from: Reach,
        total: Duration,
    ) -> Result<Bytes, Error> {
        let mut key = found.key;
        if !key.fits(&plan.iv, &body) {
            if let Some(former) = self.former_that_fits(plan, &body) {
                key = former;
            } else if found.before {
                self.forget(&found.held, &key);
                let again = self.find(plan, from, total).await?.key;
                if again != key {
                    debug!(url = %ShownUrl::url(plan.key_uri), "the key was changed under its address");
                    key = again;
                }
            }
        }
        let iv = plan.iv;
        let plain = self.share.run(Work::Bytes(body.len()), move || key.decrypt(&iv, body)).await;
        plain.map_err(|source| Error::Crypt { url: shown.to_owned(), source })
    }

    /// The same of a body whose samples are encrypted. Nothing tells whether the key fits.
    pub(super) async fn decrypt_samples(
        &self,
        plan: &Plan<'_>,
        found: Found,
        protection: Option<Arc<Protection>>,
        body: Bytes,
        shown: &ShownUrl,
    ) -> Result<Bytes, Error> {
        let (key, iv) = (found.key, plan.iv);
        let decrypt = move |body| key.decrypt_samples(&iv, protection.as_deref(), body);
        let plain = self.share.run(Work::Bytes(body.len()), move || decrypt(body)).await;
        plain.map_err(|source| Error::Crypt { url: shown.to_owned(), source })
    }

    /// The cell for a plan's key, moved to the front.
    fn hold(&self, plan: &Plan<'_>) -> Held {
        let key_length = plan.method.key_length();
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|held| held.uri == plan.key_uri && held.key_length == key_length);
        let held = at.and_then(|at| all.remove(at)).unwrap_or_else(|| Held {
            uri: plan.key_uri.to_owned(),
            key_length,
            cell: Arc::default(),
        });
        all.push_front(held.clone());
        all.truncate(MAX_KEYS);
        held
    }

    /// The key is asked for anew the next time.
    fn forget(&self, held: &Held, key: &Key) {
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let this = (held.uri.clone(), key.clone());
        former.retain(|known| *known != this);
        former.push_front(this);
        former.truncate(MAX_FORMER);
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| !Arc::ptr_eq(&other.cell, &held.cell));
    }

    fn former_that_fits(&self, plan: &Plan<'_>, body: &[u8]) -> Option<Key> {
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let mut here = former.iter().filter(|(uri, _)| uri == plan.key_uri);
        here.find(|(_, key)| key.fits(&plan.iv, body)).map(|(_, key)| key.clone())
    }

    async fn fetch(&self, plan: &Plan<'_>, from: Reach, total: Duration) -> Result<Key, Error> {
        let shown = ShownUrl::url(plan.key_uri);
        let url = Url::parse(plan.key_uri).map_err(|_| Error::Address { playlist: shown.clone() })?;
        let body = self.http.get(&url, from, None, MAX_KEY_BODY, total.min(MAX_KEY_TIME)).await?;
        Key::new(plan.method, &body.bytes).map_err(|source| Error::Crypt { url: shown, source })
    }
}
