use std::sync::Arc;

use bytes::Bytes;

use super::super::status::BreakerState;
use super::breaker::{FAILURES, PROBE_INTERVAL};
use super::*;
use crate::media::{AudioParams, Flicks};

pub(super) const CONFIG: Config =
    Config { max_concurrent: 3, max_fragment_bytes: 1_000, processing_budget: Duration::from_secs(12) };

pub(super) fn at(seconds: f64) -> Moment {
    Moment::from_start(Duration::from_secs_f64(seconds))
}

pub(super) fn request(number: u64, deadline: Moment, size: usize) -> Request {
    Request {
        number,
        audio: Bytes::from(vec![0; size]),
        duration: Flicks::from_millis(30_000),
        pts: Flicks::ZERO,
        context: (0, 0),
        params: Arc::new(AudioParams::plain_aac()),
        program_date_time: None,
        file_name: String::new(),
        deadline,
        plays_at: Flicks::ZERO,
    }
}

pub(super) fn processed(_: &Request) -> Result<Processed, AnswerError> {
    Ok(Processed {
        params: Arc::new(AudioParams::plain_aac()),
        frames: Vec::new(),
        priming: 0,
        trailing: 0,
        raw: Bytes::new(),
    })
}

fn error(code: &str) -> ProcessorError {
    ProcessorError::new(Some(code.into()), "told to".into(), None)
}

/// A connected window with requests 0.. that all have `deadline`.
fn window(requests: u64, deadline: f64) -> Window {
    let mut window = Window::new(CONFIG);
    window.handle_connected(None);
    for number in 0..requests {
        window.handle_request(at(0.0), request(number, at(deadline), 100)).unwrap();
    }
    window
}

fn sent(window: &mut Window, now: f64) -> Vec<u64> {
    std::iter::from_fn(|| window.poll_transmit(at(now)).map(|request| request.number)).collect()
}

/// Number and reason ("ok" for processed) of each outcome that is ready.
fn outcomes(window: &mut Window) -> Vec<(u64, &'static str)> {
    std::iter::from_fn(|| window.poll_outcome())
        .map(|outcome| (outcome.number, outcome.result.as_ref().map_or_else(Failure::reason, |_| "ok")))
        .collect()
}

#[test]
fn at_most_the_configured_number_is_unanswered() {
    let mut window = window(5, 10.0);
    assert_eq!(sent(&mut window, 0.0), [0, 1, 2]);
    window.handle_answer(at(1.0), Some(1), None, processed);
    assert_eq!(sent(&mut window, 1.0), [3]);
    assert_eq!((window.status().in_flight, window.status().queued), (3, 1));
}

#[test]
fn answers_in_any_order_come_out_in_order() {
    let mut window = window(3, 10.0);
    sent(&mut window, 0.0);
    window.handle_answer(at(1.0), Some(2), None, processed);
    window.handle_answer(at(2.0), Some(0), None, processed);
    assert_eq!(outcomes(&mut window), [(0, "ok")]);
    window.handle_answer(at(3.0), Some(1), None, processed);
    assert_eq!(outcomes(&mut window), [(1, "ok"), (2, "ok")]);
    assert!(window.is_idle());
    let latency = window.status().latency;
    assert_eq!((latency.last, latency.p50, latency.max), (Some(3.0), Some(2.0), Some(3.0)));
}

#[test]
fn a_deadline_ends_what_is_unanswered_and_what_is_queued() {
    let mut window = window(4, 10.0);
    sent(&mut window, 0.0);
    assert_eq!(window.poll_timeout(), Some(at(10.0)));
    window.handle_timeout(at(9.999));
    assert!(!window.has_outcome());
    window.handle_timeout(at(10.0));
    let reasons = [(0, "noAnswer"), (1, "noAnswer"), (2, "noAnswer"), (3, "notSent")];
    assert_eq!(outcomes(&mut window), reasons);
    assert_eq!(window.poll_timeout(), None);
}

#[test]
fn an_answer_at_the_deadline_is_late_and_says_what_would_have_been_enough() {
    let mut window = window(1, 10.0);
    sent(&mut window, 0.0);
    window.handle_answer(at(10.0), Some(0), None, processed);
    assert_eq!(outcomes(&mut window), [(0, "noAnswer")]);
    let status = window.status();
    assert_eq!((status.late_answers, status.duplicates, status.processed), (1, 0, 0));
    assert_eq!(status.budget_needed, Some(12.0));
    window.handle_answer(at(13.5), Some(0), None, processed);
    assert_eq!((window.status().late_answers, window.status().duplicates), (1, 1));
}

#[test]
fn a_fragment_that_was_too_big_for_the_server_is_not_sent_again() {
    // Sizes of the fragments under way, and which of them ends.
    for (sizes, culprit) in [
        (&[300][..], 0),
        (&[300, 200, 100], 0),
        (&[100, 200, 300], 2),
        (&[100, 300, 200], 1),
        // Of several of one size the server met the first one first.
        (&[300, 300, 300], 0),
    ] {
        let mut window = Window::new(CONFIG);
        window.handle_connected(None);
        for (number, size) in (0..).zip(sizes) {
            window.handle_request(at(0.0), request(number, at(10.0), *size)).unwrap();
        }
        sent(&mut window, 0.0);
        window.handle_too_big(at(1.0), "processor at http://p closed the connection (1009 message too big)");
        window.handle_disconnected(at(1.0), "closed".into(), at(2.0));
        window.handle_connected(None);
        let others: Vec<u64> = (0..sizes.len() as u64).filter(|number| *number != culprit).collect();
        assert_eq!(sent(&mut window, 2.0), others, "{sizes:?}");
        for number in others {
            window.handle_answer(at(3.0), Some(number), None, processed);
        }
        let ended: Vec<_> = std::iter::from_fn(|| window.poll_outcome()).collect();
        let failure = ended[culprit as usize].result.clone().unwrap_err();
        assert_eq!(
            failure.to_string(),
            "fragment of 300 bytes was refused: processor at http://p closed the connection (1009 message too big)"
        );
        assert_eq!(window.status().fallbacks, [("tooLarge", 1)].into());
    }
    // What was answered, or waits to be sent, is not to blame.
    let mut window = window(4, 10.0);
    sent(&mut window, 0.0);
    for number in 0..3 {
        window.handle_answer(at(1.0), Some(number), None, processed);
    }
    window.handle_too_big(at(1.0), "closed");
    assert_eq!(window.status().fallbacks_total(), 0);
    assert_eq!(sent(&mut window, 1.0), [3]);
}

#[test]
fn a_server_that_takes_no_fragment_is_left_alone_by_the_breaker() {
    let mut window = Window::new(CONFIG);
    for number in 0..u64::from(FAILURES) {
        window.handle_connected(None);
        window.handle_request(at(0.0), request(number, at(100.0), 900)).unwrap();
        assert_eq!(sent(&mut window, 0.0), [number]);
        window.handle_too_big(at(0.0), "closed");
        window.handle_disconnected(at(0.0), "closed".into(), at(0.0));
    }
    assert_eq!(window.status().breaker, BreakerState::Open);
}

#[test]
fn the_budget_needed_is_that_of_the_worst_answer() {
    let mut window = window(3, 10.0);
    sent(&mut window, 0.0);
    window.handle_answer(at(4.0), Some(0), None, processed);
    assert_eq!(window.status().budget_needed, Some(6.0));
    window.handle_answer(at(3.0), Some(1), None, processed);
    assert_eq!(window.status().budget_needed, Some(6.0));
    window.handle_timeout(at(10.0));
    window.handle_answer(at(11.5), Some(2), None, processed);
    assert_eq!(window.status().budget_needed, Some(13.5));
}

#[test]
fn duplicates_and_unknown_ids_change_nothing() {
    let mut window = window(2, 10.0);
    assert_eq!(sent(&mut window, 0.0), [0, 1]);
    window.handle_answer(at(1.0), Some(0), None, processed);
    window.handle_answer(at(1.0), Some(0), None, processed);
    window.handle_answer(at(1.0), Some(77), None, processed);
    window.handle_answer(at(1.0), None, None, processed);
    window.handle_error(at(1.0), Some(78), error("BUSY"));
    assert_eq!(outcomes(&mut window), [(0, "ok")]);
    let status = window.status();
    assert_eq!((status.duplicates, status.unknown_ids, status.processed), (1, 3, 1));
}

#[test]
fn an_answer_to_what_was_never_sent_is_not_believed() {
    let mut window = window(4, 10.0);
    sent(&mut window, 0.0);
    window.handle_answer(at(1.0), Some(3), None, processed);
    assert_eq!(window.status().unknown_ids, 1);
    window.handle_timeout(at(10.0));
    window.handle_answer(at(11.0), Some(3), None, processed);
    assert_eq!((window.status().unknown_ids, window.status().late_answers), (2, 0));
}

#[test]
fn unanswered_fragments_are_sent_again_after_reconnecting_oldest_first() {
    let mut window = window(4, 10.0);
    sent(&mut window, 0.0);
    window.handle_answer(at(1.0), Some(0), None, processed);
    window.handle_disconnected(at(1.0), "gone".into(), at(2.0));
    assert_eq!(sent(&mut window, 1.0), Vec::<u64>::new());
    window.handle_connected(None);
    assert_eq!(sent(&mut window, 2.0), [1, 2, 3]);
    let status = window.status();
    assert_eq!((status.sent, status.resent, status.connections), (4, 2, 2));
}

#[test]
fn an_answer_that_survived_the_reconnect_counts_before_it_is_sent_again() {
    let mut window = window(1, 10.0);
    sent(&mut window, 0.0);
    window.handle_disconnected(at(1.0), "gone".into(), at(2.0));
    window.handle_connected(None);
    window.handle_answer(at(2.0), Some(0), None, processed);
    assert_eq!(outcomes(&mut window), [(0, "ok")]);
    assert_eq!(sent(&mut window, 2.0), Vec::<u64>::new());
}

#[test]
fn without_a_connection_the_deadline_says_so() {
    let mut window = window(1, 10.0);
    sent(&mut window, 0.0);
    window.handle_disconnected(at(1.0), "gone".into(), at(2.0));
    window.handle_request(at(1.0), request(1, at(10.0), 100)).unwrap();
    window.handle_timeout(at(10.0));
    let failures: Vec<_> =
        std::iter::from_fn(|| window.poll_outcome()).map(|outcome| outcome.result.unwrap_err()).collect();
    assert_eq!(failures, [Failure::Disconnected { sent: true }, Failure::Disconnected { sent: false }]);
}

#[test]
fn a_passing_error_is_retried_with_doubling_pauses_while_the_deadline_allows() {
    let mut window = window(1, 10.0);
    let mut sent_at = Vec::new();
    let mut now = at(0.0);
    while window.poll_transmit(now).is_some() {
        sent_at.push(now.since_start().as_secs_f64());
        window.handle_error(now, Some(0), error("BUSY"));
        let Some(timeout) = window.poll_timeout() else { break };
        now = timeout;
        window.handle_timeout(now);
    }
    assert_eq!(sent_at, [0.0, 0.5, 1.5, 3.5, 7.5]);
    assert_eq!(outcomes(&mut window), [(0, "processorError")]);
    assert_eq!(window.status().retried, 4);
}

#[test]
fn a_retrying_fragment_keeps_its_place_and_can_still_be_answered() {
    let mut window = window(4, 10.0);
    sent(&mut window, 0.0);
    window.handle_error(at(1.0), Some(0), error("BUSY"));
    assert_eq!(sent(&mut window, 1.0), Vec::<u64>::new());
    assert_eq!(window.poll_timeout(), Some(at(1.5)));
    window.handle_answer(at(1.2), Some(0), None, processed);
    assert_eq!(outcomes(&mut window), [(0, "ok")]);
    assert_eq!(sent(&mut window, 1.2), [3]);
}

#[test]
fn a_final_error_and_a_bad_answer_end_the_fragment_at_once() {
    let mut window = window(2, 10.0);
    sent(&mut window, 0.0);
    window.handle_error(at(1.0), Some(0), error("INVALID_FORMAT"));
    window.handle_answer(at(1.0), Some(1), None, |_| Err(AnswerError::Empty));
    assert_eq!(outcomes(&mut window), [(0, "processorError"), (1, "badAnswer")]);
    assert_eq!(window.status().fallbacks_total(), 2);
}

#[test]
fn what_is_too_large_is_not_sent_and_does_not_blame_the_processor() {
    let mut window = Window::new(CONFIG);
    window.handle_request(at(0.0), request(0, at(10.0), 1_001)).unwrap();
    assert_eq!(outcomes(&mut window), [(0, "tooLarge")]);
    window.handle_request(at(0.0), request(1, at(10.0), 501)).unwrap();
    window.handle_request(at(0.0), request(2, at(10.0), 500)).unwrap();
    window.handle_connected(Some(500));
    assert_eq!(sent(&mut window, 0.0), [2]);
    let outcome = window.poll_outcome().unwrap();
    let limit = SizeLimit::Server(500);
    assert_eq!(outcome.result, Err(Failure::TooLarge { size: 501, limit }));
    assert_eq!(window.status().consecutive_failures, 0);
}

#[test]
fn requests_come_in_order_or_not_at_all() {
    let mut window = window(2, 10.0);
    assert!(window.handle_request(at(0.0), request(1, at(10.0), 1)).is_err());
    assert!(window.handle_request(at(0.0), request(0, at(10.0), 1)).is_err());
    assert!(window.handle_request(at(0.0), request(9, at(10.0), 1)).is_ok());
}

#[test]
fn what_waits_is_bounded() {
    let window = window(MAX_WAITING as u64 + 2, 10.0);
    assert_eq!(window.status().fallbacks.get("notSent"), Some(&2));
    assert_eq!(window.waiting().count(), MAX_WAITING);
}

#[test]
fn a_stop_ends_everything_in_order() {
    let mut window = window(4, 10.0);
    sent(&mut window, 0.0);
    window.handle_answer(at(1.0), Some(1), None, processed);
    window.handle_stop(at(2.0));
    assert_eq!(outcomes(&mut window), [(0, "stopped"), (1, "ok"), (2, "stopped"), (3, "stopped")]);
    assert_eq!(window.status().consecutive_failures, 0);
}

/// Fails fragments until the breaker opens, at 1 s; returns the next number.
fn open_breaker(window: &mut Window) -> u64 {
    for number in 0..u64::from(FAILURES) {
        window.handle_request(at(0.0), request(number, at(100.0), 1)).unwrap();
        assert_eq!(sent(window, 0.0), [number]);
        window.handle_error(at(1.0), Some(number), error("NO"));
    }
    assert_eq!(window.status().breaker, BreakerState::Open);
    outcomes(window);
    u64::from(FAILURES)
}

#[test]
fn five_failures_in_a_row_open_the_breaker_and_a_success_between_does_not() {
    let mut window = window(0, 0.0);
    for number in 0..20 {
        window.handle_request(at(0.0), request(number, at(100.0), 1)).unwrap();
        assert_eq!(sent(&mut window, 0.0), [number]);
        if number % 5 == 4 {
            window.handle_answer(at(1.0), Some(number), None, processed);
        } else {
            window.handle_error(at(1.0), Some(number), error("NO"));
        }
        assert_eq!(window.status().breaker, BreakerState::Closed);
    }
}

#[test]
fn an_open_breaker_answers_at_once_and_probes_with_one_fragment() {
    let mut window = window(0, 0.0);
    let next = open_breaker(&mut window);
    window.handle_request(at(30.9), request(next, at(100.0), 1)).unwrap();
    assert_eq!(outcomes(&mut window), [(next, "breakerOpen")]);
    let probe_at = at(1.0) + PROBE_INTERVAL;
    window.handle_request(probe_at, request(next + 1, at(100.0), 1)).unwrap();
    window.handle_request(probe_at, request(next + 2, at(100.0), 1)).unwrap();
    assert_eq!(window.status().breaker, BreakerState::HalfOpen);
    assert_eq!(sent(&mut window, 31.0), [next + 1]);
    window.handle_answer(at(32.0), Some(next + 1), None, processed);
    assert_eq!(window.status().breaker, BreakerState::Closed);
    assert_eq!(outcomes(&mut window), [(next + 1, "ok"), (next + 2, "breakerOpen")]);
    window.handle_request(at(33.0), request(next + 3, at(100.0), 1)).unwrap();
    assert_eq!(sent(&mut window, 33.0), [next + 3]);
}

#[test]
fn a_failed_probe_keeps_the_breaker_open_until_the_next_one_is_due() {
    let mut window = window(0, 0.0);
    let next = open_breaker(&mut window);
    window.handle_request(at(31.0), request(next, at(40.0), 1)).unwrap();
    assert_eq!(sent(&mut window, 31.0), [next]);
    window.handle_timeout(at(40.0));
    assert_eq!(window.status().breaker, BreakerState::Open);
    window.handle_request(at(60.9), request(next + 1, at(100.0), 1)).unwrap();
    window.handle_request(at(61.0), request(next + 2, at(100.0), 1)).unwrap();
    assert_eq!(sent(&mut window, 61.0), [next + 2]);
    assert_eq!(outcomes(&mut window), [(next, "noAnswer"), (next + 1, "breakerOpen")]);
}

#[test]
fn a_probe_that_is_too_large_passes_its_turn_on() {
    let mut window = window(0, 0.0);
    let next = open_breaker(&mut window);
    window.handle_connected(Some(10));
    window.handle_request(at(31.0), request(next, at(100.0), 11)).unwrap();
    assert_eq!(sent(&mut window, 31.0), Vec::<u64>::new());
    window.handle_request(at(31.0), request(next + 1, at(100.0), 1)).unwrap();
    assert_eq!(sent(&mut window, 31.0), [next + 1]);
}

#[test]
fn opening_drops_what_is_queued_and_waits_for_what_is_sent() {
    let mut window = Window::new(Config { max_concurrent: 6, ..CONFIG });
    window.handle_connected(None);
    for number in 0..8 {
        window.handle_request(at(0.0), request(number, at(100.0), 1)).unwrap();
    }
    assert_eq!(sent(&mut window, 0.0).len(), 6);
    for number in 0..5 {
        window.handle_error(at(1.0), Some(number), error("NO"));
    }
    assert_eq!(outcomes(&mut window).len(), 5);
    window.handle_answer(at(2.0), Some(5), None, processed);
    assert_eq!(outcomes(&mut window), [(5, "ok"), (6, "breakerOpen"), (7, "breakerOpen")]);
    // An answer in time shows that the processor works.
    assert_eq!(window.status().breaker, BreakerState::Closed);
}

#[test]
fn while_the_breaker_is_open_nothing_is_sent_again() {
    let mut window = Window::new(Config { max_concurrent: 8, ..CONFIG });
    window.handle_connected(None);
    for number in 0..7 {
        window.handle_request(at(0.0), request(number, at(100.0), 1)).unwrap();
    }
    assert_eq!(sent(&mut window, 0.0).len(), 7);
    for number in 0..5 {
        window.handle_error(at(1.0), Some(number), error("NO"));
    }
    window.handle_error(at(1.0), Some(5), error("BUSY"));
    window.handle_disconnected(at(1.0), "gone".into(), at(2.0));
    window.handle_connected(None);
    assert_eq!(sent(&mut window, 1.0), Vec::<u64>::new());
    assert_eq!(outcomes(&mut window)[5..], [(5, "breakerOpen"), (6, "breakerOpen")]);
}
