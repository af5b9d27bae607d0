//! The batch that is being gathered. Pure.

use std::sync::Arc;

use super::output_axis::Span;
use crate::media::{AudioTrack, Flicks, Moment, Origin, Piece, VideoParams, VideoSample};

/// The batch that is being gathered.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) period: u64,
    /// Before it, where it begins a period.
    pub(super) hole: Flicks,
    pub(super) first_segment: u64,
    pub(super) last_segment: u64,
    pub(super) first_captured: Moment,
    pub(super) captured_at: Moment,
    pub(super) program_date_time: Option<String>,
    pub(super) video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
    pub(super) audio: Option<AudioTrack>,
    pub(super) mid_gop: bool,
}

impl Open {
    pub(super) fn new(
        origin: Origin,
        period: u64,
        video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
        audio: Option<AudioTrack>,
    ) -> Self {
        let mid_gop = video.as_ref().is_some_and(|(_, s)| s.first().is_some_and(|s| !s.random_access));
        Self {
            period,
            hole: Flicks::ZERO,
            first_segment: origin.segment,
            last_segment: origin.segment,
            first_captured: origin.captured_at,
            captured_at: origin.captured_at,
            program_date_time: origin.program_date_time,
            video,
            audio,
            mid_gop,
        }
    }

    pub(super) fn extend(
        &mut self,
        origin: &Origin,
        video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
        audio: Option<AudioTrack>,
    ) {
        self.last_segment = origin.segment;
        self.captured_at = origin.captured_at;
        match (&mut self.video, video) {
            (Some((_, have)), Some((_, more))) => {
                // Now the last sample's duration is known.
                if let (Some(last), Some(next)) = (have.last_mut(), more.first()) {
                    last.duration = next.dts - last.dts;
                }
                have.extend(more);
            }
            (have @ None, more) => *have = more,
            (Some(_), None) => {}
        }
        match (&mut self.audio, audio) {
            (Some(have), Some(more)) => have.frames.extend(more.frames),
            (have @ None, more) => *have = more,
            (Some(_), None) => {}
        }
    }

    pub(super) fn params_differ(&self, piece: &Piece) -> bool {
        let video = matches!((&self.video, &piece.video), (Some((a, _)), Some((b, _))) if a != b);
        let audio = matches!((&self.audio, &piece.audio), (Some(a), Some((b, _))) if a.params != *b);
        video || audio
    }

    /// The smallest distance, over the tracks that both have, from what is here to `piece`.
    pub(super) fn hole_before(&self, piece: &Piece) -> Flicks {
        let video = self.video_span().zip(piece.video.as_ref().and_then(|(_, s)| s.first()));
        let video = video.map(|(span, next)| next.dts - span.end);
        let audio = self.audio_span().zip(piece.audio.as_ref().and_then(|(_, f)| f.first()));
        let audio = audio.map(|(span, next)| next.pts - span.end);
        match (video, audio) {
            (Some(a), Some(b)) => a.min(b),
            (one, other) => one.or(other).unwrap_or(Flicks::ZERO),
        }
    }

    /// Pictures and audio frames in it.
    pub(super) fn samples(&self) -> usize {
        let video = self.video.as_ref().map_or(0, |(_, samples)| samples.len());
        video + self.audio.as_ref().map_or(0, |track| track.frames.len())
    }

    pub(super) fn video_span(&self) -> Option<Span> {
        let (_, samples) = self.video.as_ref()?;
        Some(Span { start: samples.first()?.dts, end: samples_end(samples)? })
    }

    pub(super) fn audio_span(&self) -> Option<Span> {
        let audio = self.audio.as_ref()?;
        (!audio.frames.is_empty()).then(|| Span { start: audio.start, end: audio.end() })
    }

    pub(super) fn start(&self) -> Flicks {
        let spans = [self.video_span(), self.audio_span()];
        spans.iter().flatten().map(|span| span.start).min().unwrap_or_default()
    }

    /// By the video where there is one: the audio's stagger is not length.
    pub(super) fn duration(&self) -> Flicks {
        let span = self.video_span().or(self.audio_span());
        span.map(|span| span.end - span.start).unwrap_or_default()
    }
}

pub(super) fn samples_end(samples: &[VideoSample]) -> Option<Flicks> {
    samples.last().map(|sample| sample.dts + sample.duration)
}
