//! Parameter sets in force, for all codecs of NAL units.
//!
//! They are kept out of the samples and live in the configuration record only: a set that comes again
//! unchanged changes nothing, one with new content makes a new record before the access unit that brought it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::VideoParams;

/// A parameter set that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSet;

/// Bytes of all parameter sets of a kind. Real ones have tens of bytes, a few hundred with scaling lists; the
/// record with all of them is made anew at each change, so without a limit a hostile stream of small pictures
/// would cost many times its size. Keeps each set within the 16 bits of the records' length fields, too.
const MAX_SETS: usize = 8 << 10;

/// The parameter sets of a codec.
pub(crate) trait Coding: Default + std::fmt::Debug {
    type Sps: std::fmt::Debug;
    type Pps: std::fmt::Debug;

    /// Reads a video parameter set's id.
    fn vps(unit: &[u8]) -> Option<u8>;
    /// Reads a sequence parameter set and its id.
    fn sps(unit: &[u8]) -> Option<(u8, Self::Sps)>;
    /// Reads a picture parameter set and its id.
    fn pps(unit: &[u8]) -> Option<(u8, Self::Pps)>;
    /// The SPS that a PPS refers to.
    fn sps_of(pps: &Self::Pps) -> u8;
    /// The configuration with the SPS `active` in use.
    fn params(active: &Self::Sps, units: &Units<'_>) -> VideoParams;
}

/// All parameter sets for a record, as NAL units; the SPS in use first.
pub(crate) struct Units<'a> {
    pub(crate) vps: Vec<&'a Bytes>,
    pub(crate) sps: Vec<&'a Bytes>,
    pub(crate) pps: Vec<&'a Bytes>,
}

#[derive(Debug)]
struct Entry<T> {
    unit: Bytes,
    set: T,
    /// It came with the access unit in work.
    fresh: bool,
}

/// Parameter sets by their ids.
#[derive(Debug)]
pub(crate) struct ParameterSets<C: Coding> {
    vps: BTreeMap<u8, Entry<()>>,
    sps: BTreeMap<u8, Entry<C::Sps>>,
    pps: BTreeMap<u8, Entry<C::Pps>>,
    /// SPSs that have new content since the last record: what refers to the old one may be out of date.
    replaced: Vec<u8>,
    /// Something changed since `built`.
    changed: bool,
    /// The last configuration and the SPS that it was built for.
    built: Option<(u8, Arc<VideoParams>)>,
}

impl<C: Coding> Default for ParameterSets<C> {
    fn default() -> Self {
        Self {
            vps: BTreeMap::new(),
            sps: BTreeMap::new(),
            pps: BTreeMap::new(),
            replaced: Vec::new(),
            changed: false,
            built: None,
        }
    }
}

impl<C: Coding> ParameterSets<C> {
    pub(crate) fn take_vps(&mut self, unit: &[u8]) -> Result<(), BadSet> {
        let change = take(&mut self.vps, unit, |unit| C::vps(unit).map(|id| (id, ())))?;
        self.changed |= change.is_some();
        Ok(())
    }

    pub(crate) fn take_sps(&mut self, unit: &[u8]) -> Result<(), BadSet> {
        if let Some((id, replaced)) = take(&mut self.sps, unit, C::sps)? {
            self.changed = true;
            self.replaced.extend(replaced.then_some(id));
        }
        Ok(())
    }

    pub(crate) fn take_pps(&mut self, unit: &[u8]) -> Result<(), BadSet> {
        self.changed |= take(&mut self.pps, unit, C::pps)?.is_some();
        Ok(())
    }

    pub(crate) fn pps(&self, id: u8) -> Option<&C::Pps> {
        self.pps.get(&id).map(|entry| &entry.set)
    }

    /// The SPS for pictures that use PPS `pps_id`.
    pub(crate) fn sps_for(&self, pps_id: u8) -> Option<&C::Sps> {
        let id = C::sps_of(self.pps(pps_id)?);
        self.sps.get(&id).map(|entry| &entry.set)
    }

    /// The configuration for a picture that uses `pps_id`, at the end of its access unit. The same `Arc` as
    /// before where nothing changed.
    pub(crate) fn params(&mut self, pps_id: u8) -> Option<Arc<VideoParams>> {
        let sps_id = C::sps_of(self.pps(pps_id)?);
        if !self.changed
            && let Some((built_for, params)) = &self.built
            && *built_for == sps_id
        {
            return Some(Arc::clone(params));
        }
        self.settle();
        let active = self.sps.get(&sps_id)?;
        let others = self.sps.iter().filter(|&(&id, _)| id != sps_id).map(|(_, entry)| &entry.unit);
        let units = Units {
            vps: self.vps.values().map(|entry| &entry.unit).collect(),
            sps: std::iter::once(&active.unit).chain(others).collect(),
            pps: self.pps.values().map(|entry| &entry.unit).collect(),
        };
        let params = C::params(&active.set, &units);
        // A set may come and go between two pictures: what counts is the outcome.
        let params = match &self.built {
            Some((_, before)) if **before == params => Arc::clone(before),
            _ => Arc::new(params),
        };
        self.built = Some((sps_id, Arc::clone(&params)));
        self.changed = false;
        Some(params)
    }

    /// Where an SPS was replaced and PPSs for it came along, the PPSs that did not are of the old stream.
    fn settle(&mut self) {
        for sps_id in std::mem::take(&mut self.replaced) {
            let of_it = |entry: &Entry<C::Pps>| C::sps_of(&entry.set) == sps_id;
            if self.pps.values().any(|entry| of_it(entry) && entry.fresh) {
                self.pps.retain(|_, entry| !of_it(entry) || entry.fresh);
            }
        }
        self.pps.values_mut().for_each(|entry| entry.fresh = false);
    }
}

/// Files a parameter set. `None`: it is known; else its id, and whether it replaced another.
fn take<T>(
    sets: &mut BTreeMap<u8, Entry<T>>,
    unit: &[u8],
    parse: impl FnOnce(&[u8]) -> Option<(u8, T)>,
) -> Result<Option<(u8, bool)>, BadSet> {
    if let Some(entry) = sets.values_mut().find(|entry| entry.unit == unit) {
        entry.fresh = true;
        return Ok(None);
    }
    if unit.len() > MAX_SETS {
        return Err(BadSet);
    }
    let (id, set) = parse(unit).ok_or(BadSet)?;
    let others = sets.iter().filter(|&(&other, _)| other != id).map(|(_, entry)| entry.unit.len());
    if others.sum::<usize>() + unit.len() > MAX_SETS {
        return Err(BadSet);
    }
    let entry = Entry { unit: Bytes::copy_from_slice(unit), set, fresh: true };
    Ok(Some((id, sets.insert(id, entry).is_some())))
}
