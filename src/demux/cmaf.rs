//! Fragmented MP4 segments (RFC 8216 3.3; CMAF, ISO/IEC 23000-19) through the `fmp4` crate. Pure.
//!
//! A segment is read with the init segment that the playlist gives for it, or with a `moov` of its own.
//! Times are those of the presentation (edit lists applied) on the 64-bit axis of `tfdt`.

use std::sync::Arc;

use bytes::Bytes;
use overdub_fmp4::{Codec, Event, EventTime, ReadError, Reader, Step, TimedSample, TrackInfo};
use overdub_ts::{self as ts, Intra, elementary};

use super::allowance::{Allowance, Kind};
use super::mpegts::video_params;
use super::segment::{Sink, Wanted};
use super::{SegmentError, StampSource, StampedPicture, nal};
use crate::media::{AudioParams, Cue, CueKind, Flicks, StampedFrame, VideoCodec, VideoParams, mp4};

/// Of a reader's errors only the first are kept: past this many it begins anew, so that the last error shown
/// is a recent one.
const MAX_ERRORS: u64 = 24;

/// Reads consecutive segments of one rendition.
#[derive(Debug, Default)]
pub(super) struct Cmaf {
    /// What the reader was primed with; `None`: the last segment brought its own.
    init: Option<Bytes>,
    reader: Reader,
    /// Errors of the reader that were counted.
    counted: u64,
    video: Option<Video>,
    audio: Option<Audio>,
}

#[derive(Debug)]
struct Video {
    /// In the reader's list.
    index: usize,
    codec: ts::Codec,
    timescale: u32,
    length_size: usize,
    sets: elementary::VideoSets,
    /// What the sets made last.
    seen: Option<Arc<ts::VideoParams>>,
    params: Option<Arc<VideoParams>>,
    /// A picture of this segment came.
    inside: bool,
}

#[derive(Debug)]
struct Audio {
    index: usize,
    timescale: u32,
    codec: Codec,
    params: Option<Arc<AudioParams>>,
}

impl Cmaf {
    /// Reads a segment that begins at `offset` of its file; `init`: the playlist's EXT-X-MAP for it.
    pub(super) fn demux(
        &mut self,
        init: Option<&Bytes>,
        data: &Bytes,
        offset: u64,
        wanted: Wanted,
        sink: &mut Sink<'_>,
    ) -> Result<(), SegmentError> {
        self.prime(init, wanted, sink)?;
        self.reader.next_input(Some(data.len() as u64));
        self.reader.begins_at(offset);
        if let Some(video) = &mut self.video {
            video.inside = false;
        }
        let mut allowance = Allowance::of(data.len());
        let mut media_start: Option<Flicks> = None;
        let mut events = Vec::new();
        let read = each_step(&mut self.reader, data, |reader, step| match step {
            Step::Tracks => choose(reader.tracks(), wanted).map(|(video, audio)| {
                ignore_others(reader, video.as_ref(), audio.as_ref());
                self.video = video;
                self.audio = audio;
            }),
            Step::Samples { track, samples } => {
                for sample in samples {
                    // HLS has one configuration in each init segment (EXT-X-MAP changes with it).
                    if sample.entry != 0 {
                        sink.damage.dropped += 1;
                        sink.damage.event(&"a sample of another sample entry than the track's first");
                        continue;
                    }
                    let timescale = reader.tracks().get(track).map_or(1, |info| info.config.timescale);
                    let pts = Flicks::from_units(sample.pts(), timescale);
                    media_start = Some(media_start.map_or(pts, |start| start.min(pts)));
                    let is_video = self.video.as_ref().is_some_and(|video| video.index == track);
                    let kind = if is_video { Kind::Video } else { Kind::Audio };
                    if !allowance.takes(kind, Flicks::from_units(sample.duration.into(), timescale)) {
                        return Err(SegmentError::TooMuch { bytes: data.len() });
                    }
                    if let Some(video) = self.video.as_mut().filter(|video| video.index == track) {
                        video.sample(&sample, sink);
                    } else if let Some(audio) = self.audio.as_mut().filter(|audio| audio.index == track) {
                        audio.sample(sample, sink);
                    }
                }
                Ok(())
            }
            Step::Event(event) => {
                if sink.takes_cue() {
                    events.push(event);
                }
                Ok(())
            }
            Step::Need(_) | Step::End => Ok(()),
        });
        self.count_damage(sink);
        for event in events {
            sink.keep_cue(cue(event, media_start, sink.segment));
        }
        read?;
        if self.reader.tracks().is_empty() {
            return Err(SegmentError::NoInit);
        }
        Ok(())
    }

    /// Makes the reader know the tracks of `init`.
    fn prime(
        &mut self,
        init: Option<&Bytes>,
        wanted: Wanted,
        sink: &mut Sink<'_>,
    ) -> Result<(), SegmentError> {
        let same = match (&self.init, init) {
            // The same bytes are mostly the same memory, which is told at once.
            (Some(known), Some(new)) => {
                known.as_ptr() == new.as_ptr() && known.len() == new.len() || known == new
            }
            _ => false,
        };
        if same && self.reader.damage().total() < MAX_ERRORS {
            // What is carried depends on what is wanted of it.
            return Ok(());
        }
        let new = Reader::new().with_anchor().with_len(init.map_or(0, |init| init.len() as u64));
        let old = std::mem::replace(&mut self.reader, new);
        self.counted = 0;
        self.init = None;
        let Some(init) = init else { return Ok(()) };
        let mut tracks = None;
        let read = each_step(&mut self.reader, init, |reader, step| {
            if step == Step::Tracks {
                tracks = Some(choose(reader.tracks(), wanted));
            }
            Ok(())
        });
        self.count_damage(sink);
        read.map_err(|error| match error {
            SegmentError::Mp4(error) => SegmentError::Init(error),
            other => other,
        })?;
        let (video, audio) = tracks.ok_or(SegmentError::NoInit)??;
        ignore_others(&mut self.reader, video.as_ref(), audio.as_ref());
        self.reader.continues(&old);
        if !same {
            (self.video, self.audio) = (video, audio);
        }
        self.init = Some(init.clone());
        Ok(())
    }

    fn count_damage(&mut self, sink: &mut Sink<'_>) {
        let damage = self.reader.damage();
        let new = damage.total().saturating_sub(self.counted);
        self.counted = damage.total();
        if new > 0 {
            sink.damage.events += new - 1;
            let last = damage.errors().last().map_or_else(String::new, ReadError::to_string);
            sink.damage.event(&last);
        }
    }
}

/// Walks through `input`. What `take` refuses, and what the reader cannot go past, ends the walk.
fn each_step(
    reader: &mut Reader,
    input: &Bytes,
    mut take: impl FnMut(&mut Reader, Step) -> Result<(), SegmentError>,
) -> Result<(), SegmentError> {
    loop {
        match reader.poll().map_err(SegmentError::Mp4)? {
            Step::Need(range) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(input.len());
                let part = input.slice(at(range.start)..at(range.end));
                reader.supply(&part).map_err(|error| match error.problem {
                    overdub_fmp4::Problem::NoMovie => SegmentError::NoInit,
                    _ => SegmentError::Mp4(error),
                })?;
            }
            Step::End => return Ok(()),
            step => take(reader, step)?,
        }
    }
}

/// Samples of tracks that are not taken are not read: there may be hundreds, and with each the choice of the next piece
/// takes longer.
fn ignore_others(reader: &mut Reader, video: Option<&Video>, audio: Option<&Audio>) {
    let taken = [video.map(|video| video.index), audio.map(|audio| audio.index)];
    let others = (0..reader.tracks().len()).filter(|index| !taken.contains(&Some(*index)));
    others.for_each(|index| reader.ignore(index));
}

/// The first video and the first audio track that are carried.
fn choose(tracks: &[TrackInfo], wanted: Wanted) -> Result<(Option<Video>, Option<Audio>), SegmentError> {
    if let Some(track) = tracks.iter().find(|track| matches!(&track.sample_entry, b"encv" | b"enca")) {
        return Err(SegmentError::Encrypted { entry: track.sample_entry });
    }
    let each = || tracks.iter().enumerate();
    let video = each().find_map(|(index, track)| Video::new(index, track));
    let audio = each().find(|(_, track)| track.config.codec.is_audio()).map(|(index, track)| Audio {
        index,
        timescale: track.config.timescale,
        codec: track.config.codec.clone(),
        params: None,
    });
    if video.is_none() && audio.is_none() {
        let entries: Vec<_> =
            tracks.iter().map(|track| track.sample_entry.escape_ascii().to_string()).collect();
        return Err(SegmentError::NothingCarried { entries: entries.join(", ").into() });
    }
    Ok((video.filter(|_| wanted.video), audio.filter(|_| wanted.audio)))
}

impl Video {
    fn new(index: usize, track: &TrackInfo) -> Option<Self> {
        let (codec, ours, config, record, width, height) = match &track.config.codec {
            Codec::Avc { avcc, width, height } => {
                (ts::Codec::H264, VideoCodec::Avc, avcc, nal::avcc(avcc)?, *width, *height)
            }
            Codec::Hevc { hvcc, width, height } => {
                (ts::Codec::Hevc, VideoCodec::Hevc, hvcc, nal::hvcc(hvcc)?, *width, *height)
            }
            _ => return None,
        };
        let mut sets = elementary::VideoSets::new(codec)?;
        for set in &record.sets {
            sets.take(set);
        }
        let seen = sets.params();
        let length_size = record.length_size;
        let params = match seen.as_ref().and_then(|params| video_params(params)) {
            // The record as it came, unless it speaks of other lengths than ours.
            Some(params) if length_size == 4 => Some(VideoParams { config: config.clone(), ..params }),
            Some(params) => Some(params),
            // Sets that cannot be read: a decoder may know better. Without any (`avc3`, `hev1`) they are to come
            // in the samples.
            None if !record.sets.is_empty() && length_size == 4 => Some(VideoParams {
                codec: ours,
                config: config.clone(),
                width: width.into(),
                height: height.into(),
                codec_string: codec_string(ours, config),
            }),
            None => None,
        };
        let timescale = track.config.timescale;
        Some(Self {
            index,
            codec,
            timescale,
            length_size,
            sets,
            seen,
            params: params.map(Arc::new),
            inside: false,
        })
    }

    fn sample(&mut self, sample: &TimedSample, sink: &mut Sink<'_>) {
        self.take_sets(sample);
        let Some(params) = &self.params else {
            sink.damage.dropped += 1;
            sink.damage.event(&"a picture before the first parameter sets");
            return;
        };
        let data = match self.length_size {
            4 => Some(sample.data.clone()),
            size => nal::with_long_lengths(&sample.data, size),
        };
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            sink.damage.dropped += 1;
            sink.damage.event(&"a picture without whole NAL units");
            return;
        };
        sink.periods.video_params(Arc::clone(params));
        let units = || nal::units(&sample.data, self.length_size);
        // The sets are in the init segment: a fragment begins where its packager means decoding to begin.
        let intra = match self.sets.intra(units()) {
            Intra::Slices if !std::mem::replace(&mut self.inside, true) => Intra::WithSets,
            intra => intra,
        };
        self.inside = true;
        sink.periods.picture(StampedPicture {
            dts: Flicks::from_units(sample.dts, self.timescale),
            pts: Flicks::from_units(sample.pts(), self.timescale),
            source: StampSource::Table,
            random_access: elementary::is_random_access(self.codec, units(), sample.sync),
            intra,
            data,
        });
    }

    /// Parameter sets in the sample (`avc3`, `hev1`, and in `avc1` where it should not be): they stand before
    /// the slices, and change the configuration where they differ from what is known.
    fn take_sets(&mut self, sample: &TimedSample) {
        let is_slice = |first: u8| match self.codec {
            ts::Codec::H264 => matches!(first & 0x1F, 1..=5),
            _ => first >> 1 & 0x3F < 32,
        };
        let mut taken = false;
        let units = nal::units(&sample.data, self.length_size);
        for unit in units.take_while(|unit| unit.first().is_none_or(|first| !is_slice(*first))) {
            taken |= self.sets.take(unit);
        }
        if !taken {
            return;
        }
        let now = self.sets.params();
        if now.is_some() && now != self.seen {
            if let Some(params) = now.as_ref().and_then(|params| video_params(params)) {
                self.params = Some(Arc::new(params));
            }
            self.seen = now;
        }
    }
}

impl Audio {
    fn sample(&mut self, sample: TimedSample, sink: &mut Sink<'_>) {
        if sample.data.is_empty() {
            sink.damage.dropped += 1;
            sink.damage.event(&"an audio sample without bytes");
            return;
        }
        if self.params.is_none() {
            self.params = mp4::audio_params(&self.codec, &sample.data).map(Arc::new);
        }
        let Some(params) = &self.params else {
            sink.damage.dropped += 1;
            sink.damage.event(&"audio in a configuration that cannot be understood");
            return;
        };
        sink.periods.audio_params(Arc::clone(params));
        let pts = Flicks::from_units(sample.pts(), self.timescale);
        sink.periods.frame(StampedFrame { pts, data: sample.data }, StampSource::Table);
    }
}

/// RFC 6381 of a record whose sets cannot be read.
fn codec_string(codec: VideoCodec, record: &[u8]) -> String {
    match (codec, record) {
        (VideoCodec::Avc, [_, profile, constraints, level, ..]) => {
            format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
        }
        (VideoCodec::Avc, _) => "avc1".to_owned(),
        (VideoCodec::Hevc, _) => "hvc1".to_owned(),
    }
}

/// An `emsg` whose segment's earliest presentation is `start`.
fn cue(event: Event, start: Option<Flicks>, segment: u64) -> Cue {
    let units = |units: u64| Flicks::from_units(i64::try_from(units).unwrap_or(i64::MAX), event.timescale);
    let time = match event.time {
        EventTime::Presentation(time) => Some(units(time)),
        EventTime::AfterSegmentStart(delta) => start.map(|start| start + units(delta.into())),
    };
    let duration = event.duration.map(|duration| units(duration.into()));
    let kind = CueKind::Message { scheme: event.scheme_id_uri.into(), value: event.value.into() };
    Cue { segment, time, duration, kind, data: event.message }
}
