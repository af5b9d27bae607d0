//! Thirty days of a source whose clock is not ours, from arriving segments to answered batches, on an invented
//! clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::batch::{self, Batcher};
use crate::media::{AudioParams, Batch, Flicks, Moment, Origin, Piece, VideoCodec, VideoParams, VideoSample};
use crate::playout::{Follower, Playout};
use crate::roundtrip::inflight::{Config, Window};
use crate::roundtrip::{Processed, Request};

const DAY: Duration = Duration::from_secs(86_400);
const SEGMENT: Duration = Duration::from_secs(6);
const BUFFER: Duration = Duration::from_secs(30);
const BUDGET: Duration = Duration::from_secs(12);
/// What the processor takes: enough to miss its deadline when five seconds of the budget are gone.
const PROCESSING: Duration = Duration::from_secs(7);

fn video_params() -> Arc<VideoParams> {
    Arc::new(VideoParams {
        codec: VideoCodec::Avc,
        config: Bytes::new(),
        width: 1280,
        height: 720,
        codec_string: String::new(),
    })
}

fn audio_params() -> Arc<AudioParams> {
    Arc::new(AudioParams::plain_aac())
}

struct Month {
    follows: bool,
    now: Moment,
    batcher: Batcher,
    follower: Follower,
    playout: Option<Playout>,
    window: Window,
    /// At the processor: when it is answered.
    processor: VecDeque<(Moment, u64)>,
    answered: u64,
    fallbacks: u64,
    /// Least and most of the slack, of each batch alone and as the status says it.
    batch_slack: (f64, f64),
    slack: (f64, f64),
    lengths_off: u64,
}

fn note((least, most): &mut (f64, f64), value: f64) {
    (*least, *most) = (least.min(value), most.max(value));
}

impl Month {
    fn new(follows: bool) -> Self {
        let mut batcher =
            Batcher::new(batch::Settings { buffer_duration: BUFFER, processing_budget: BUDGET }, 0);
        batcher.set_target_duration(SEGMENT);
        let config = Config { max_concurrent: 3, max_fragment_bytes: 1 << 20, processing_budget: BUDGET };
        let mut window = Window::new(config);
        window.handle_connected(None);
        let none = (f64::INFINITY, f64::NEG_INFINITY);
        Self {
            follows,
            now: Moment::ZERO,
            follower: Follower::new(batcher.longest_batch()),
            batcher,
            playout: None,
            window,
            processor: VecDeque::new(),
            answered: 0,
            fallbacks: 0,
            batch_slack: none,
            slack: none,
            lengths_off: 0,
        }
    }

    /// What time alone does until `now`, in its order.
    fn run_until(&mut self, now: Moment) {
        loop {
            let close = self.batcher.poll_timeout(self.playout).filter(|_| self.playout.is_some());
            let answer = self.processor.front().map(|(at, _)| *at);
            let deadline = self.window.poll_timeout();
            let Some(next) = [close, answer, deadline].into_iter().flatten().min().filter(|at| *at <= now)
            else {
                return;
            };
            // What should have been done before its media was there is done when it is.
            let close = close.is_some_and(|at| at <= next);
            let next = next.max(self.now);
            self.now = next;
            if close {
                let batch = self.batcher.poll_close(next, self.playout);
                batch.into_iter().for_each(|batch| self.send(&batch, next));
            }
            while let Some((_, number)) = self.processor.pop_front_if(|(at, _)| *at <= next) {
                let answer = Processed {
                    params: audio_params(),
                    frames: Vec::new(),
                    priming: 0,
                    trailing: 0,
                    raw: Bytes::new(),
                };
                self.window.handle_answer(next, Some(number), None, |_| Ok(answer));
            }
            self.window.handle_timeout(next);
            self.drain(next);
        }
    }

    fn drain(&mut self, now: Moment) {
        while let Some(request) = self.window.poll_transmit(now) {
            self.processor.push_back((now + PROCESSING, request.number));
        }
        while let Some(outcome) = self.window.poll_outcome() {
            match outcome.result {
                Ok(_) => self.answered += 1,
                Err(_) => self.fallbacks += 1,
            }
        }
    }

    fn arrive(&mut self, n: u64, now: Moment) {
        self.run_until(now);
        self.now = now;
        let start = Flicks::from_duration(SEGMENT * n as u32);
        let half = Flicks::from_duration(SEGMENT / 2);
        let sample = |dts, random_access| VideoSample {
            dts,
            pts: dts,
            duration: half,
            random_access,
            data: Bytes::new(),
        };
        let piece = Piece {
            origin: Origin { segment: n, captured_at: now, program_date_time: None },
            period: 0,
            continues: false,
            video: Some((video_params(), vec![sample(start, true), sample(start + half, false)])),
            audio: None,
        };
        for batch in self.batcher.handle_piece(piece) {
            self.send(&batch, now);
        }
        let (Some(playout), Some(end)) = (self.playout, self.batcher.end()) else { return };
        if let Some(rate) = self.follower.handle_arrival(now, end, &playout)
            && self.follows
        {
            let slewed = playout.slewed(now, rate);
            self.playout = Some(slewed);
            self.window.handle_playout(now, &slewed);
        }
        if let Some(slack) = self.follower.slack() {
            note(&mut self.slack, slack);
        }
    }

    fn send(&mut self, batch: &Batch, now: Moment) {
        let longest = self.batcher.longest_batch();
        let playout = *self
            .playout
            .get_or_insert_with(|| Playout::anchored(batch.captured_at, batch.duration, longest, BUDGET));
        let unused = longest.saturating_sub(batch.duration.to_duration()).as_secs_f64();
        let slack = playout.due(batch.start).since(batch.captured_at).to_secs_f64() - unused;
        note(&mut self.batch_slack, slack);
        self.lengths_off += u64::from(batch.duration != Flicks::from_duration(BUFFER));
        let request = Request {
            number: batch.number,
            audio: Bytes::new(),
            duration: batch.duration,
            pts: batch.start,
            context: (0, 0),
            params: audio_params(),
            program_date_time: None,
            file_name: String::new(),
            deadline: playout.deadline(batch.start),
            plays_at: batch.start,
        };
        self.window.handle_request(now, request).unwrap();
        self.drain(now);
    }
}

/// A source whose clock is off by `ppm`, whose playlist is read once a second, and whose segments take a tenth of
/// a second to fetch.
fn month(ppm: f64, follows: bool) -> Month {
    let mut month = Month::new(follows);
    let mut random = SmallRng::seed_from_u64(30);
    let pace = 1.0 + ppm / 1e6;
    for n in 0.. {
        let written = (n + 1) as f64 * SEGMENT.as_secs_f64() / pace;
        let arrived = written + random.random_range(0.0..0.9) + 0.1;
        if arrived > 30.0 * DAY.as_secs_f64() {
            return month;
        }
        month.arrive(n, Moment::from_start(Duration::from_secs_f64(arrived)));
    }
    month
}

#[test]
fn thirty_days_of_a_source_50_ppm_fast_or_slow_keep_the_slack_and_no_batch_falls_back() {
    for ppm in [50.0, -50.0] {
        let month = month(ppm, true);
        println!(
            "{ppm:+} ppm: {} answers in time, {} fallbacks, slack {:.3} to {:.3} s, of single batches {:.3} to {:.3} s",
            month.answered,
            month.fallbacks,
            month.slack.0,
            month.slack.1,
            month.batch_slack.0,
            month.batch_slack.1
        );
        assert!(month.answered > 86_000, "{}", month.answered);
        assert_eq!((month.fallbacks, month.lengths_off), (0, 0));
        let budget = BUDGET.as_secs_f64();
        for slack in [month.slack.0, month.slack.1] {
            assert!((slack - budget).abs() < 1.0, "{slack}");
        }
        // One batch alone is what its last segment was late, too.
        for slack in [month.batch_slack.0, month.batch_slack.1] {
            assert!((slack - budget).abs() < 1.9, "{slack}");
        }
    }
}

#[test]
fn without_following_a_fast_source_gains_latency_and_a_slow_one_loses_its_budget() {
    // 50 ppm are 129.6 s in thirty days.
    let fast = month(50.0, false);
    assert!((fast.slack.1 - BUDGET.as_secs_f64() - 129.6).abs() < 1.5, "{:?}", fast.slack);
    let slow = month(-50.0, false);
    println!("-50 ppm, not followed: {} answers in time, {} fallbacks", slow.answered, slow.fallbacks);
    assert!(slow.fallbacks > 1_000, "{} fallbacks", slow.fallbacks);
    assert!(slow.slack.0 < BUDGET.as_secs_f64() - 110.0, "{:?}", slow.slack);
}
