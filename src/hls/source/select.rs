//! What is read of the source: the answer to its own address, the variant, another one for one that fails.

use tracing::{info, warn};

use super::{Opening, Source};
use crate::hls::cursor::{Cursor, Start};
use crate::hls::failover::FAILURES;
use crate::hls::load::{Loaded, Loader, Opened};
use crate::hls::presentation::Presentation;
use crate::hls::reader::Reader;
use crate::hls::{Error, Event, variant};
use crate::media::{Moment, Rendition};
use crate::outside::Name;

/// A media playlist that is refused has probably lost its token or its session: the master is read at once for
/// a new address. So many refusals in a row while the master has none to offer are of the variant itself.
const REFUSALS_BEFORE_FAILOVER: u32 = 3;

impl Source {
    pub(super) fn handle_opened(&mut self, result: Result<Opened, Error>, now: Moment) -> Result<(), Error> {
        self.opening = Opening::Done;
        let again = self.main.is_some();
        match result {
            Ok(Opened::Media(loader, media)) if !again => {
                self.announce(false);
                let mut main = self.main_reader(loader);
                main.began(self.opening_began);
                self.main = Some(main);
                self.handle_playlist(Rendition::Main, Ok(Loaded::Changed(media)), now)
            }
            Ok(Opened::Master(master, found)) => {
                let settings = &self.client.settings;
                let presentation = match Presentation::new(&master, found, settings, &mut self.presentation) {
                    Ok(presentation) => presentation,
                    Err(error) if again => {
                        self.failed(&error);
                        self.no_new_address(now);
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                };
                let moved = presentation.has_moved();
                self.presentation = Some(presentation);
                if again && !moved {
                    // The same address again: it is not its token that it has lost.
                    self.no_new_address(now);
                    return Ok(());
                }
                self.select(now)
            }
            Ok(Opened::Film(address)) if !again => {
                self.film = Some(address);
                Ok(())
            }
            // What was a master playlist and is none now: its variants stay what they were.
            Ok(Opened::Media(..) | Opened::Film(_)) => {
                self.no_new_address(now);
                Ok(())
            }
            Err(error) if again => {
                self.failed(&error);
                warn!(%error, "the master playlist could not be read again");
                self.no_new_address(now);
                Ok(())
            }
            Err(error) => {
                let wait = self.not_yet(&error, now)?;
                warn!(%error, retry_in = ?wait, "the source could not be read");
                self.opening = Opening::Due(now + wait);
                self.failed(&error);
                Ok(())
            }
        }
    }

    fn main_reader(&self, loader: Box<Loader>) -> Reader {
        let settings = &self.client.settings;
        let live_start_segments = settings.live_start_segments;
        let place = settings.resume.as_ref().and_then(|resume| resume.place.clone());
        let start = match (place, settings.start_offset) {
            (Some(place), _) => Start::With(place),
            (None, Some(seconds)) => Start::Offset { seconds, live_start_segments },
            (None, None) => Start::Edge(live_start_segments),
        };
        Reader::new(Rendition::Main, loader, Cursor::starting(start, live_start_segments))
    }

    /// Reads what the presentation says: its current variant, and the sound that goes with it.
    fn select(&mut self, now: Moment) -> Result<(), Error> {
        let Some(presentation) = &self.presentation else { return Ok(()) };
        let (loader, sound) = presentation.loaders(&self.client)?;
        let variant = variant::describe(presentation.variant());
        let name = presentation.audio().map(|audio| audio.name.clone());
        let muxed_language = presentation.muxed_language().map(Name::new);
        info!(variant = &*variant, audio = name.as_deref(), "variant chosen");
        let replaced = presentation.has_changed();
        match &mut self.main {
            None => self.main = Some(self.main_reader(loader)),
            Some(main) if replaced => main.switch(loader, now),
            Some(main) => main.renew(loader),
        }
        let separate_audio = sound.is_some();
        match (sound, &mut self.audio) {
            (None, _) => (self.audio, self.audio_listed) = (None, None),
            (Some(sound), None) => self.audio_listed = Some(sound),
            (Some(sound), Some(audio)) if audio.listed() == sound.listed() => {}
            // Another group of the same sound, or a new token for it.
            (Some(sound), Some(audio)) if replaced => audio.switch(sound, now),
            (Some(sound), Some(audio)) => audio.renew(sound),
        }
        let first = self.announced.is_none();
        self.announce(separate_audio);
        self.status.send_modify(|status| {
            status.variant_changes += u64::from(!first && replaced);
            status.variant = Some(variant);
            status.audio_rendition = name;
            status.muxed_language = muxed_language;
        });
        Ok(())
    }

    fn announce(&mut self, separate_audio: bool) {
        if self.announced.replace(separate_audio) != Some(separate_audio) {
            self.outbox.push_back(Event::Renditions { separate_audio });
        }
    }

    /// After a failure: a new address for what is refused, another variant for what does not get better.
    pub(super) fn troubled(&mut self, rendition: Rendition, now: Moment) {
        if self.presentation.is_none() || self.opening != Opening::Done {
            return;
        }
        let reader = match rendition {
            Rendition::Main => self.main.as_ref(),
            Rendition::Audio => self.audio.as_ref(),
        };
        let Some(reader) = reader else { return };
        let lost = reader.refusals > 0 || reader.cursor.failures() >= FAILURES;
        let replaced = rendition == Rendition::Main && reader.trouble() >= FAILURES && self.fail_over(now);
        if lost && !replaced {
            self.opening = Opening::Due(now);
        }
    }

    /// The master was read again for nothing: the addresses are what they were.
    fn no_new_address(&mut self, now: Moment) {
        let readers = || [&self.main, &self.audio].into_iter().flatten();
        if readers().any(|reader| reader.refusals >= REFUSALS_BEFORE_FAILOVER) {
            for reader in [&mut self.main, &mut self.audio].into_iter().flatten() {
                reader.refusals = 0;
            }
            self.fail_over(now);
        }
    }

    /// Another variant stands in for the one that is read; false where there is none.
    pub(super) fn fail_over(&mut self, now: Moment) -> bool {
        let Some(presentation) = &mut self.presentation else { return false };
        if !presentation.fail(now) {
            return false;
        }
        warn!("the variant fails: another stands in for it");
        self.startup_refusals = 0;
        self.select(now).is_ok()
    }

    pub(super) fn handle_tried(
        &mut self,
        candidate: usize,
        loader: &Loader,
        result: &Result<Loaded, Error>,
        now: Moment,
    ) {
        let Some(presentation) = &mut self.presentation else { return };
        if let Err(error) = result {
            warn!(%error, "the better variant still fails");
        }
        // The master may have been read again meanwhile: what was tried is then another thing.
        let works = result.is_ok() && presentation.lists(candidate, loader.listed());
        presentation.tried(candidate, works, now);
        if works {
            // Read once more by its reader: a playlist of this moment is worth the request.
            let _ = self.select(now);
        }
    }
}
