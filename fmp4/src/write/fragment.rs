//! Movie fragments: `moof` and `mdat`.

use bytes::Bytes;
use mp4_atom::{
    Encode, Mfhd, Moof, Prft, ReferenceTime, SegmentReference, Sidx, Styp, Tfdt, Tfhd, Traf, Trun, TrunEntry,
    TrunSamples,
};

use super::{Chunks, WriteError};

/// sample_depends_on = 2 (ISO/IEC 14496-12 8.6.4.3): needs no other sample.
const FLAGS_SYNC: u32 = 0x0200_0000;
/// sample_depends_on = 1, sample_is_non_sync_sample (8.8.3.1).
const FLAGS_NON_SYNC: u32 = 0x0101_0000;

/// One sample to be written. Times are in the track's timescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Distance to the next sample's decoding time.
    pub duration: u32,
    /// Presentation time less decoding time.
    pub composition_offset: i32,
    /// Decoding can begin here.
    pub sync: bool,
    pub data: Bytes,
}

/// The samples of one track in a fragment, in decoding order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackRun {
    pub track_id: u32,
    /// Decoding time of the first sample, in the track's timescale; written in 64 bits.
    pub base_decode_time: u64,
    pub samples: Vec<Sample>,
}

/// What may stand before the `moof`; by default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentBoxes {
    /// `styp` (ISO/IEC 14496-12 8.16.2): this fragment begins a segment.
    pub segment_type: bool,
    /// `prft` (8.16.5).
    pub producer_time: Option<ProducerTime>,
    /// `sidx` (8.16.3) with one reference to this fragment, for its first track; the value is that track's
    /// timescale.
    pub index: Option<u32>,
}

/// When the encoder saw a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerTime {
    pub track_id: u32,
    /// UTC in NTP format: seconds since 1900 in the upper 32 bits, their fraction in the lower.
    pub ntp: u64,
    /// The decoding time that `ntp` belongs to, in the track's timescale.
    pub media_time: u64,
}

/// One movie fragment of one or more tracks.
///
/// The samples of a track lie together in the `mdat`, in the order of `tracks`. An empty run still says
/// by its `tfdt` where its track stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Counts up from one fragment to the next (8.8.5).
    pub sequence_number: u32,
    pub tracks: Vec<TrackRun>,
    pub segment: SegmentBoxes,
}

impl Fragment {
    /// A fragment with nothing before its `moof`.
    pub fn new(sequence_number: u32, tracks: Vec<TrackRun>) -> Self {
        Self { sequence_number, tracks, segment: SegmentBoxes::default() }
    }

    /// Encodes the fragment: everything up to the first payload in one piece, then each payload as it came.
    /// Allocates for headers only.
    pub fn encode(self) -> Result<Chunks, WriteError> {
        self.check()?;
        let payload: u64 = self.tracks.iter().map(TrackRun::payload).sum();
        let mdat = mdat_header(payload);

        // The offsets need the size of the `moof`, and that does not depend on their values.
        let mut moof = self.moof();
        let mut encoded =
            Vec::with_capacity(256 + 16 * self.tracks.iter().map(|t| t.samples.len()).sum::<usize>());
        moof.encode(&mut encoded)?;
        let moof_len = encoded.len() as u64;
        self.set_offsets(&mut moof, moof_len + mdat.len() as u64)?;

        let mut head = Vec::with_capacity(encoded.len() + 128);
        self.encode_segment_boxes(moof_len + mdat.len() as u64 + payload, &mut head)?;
        moof.encode(&mut head)?;
        head.extend_from_slice(&mdat);

        let mut chunks =
            Chunks::with_capacity(1 + self.tracks.iter().map(|t| t.samples.len()).sum::<usize>());
        chunks.push(head.into());
        for sample in self.tracks.into_iter().flat_map(|track| track.samples) {
            chunks.push(sample.data);
        }
        Ok(chunks)
    }

    fn check(&self) -> Result<(), WriteError> {
        if self.tracks.is_empty() {
            return Err(WriteError::NoTrack);
        }
        for (i, run) in self.tracks.iter().enumerate() {
            let track = run.track_id;
            if track == 0 {
                return Err(WriteError::ZeroTrackId);
            }
            if self.tracks.iter().take(i).any(|other| other.track_id == track) {
                return Err(WriteError::DuplicateTrackId(track));
            }
            if u32::try_from(run.samples.len()).is_err() {
                return Err(WriteError::TooManySamples { track, count: run.samples.len() });
            }
            for (sample, Sample { data, .. }) in run.samples.iter().enumerate() {
                if u32::try_from(data.len()).is_err() {
                    return Err(WriteError::SampleTooLarge { track, sample, size: data.len() });
                }
            }
        }
        Ok(())
    }

    fn moof(&self) -> Moof {
        Moof {
            mfhd: Mfhd { sequence_number: self.sequence_number },
            traf: self.tracks.iter().map(TrackRun::traf).collect(),
        }
    }

    /// `trun` data offsets count from the `moof`'s first byte, because of default-base-is-moof (8.8.7).
    fn set_offsets(&self, moof: &mut Moof, first: u64) -> Result<(), WriteError> {
        let mut offset = first;
        for (run, traf) in self.tracks.iter().zip(&mut moof.traf) {
            for trun in &mut traf.trun {
                let too_large = WriteError::OffsetTooLarge { track: run.track_id, offset };
                trun.data_offset = Some(i32::try_from(offset).map_err(|_| too_large)?);
            }
            offset += run.payload();
        }
        Ok(())
    }

    fn encode_segment_boxes(&self, referenced: u64, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.segment.segment_type {
            let compatible_brands = vec![b"msdh".into(), b"msix".into()];
            Styp { major_brand: b"msdh".into(), minor_version: 0, compatible_brands }.encode(out)?;
        }
        // `sidx` counts from its own end to the referenced `moof`, so `prft`, which belongs right before
        // the `moof`, is part of what it refers to.
        let mut prft = Vec::new();
        if let Some(time) = self.segment.producer_time {
            Prft {
                reference_track_id: time.track_id,
                ntp_timestamp: time.ntp,
                media_time: time.media_time,
                utc_time_semantics: ReferenceTime::Input,
            }
            .encode(&mut prft)?;
        }
        if let Some(timescale) = self.segment.index {
            let first = self.tracks.first().ok_or(WriteError::NoTrack)?;
            first.sidx(timescale, referenced + prft.len() as u64)?.encode(out)?;
        }
        out.extend_from_slice(&prft);
        Ok(())
    }
}

impl TrackRun {
    fn payload(&self) -> u64 {
        self.samples.iter().map(|sample| sample.data.len() as u64).sum()
    }

    fn traf(&self) -> Traf {
        let same = |value: &dyn Fn(&Sample) -> u32| {
            let first = value(self.samples.first()?);
            self.samples.iter().all(|sample| value(sample) == first).then_some(first)
        };
        let flags = |sample: &Sample| if sample.sync { FLAGS_SYNC } else { FLAGS_NON_SYNC };
        let duration = same(&|sample| sample.duration);
        // Readers do well to distrust a run that says of no sample that it is empty.
        let size = same(&|sample| sample.data.len() as u32).filter(|size| *size > 0);
        let flag = same(&flags);
        // A group of pictures: the first sample alone is a sync sample. Then its flags stand once.
        let first_flags = self.samples.first().filter(|_| flag.is_none()).map(flags);
        let rest = self.samples.get(1..).unwrap_or_default();
        let rest_flags = rest.first().map(flags).filter(|f| rest.iter().all(|sample| flags(sample) == *f));
        let (default_flags, first_flags) = match (flag, rest_flags) {
            (Some(all), _) => (Some(all), None),
            (None, Some(rest)) => (Some(rest), first_flags),
            (None, None) => (None, None),
        };
        let offsets = self.samples.iter().any(|sample| sample.composition_offset != 0);

        let entries = self.samples.iter().enumerate().map(|(i, sample)| TrunEntry {
            duration: duration.is_none().then_some(sample.duration),
            size: size.is_none().then_some(sample.data.len() as u32),
            flags: match default_flags {
                None => Some(flags(sample)),
                Some(_) if i == 0 => first_flags,
                Some(_) => None,
            },
            cts: offsets.then_some(sample.composition_offset.into()),
        });
        let samples = if duration.is_some() && size.is_some() && default_flags.is_some() && !offsets {
            TrunSamples::Inherited { count: self.samples.len() as u32, first_flags }
        } else {
            TrunSamples::Explicit(entries.collect())
        };
        let trun = (!self.samples.is_empty()).then_some(Trun { data_offset: Some(0), samples });
        Traf {
            tfhd: Tfhd {
                track_id: self.track_id,
                default_sample_duration: duration,
                default_sample_size: size,
                default_sample_flags: default_flags,
                duration_is_empty: self.samples.is_empty(),
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: self.base_decode_time }),
            trun: trun.into_iter().collect(),
            ..Traf::default()
        }
    }

    fn sidx(&self, timescale: u32, referenced: u64) -> Result<Sidx, WriteError> {
        let mut dts = i128::from(self.base_decode_time);
        let mut earliest = None;
        for sample in &self.samples {
            let pts = dts + i128::from(sample.composition_offset);
            earliest = Some(earliest.map_or(pts, |e: i128| e.min(pts)));
            dts += i128::from(sample.duration);
        }
        let duration = dts - i128::from(self.base_decode_time);
        let sync = self.samples.first().is_some_and(|sample| sample.sync);
        let index_too_large = |_| WriteError::IndexTooLarge;
        Ok(Sidx {
            reference_id: self.track_id,
            timescale,
            earliest_presentation_time: u64::try_from(earliest.unwrap_or(dts).max(0))
                .map_err(index_too_large)?,
            first_offset: 0,
            references: vec![SegmentReference {
                reference_type: false,
                referenced_size: u32::try_from(referenced).map_err(index_too_large)?,
                subsegment_duration: u32::try_from(duration).map_err(index_too_large)?,
                starts_with_sap: sync,
                // Type 1: everything from here on decodes (ISO/IEC 14496-12 annex I). 0: not known.
                sap_type: u8::from(sync),
                sap_delta_time: 0,
            }],
        })
    }
}

/// The header of an `mdat` with `payload` bytes: 8 bytes, or 16 where 32 bits cannot count them.
fn mdat_header(payload: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    match u32::try_from(payload + 8) {
        Ok(size) => {
            out.extend_from_slice(&size.to_be_bytes());
            out.extend_from_slice(b"mdat");
        }
        Err(_) => {
            out.extend_from_slice(&1_u32.to_be_bytes());
            out.extend_from_slice(b"mdat");
            out.extend_from_slice(&(payload + 16).to_be_bytes());
        }
    }
    out
}
