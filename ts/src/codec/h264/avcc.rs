//! The parameter sets in force and the decoder configuration record (ISO/IEC 14496-15 5.3.3.1).
//!
//! Parameter sets are kept out of the samples and live in the record only: a set that comes again unchanged
//! changes nothing, one with new content makes a new record before the access unit that brought it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::sps::{BadSet, Pps, Sps, has_chroma_format};
use crate::event::{Codec, VideoParams};

/// numOfSequenceParameterSets has 5 bits, numOfPictureParameterSets 8.
const MAX_SPS: usize = 31;
const MAX_PPS: usize = 255;

#[derive(Debug)]
struct Entry<T> {
    unit: Bytes,
    set: T,
    /// It came with the access unit in work.
    fresh: bool,
}

/// Parameter sets by their ids.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    sps: BTreeMap<u8, Entry<Sps>>,
    pps: BTreeMap<u8, Entry<Pps>>,
    /// An SPS has new content since the last record: what refers to its old content is out of date.
    replaced: Vec<u8>,
    /// Something changed since `built`.
    changed: bool,
    built: Option<(u8, Arc<VideoParams>)>,
}

impl ParameterSets {
    pub(super) fn sps(&self, id: u8) -> Option<&Sps> {
        self.sps.get(&id).map(|entry| &entry.set)
    }

    pub(super) fn pps(&self, id: u8) -> Option<&Pps> {
        self.pps.get(&id).map(|entry| &entry.set)
    }

    pub(super) fn sps_of(&self, pps_id: u8) -> Option<&Sps> {
        self.sps(self.pps(pps_id)?.sps_id)
    }

    pub(super) fn take_sps(&mut self, unit: &[u8]) -> Result<(), BadSet> {
        let known = |entry: &Entry<Sps>| entry.unit == unit;
        if self.sps.values().any(known) {
            return Ok(());
        }
        let set = Sps::parse(unit)?;
        if self.sps.contains_key(&set.id) {
            self.replaced.push(set.id);
        }
        let id = set.id;
        self.sps.insert(id, Entry { unit: Bytes::copy_from_slice(unit), set, fresh: true });
        self.changed = true;
        Ok(())
    }

    pub(super) fn take_pps(&mut self, unit: &[u8]) -> Result<(), BadSet> {
        if let Some(entry) = self.pps.values_mut().find(|entry| entry.unit == unit) {
            entry.fresh = true;
            return Ok(());
        }
        let set = Pps::parse(unit)?;
        let id = set.id;
        self.pps.insert(id, Entry { unit: Bytes::copy_from_slice(unit), set, fresh: true });
        self.changed = true;
        Ok(())
    }

    /// The configuration for a picture that uses `pps_id`, at the end of its access unit.
    pub(super) fn params(&mut self, pps_id: u8) -> Option<Arc<VideoParams>> {
        self.settle();
        let sps_id = self.pps(pps_id)?.sps_id;
        if !self.changed
            && let Some((built_for, params)) = &self.built
            && *built_for == sps_id
        {
            return Some(Arc::clone(params));
        }
        let params = Arc::new(self.build(sps_id)?);
        self.built = Some((sps_id, Arc::clone(&params)));
        self.changed = false;
        Some(params)
    }

    /// Where an SPS was replaced and its PPSs came along, the PPSs that did not are of the old stream.
    fn settle(&mut self) {
        for sps_id in std::mem::take(&mut self.replaced) {
            let of_it = |entry: &Entry<Pps>| entry.set.sps_id == sps_id;
            if self.pps.values().any(|entry| of_it(entry) && entry.fresh) {
                self.pps.retain(|_, entry| !of_it(entry) || entry.fresh);
            }
        }
        self.sps.values_mut().for_each(|entry| entry.fresh = false);
        self.pps.values_mut().for_each(|entry| entry.fresh = false);
    }

    fn build(&self, active: u8) -> Option<VideoParams> {
        let sps = self.sps(active)?;
        let mut record = BytesMut::new();
        record.put_slice(&[1, sps.profile, sps.constraints, sps.level, 0xFF]); // lengths of 4 bytes
        // The active SPS first: a reader may look at one only.
        let others = self.sps.iter().filter(|&(&id, _)| id != active).map(|(_, entry)| entry);
        let all: Vec<_> = self.sps.get(&active).into_iter().chain(others).take(MAX_SPS).collect();
        record.put_u8(0xE0 | all.len() as u8);
        all.iter().for_each(|entry| put_set(&mut record, &entry.unit));
        let all: Vec<_> = self.pps.values().take(MAX_PPS).collect();
        record.put_u8(all.len() as u8);
        all.iter().for_each(|entry| put_set(&mut record, &entry.unit));
        if has_chroma_format(sps.profile) {
            record.put_u8(0xFC | sps.chroma_format);
            record.put_u8(0xF8 | (sps.bit_depth_luma - 8));
            record.put_u8(0xF8 | (sps.bit_depth_chroma - 8));
            record.put_u8(0); // SPS extensions stay in the samples: they describe alpha pictures
        }
        Some(VideoParams {
            codec: Codec::H264,
            config: record.freeze(),
            codec_string: format!("avc1.{:02x}{:02x}{:02x}", sps.profile, sps.constraints, sps.level),
            width: sps.width,
            height: sps.height,
            profile: sps.profile,
            level: sps.level,
            chroma_format: sps.chroma_format,
            bit_depth_luma: sps.bit_depth_luma,
            bit_depth_chroma: sps.bit_depth_chroma,
            interlaced: !sps.frame_mbs_only,
            pixel_aspect: sps.pixel_aspect,
            frame_rate: sps.frame_rate,
            colour: sps.colour,
        })
    }
}

/// Sets above 64 KiB were refused when they came.
fn put_set(record: &mut BytesMut, unit: &[u8]) {
    record.put_u16(unit.len() as u16);
    record.put_slice(unit);
}
