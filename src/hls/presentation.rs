//! What a master playlist offers, and which of it is read.

use url::Url;

use super::failover::Failover;
use super::load::{Address, Inherited, Loader};
use super::playlist::{self, Master, Rendition, Variant};
use super::variant::{self, Candidate};
use super::work::Client;
use super::{Error, Settings};
use crate::media::Moment;
use crate::outside::ShownUrl;

/// The variants of a master playlist, the best first, and which one is read.
pub(super) struct Presentation {
    /// Where the master was found: its addresses are relative to it.
    found: Address,
    inherited: Inherited,
    /// Never empty.
    candidates: Vec<Candidate>,
    failover: Failover,
    /// The addresses differ from those of the reading before.
    moved: bool,
    /// Another variant is to be read than before.
    changed: bool,
}

impl Presentation {
    /// `known` is what an earlier reading of the same master gave, and is taken: the same variant is read on.
    ///
    /// # Errors
    ///
    /// No variant has an address; `known` is left then.
    pub(super) fn new(
        master: &Master,
        found: Address,
        settings: &Settings,
        known: &mut Option<Self>,
    ) -> Result<Self, Error> {
        let url = &found.url;
        let mut candidates = variant::order(master, &settings.variant);
        candidates.retain(|candidate| url.join(&candidate.variant.uri).is_ok());
        if candidates.is_empty() {
            let url = ShownUrl::url(url.as_str());
            return Err(Error::Playlist { url, source: playlist::Error::EmptyMaster });
        }
        let mut failover = Failover::new(candidates.len());
        let (mut moved, mut changed) = (true, true);
        if let Some(mut known) = known.take() {
            let before = known.current().clone();
            let again = variant::same(&candidates, &before);
            let index = again.unwrap_or(0);
            moved = candidates.get(index).is_none_or(|candidate| {
                let addresses = |c: &Candidate, base: &Url| (base.join(&c.variant.uri).ok(), sound(c, base));
                addresses(candidate, url) != addresses(&before, &known.found.url)
            });
            changed = again.is_none();
            known.failover.renew(candidates.len(), index);
            failover = known.failover;
        }
        let inherited = Inherited { variables: master.variables.clone(), start: master.start };
        Ok(Self { found, inherited, candidates, failover, moved, changed })
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    pub(super) fn variant(&self) -> &Variant {
        &self.current().variant
    }

    pub(super) fn audio(&self) -> Option<&Rendition> {
        self.current().audio.as_ref()
    }

    /// The language of the sound in the variant's own segments, where the master says one.
    pub(super) fn muxed_language(&self) -> Option<&str> {
        self.current().muxed_language.as_deref()
    }

    /// The readers' addresses: of the variant, and of its sound where that is apart.
    pub(super) fn loaders(&self, client: &Client) -> Result<(Box<Loader>, Option<Box<Loader>>), Error> {
        let main = self.loader(client, self.failover.current()).ok_or_else(|| self.no_address())?;
        let audio = self.audio().and_then(|audio| audio.uri.as_deref());
        let audio = audio.map(|uri| self.found.url.join(uri).map_err(|_| self.no_address())).transpose()?;
        Ok((Box::new(main), audio.map(|url| Box::new(self.loader_of(client, url)))))
    }

    /// See [`Failover::fail`]; false where the current variant goes on.
    pub(super) fn fail(&mut self, now: Moment) -> bool {
        let before = self.failover.current();
        self.changed = self.failover.fail(now).is_some_and(|next| next != before);
        self.changed
    }

    /// A better variant that may be back, to be tried beside the one that is read.
    pub(super) fn better(&self, client: &Client, now: Moment) -> Option<(usize, Loader)> {
        let index = self.failover.better(now)?;
        Some((index, self.loader(client, index)?))
    }

    pub(super) fn better_at(&self) -> Option<Moment> {
        self.failover.better_at()
    }

    /// Whether the candidate of this index is at this address.
    pub(super) fn lists(&self, index: usize, url: &Url) -> bool {
        self.address(index).as_ref() == Some(url)
    }

    pub(super) fn tried(&mut self, index: usize, works: bool, now: Moment) {
        let before = self.failover.current();
        self.failover.tried(index, works, now);
        self.changed = self.failover.current() != before;
    }

    fn current(&self) -> &Candidate {
        // `renew` and `fail` keep within what there is.
        self.candidates.get(self.failover.current()).unwrap_or(&self.candidates[0])
    }

    fn address(&self, index: usize) -> Option<Url> {
        self.found.url.join(&self.candidates.get(index)?.variant.uri).ok()
    }

    fn loader(&self, client: &Client, index: usize) -> Option<Loader> {
        self.address(index).map(|url| self.loader_of(client, url))
    }

    fn loader_of(&self, client: &Client, url: Url) -> Loader {
        let listed = Address { url, reach: self.found.reach };
        Loader::new(client.http.clone(), client.settings.clone(), listed, self.inherited.clone())
    }

    fn no_address(&self) -> Error {
        Error::Address { playlist: ShownUrl::url(self.found.url.as_str()) }
    }
}

fn sound(candidate: &Candidate, base: &Url) -> Option<Url> {
    base.join(candidate.audio.as_ref()?.uri.as_deref()?).ok()
}
