use super::*;

fn at(seconds: f64) -> Moment {
    Moment::from_start(Duration::from_secs_f64(seconds))
}

fn secs(seconds: f64) -> Flicks {
    Flicks::new((seconds * Flicks::PER_SECOND as f64).round() as i64)
}

fn playout() -> Playout {
    Playout::anchored(at(30.0), secs(30.0), Duration::from_secs(36), Duration::from_secs(12))
}

mod map {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn batch_0_begins_to_play_a_longest_batch_and_a_budget_after_its_first_sample_was_there() {
        assert_eq!(playout().due(Flicks::ZERO), at(48.0));
        assert_eq!(playout().position(at(50.0)), secs(2.0));
        assert_eq!(playout().deadline(secs(30.0)), at(77.5));
        assert_eq!(playout().delayed(Duration::from_secs(3)).due(Flicks::ZERO), at(51.0));
    }

    #[test]
    fn a_slew_moves_nothing_that_is_due_already() {
        let playout = playout();
        let slewed = playout.slewed(at(100.0), Rate::from_ppm(1000.0));
        assert_eq!(slewed.due(secs(52.0)), at(100.0));
        assert_eq!(slewed.due(secs(40.0)), playout.due(secs(40.0)));
        assert_eq!(slewed.due(secs(1052.0)), at(1099.0));
        assert_eq!(slewed.position(at(1099.0)), secs(1052.0));
        let slower = slewed.slewed(at(1099.0), Rate::from_ppm(-500.0));
        assert_eq!(slower.due(secs(552.0)), slewed.due(secs(552.0)));
        assert_eq!(slower.due(secs(2052.0)), at(2099.5));
    }

    #[test]
    fn a_rate_is_a_tenth_of_a_percent_at_most() {
        assert_eq!((Rate::from_ppm(5e3), Rate::from_ppm(-1e9)), (Rate::MAX, Rate::from_ppm(-1000.0)));
        assert_eq!(Rate::from_ppm(f64::NAN), Rate::EXACT);
        assert_eq!(format!("{:?}", Rate::from_ppm(-50.0)), "-50.000 ppm");
    }

    proptest! {
        /// Any sequence of slews: continuous where it bends, monotonic, and each map the other's inverse.
        #[test]
        fn the_map_stays_continuous_and_monotonic(
            slews in prop::collection::vec((0.0..1e6f64, -1500.0..1500.0f64), 0..20),
            times in prop::collection::vec(-100.0..1e7f64, 1..20),
        ) {
            let mut playout = playout();
            let mut now = 0.0;
            for (wait, ppm) in slews {
                now += wait;
                let slewed = playout.slewed(at(now), Rate::from_ppm(ppm));
                let bend = playout.position(at(now));
                let moved = slewed.due(bend).since(playout.due(bend)).abs();
                prop_assert!(moved <= Flicks::new(2), "{moved:?}");
                playout = slewed;
            }
            let mut times: Vec<Flicks> = times.into_iter().map(secs).collect();
            times.sort();
            for pair in times.windows(2) {
                prop_assert!(playout.due(pair[0]) <= playout.due(pair[1]));
            }
            for time in times {
                // Not before the clock's start, which is where moments end.
                if playout.due(time) > Moment::ZERO {
                    let off = (playout.position(playout.due(time)) - time).abs();
                    prop_assert!(off <= Flicks::new(3), "{time:?} {off:?}");
                }
            }
        }
    }
}

mod following {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const DAY: f64 = 86_400.0;
    const BUDGET: f64 = 12.0;
    const LONGEST: f64 = 36.0;
    const SEGMENT: f64 = 6.0;

    /// A live source with a clock of its own, seen through reloads of its playlist.
    struct Source {
        /// Media seconds in a second of ours.
        pace: f64,
        random: SmallRng,
    }

    impl Source {
        fn new(ppm: f64, seed: u64) -> Self {
            Self { pace: 1.0 + ppm / 1e6, random: SmallRng::seed_from_u64(seed) }
        }

        /// When segment `n` has arrived: written, seen at one of the reloads, fetched, now and then badly.
        fn arrival(&mut self, n: u64) -> f64 {
            let written = (n + 1) as f64 * SEGMENT / self.pace;
            let seen = self.random.random_range(0.0..SEGMENT / 2.0);
            let fetched = self.random.random_range(0.05..0.6);
            let late =
                if self.random.random_ratio(1, 200) { self.random.random_range(0.0..20.0) } else { 0.0 };
            written + seen + fetched + late
        }
    }

    /// The slack of each hour, and the rate at its end; `stalled` says how much later than written a segment
    /// is there.
    fn run(days: f64, mut source: Source, stalled: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let mut follower = Follower::new(Duration::from_secs_f64(LONGEST));
        let mut playout: Option<Playout> = None;
        let (mut hours, mut newest) = (Vec::new(), 0.0_f64);
        for n in 4.. {
            let arrival = source.arrival(n);
            // Segments are given out in their order.
            newest = newest.max(arrival + stalled(arrival));
            if newest > days * DAY {
                break;
            }
            let end = secs((n - 4) as f64 * SEGMENT + SEGMENT);
            let current = *playout.get_or_insert_with(|| {
                let (longest, budget) = (Duration::from_secs_f64(LONGEST), Duration::from_secs_f64(BUDGET));
                Playout::anchored(at(newest), end, longest, budget)
            });
            if let Some(rate) = follower.handle_arrival(at(newest), end, &current) {
                playout = Some(current.slewed(at(newest), rate));
            }
            if newest / 3_600.0 > hours.len() as f64 + 1.0 {
                hours.push((follower.slack().unwrap(), current.rate().ppm()));
            }
        }
        hours
    }

    fn assert_kept(hours: &[(f64, f64)], ppm: f64) {
        let (first, _) = hours[0];
        let worst = hours.iter().map(|(slack, _)| (slack - first).abs()).fold(0.0, f64::max);
        let off = hours.iter().skip(6).map(|(_, rate)| (rate - ppm).abs()).fold(0.0, f64::max);
        println!(
            "{ppm:+} ppm: slack at first {first:.3} s, off by {worst:.3} s at most; rate by {off:.1} ppm"
        );
        for (hour, (slack, rate)) in hours.iter().enumerate() {
            assert!((slack - first).abs() < 0.6, "hour {hour}: slack {slack:.3} s, at first {first:.3} s");
            assert!(*slack > BUDGET - 0.2, "hour {hour}: slack {slack:.3} s");
            assert!(hour < 6 || (rate - ppm).abs() < 60.0, "hour {hour}: {rate:.1} ppm");
        }
        let late: Vec<f64> = hours.iter().skip(24).map(|(_, rate)| *rate).collect();
        let mean = late.iter().sum::<f64>() / late.len() as f64;
        assert!((mean - ppm).abs() < 5.0, "{mean} ppm on average");
    }

    #[test]
    fn thirty_days_of_a_source_that_is_fast_slow_or_exact_keep_the_slack() {
        for (seed, ppm) in [(1, 50.0), (2, -50.0), (3, 0.0)] {
            let hours = run(30.0, Source::new(ppm, seed), |_| 0.0);
            assert!(hours.len() > 700);
            assert_kept(&hours, ppm);
        }
    }

    #[test]
    fn stalls_that_are_made_up_for_change_nothing() {
        // Every five hours nothing comes for ten minutes, then everything at once.
        let stalled = |at: f64| {
            let into = at % 18_000.0;
            if into > 17_400.0 { 18_000.0 - into } else { 0.0 }
        };
        assert_kept(&run(10.0, Source::new(50.0, 4), stalled), 50.0);
    }

    #[test]
    fn a_source_that_stays_late_keeps_its_new_place_and_its_rate() {
        let hours = run(4.0, Source::new(-50.0, 5), |at| if at > 2.0 * DAY { 5.0 } else { 0.0 });
        assert_kept(&hours[..47], -50.0);
        let (before, after): (f64, f64) = (hours[46].0, hours[60].0);
        assert!((before - after - 5.0).abs() < 1.2, "{before} {after}");
        for (slack, rate) in &hours[60..] {
            assert!((slack - after).abs() < 0.6, "{slack} {after}");
            assert!((rate + 50.0).abs() < 60.0, "{rate}");
        }
    }

    #[test]
    fn a_clock_that_is_a_thousandth_off_is_followed_and_one_beyond_as_far_as_it_goes() {
        let hours = run(5.0, Source::new(-999.0, 6), |_| 0.0);
        assert!((hours.last().unwrap().1 + 999.0).abs() < 20.0, "{:?}", hours.last());
        let hours = run(1.0, Source::new(3_000.0, 7), |_| 0.0);
        assert_eq!(hours.last().unwrap().1, 1_000.0);
    }
}
