//! One publication against the rules. Pure.

use std::time::Duration;

use bytes::Bytes;
use overdub_rtmp::flv::{AudioTag, VideoKind, VideoTag};
use overdub_rtmp::{Timestamp, Unwrapper};

use super::pace::Pace;
use super::report::{Report, TrackKind, Violation};
use super::units;
use crate::histogram::Histogram;
use crate::media::Moment;

/// Upper bounds of [`Report::late`] in milliseconds.
static LATE: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 1_000];

/// How strict the checks are.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest step of DTS within a track.
    pub gap: Duration,
    /// How far behind the newest media of the other track a packet may come.
    pub interleaving: Duration,
    /// How far media may come before or after its time, where that follows a clock that is off by 0.1 % at most.
    pub pace: Duration,
}

impl Default for Limits {
    /// What Overdub promises of its output: no hole of a second, tracks side by side, and over any 5 s what
    /// was sent within 1 s of what was due.
    fn default() -> Self {
        Self {
            gap: Duration::from_secs(1),
            interleaving: Duration::from_millis(500),
            pace: Duration::from_secs(1),
        }
    }
}

/// Checks the messages of one publication as they arrive.
#[derive(Debug)]
pub(super) struct Checker {
    limits: Limits,
    report: Report,
    /// One for both tracks: they are near each other also where the 32 bits wrap.
    unwrapper: Unwrapper,
    /// Bytes per NAL length field, once a video sequence header came.
    length_size: Option<usize>,
    audio_configured: bool,
    /// Highest DTS of either track.
    newest: Option<i64>,
    /// Once media came.
    pace: Option<Pace>,
}

impl Checker {
    pub(super) fn new(limits: Limits, app: String, key: String) -> Self {
        Self {
            limits,
            report: Report { app, key, late: Histogram::new(&LATE), ..Report::default() },
            unwrapper: Unwrapper::default(),
            length_size: None,
            audio_configured: false,
            newest: None,
            pace: None,
        }
    }

    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    pub(super) fn metadata(&mut self) {
        self.report.metadata += 1;
    }

    pub(super) fn video(&mut self, now: Moment, at: Timestamp, body: &Bytes) {
        let at = self.unwrapper.unwrap(at);
        let track = TrackKind::Video;
        self.report.video.bytes += body.len() as u64;
        match VideoTag::parse(body) {
            Err(error) => self.report.violate(Violation::Tag { track, at, error: error.to_string() }),
            Ok(VideoTag { codec, kind: VideoKind::SequenceHeader, data }) => {
                self.report.video.headers += 1;
                match units::length_size(codec, &data) {
                    Ok(size) => self.length_size = Some(size),
                    Err(error) => {
                        let error = error.to_string();
                        self.report.violate(Violation::SequenceHeader { track, at, error });
                    }
                }
            }
            Ok(VideoTag { kind: VideoKind::Frame { keyframe, composition }, data, .. }) => {
                self.picture(at, keyframe, composition, &data);
                self.frame(track, now, at);
            }
            Ok(VideoTag { kind: VideoKind::EndOfSequence, .. }) => {}
        }
    }

    pub(super) fn audio(&mut self, now: Moment, at: Timestamp, body: &Bytes) {
        let at = self.unwrapper.unwrap(at);
        let track = TrackKind::Audio;
        self.report.audio.bytes += body.len() as u64;
        match AudioTag::parse(body) {
            Err(error) => self.report.violate(Violation::Tag { track, at, error: error.to_string() }),
            Ok(AudioTag::AacSequenceHeader(config)) => {
                self.report.audio.headers += 1;
                self.audio_configured = true;
                if let Err(error) = units::audio_config(&config) {
                    let error = error.to_string();
                    self.report.violate(Violation::SequenceHeader { track, at, error });
                }
            }
            Ok(AudioTag::AacFrame(data)) => {
                if !self.audio_configured {
                    self.report.violate(Violation::NoSequenceHeader { track, at });
                }
                if data.is_empty() {
                    let error = units::Error::Empty.to_string();
                    self.report.violate(Violation::Tag { track, at, error });
                }
                self.frame(track, now, at);
            }
            Ok(AudioTag::EnhancedSequenceHeader(..)) => self.report.audio.headers += 1,
            Ok(AudioTag::Mp3Frame(..) | AudioTag::EnhancedFrame(..)) => self.frame(track, now, at),
        }
    }

    pub(super) fn protocol(&mut self, error: &overdub_rtmp::Error) {
        self.report.violate(Violation::Protocol { error: error.to_string() });
    }

    pub(super) fn ended(&mut self) {
        self.report.ended = true;
    }

    pub(super) fn closed(&mut self) {
        self.report.closed = true;
    }

    fn picture(&mut self, at: i64, keyframe: bool, composition: i32, data: &[u8]) {
        match self.length_size {
            None => self.report.violate(Violation::NoSequenceHeader { track: TrackKind::Video, at }),
            Some(size) => {
                if let Err(error) = units::nal_units(data, size) {
                    self.report.violate(Violation::Units { at, error: error.to_string() });
                }
            }
        }
        if self.report.video.packets == 0 && !keyframe {
            self.report.violate(Violation::NoKeyframe { at });
        }
        if composition < 0 {
            self.report.violate(Violation::Composition { at, by: -composition });
        }
        self.report.video.keyframes += u64::from(keyframe);
    }

    /// The times of a frame of either track.
    fn frame(&mut self, track: TrackKind, now: Moment, at: i64) {
        if let Some(previous) = self.report.track(track).last_ms {
            if at <= previous {
                self.report.violate(Violation::NotMonotonic { track, previous, at });
            } else if millis(at - previous) > self.limits.gap {
                self.report.violate(Violation::Gap { track, previous, at });
            }
        }
        if let Some(newest) = self.newest
            && millis(newest - at) > self.limits.interleaving
        {
            self.report.violate(Violation::Interleaving { track, at, newest });
        }
        self.newest = self.newest.max(Some(at));
        self.pace(track, now, at);
        let seen = self.report.track(track);
        seen.packets += 1;
        seen.first_ms.get_or_insert(at);
        seen.last_ms = Some(at);
    }

    fn pace(&mut self, track: TrackKind, now: Moment, at: i64) {
        let pace = self.pace.get_or_insert_with(|| Pace::new(now, at));
        let after = pace.arrived(now, at);
        self.report.drift_ms = pace.drift().to_millis();
        let (late, early) = (after.to_duration(), (-after).to_duration());
        self.report.latest = self.report.latest.max(late);
        self.report.earliest = self.report.earliest.max(early);
        self.report.late.record(late);
        if late > self.limits.pace {
            self.report.violate(Violation::Late { track, at, by: late });
        }
        if early > self.limits.pace {
            self.report.violate(Violation::Early { track, at, by: early });
        }
    }
}

/// A count of milliseconds as a duration; zero when negative.
fn millis(count: i64) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}
