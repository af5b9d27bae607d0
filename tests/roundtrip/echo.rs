//! What the reference processor can be told to do, and what becomes of it.

use std::num::NonZeroU64;
use std::time::Duration;

use overdub::echo::{Fault, Options, Rule};
use overdub::roundtrip::{AnswerError, BreakerState, Failure};

use crate::harness::{Client, Echo, adts};

const AMPLE: Duration = Duration::from_secs(20);

fn options(delay_ms: u64, rules: &[(u64, Fault)]) -> Options {
    let delay = Duration::from_millis(delay_ms);
    let rule = |(every, fault): &(u64, Fault)| Rule {
        every: NonZeroU64::new(*every).expect("not zero"),
        fault: fault.clone(),
    };
    Options { delay: delay..=delay, rules: rules.iter().map(rule).collect(), reorder: false }
}

/// Sends `requests` batches one after the other, and returns the reason or "ok" of each.
async fn one_by_one(client: &mut Client, requests: u64, allowed: Duration) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    for number in 0..requests {
        client.request(number, &adts(4, 60, 0x1E), allowed).await;
        let outcome = client.outcome().await;
        assert_eq!(outcome.number, number);
        reasons.push(outcome.result.as_ref().map_or_else(Failure::reason, |_| "ok"));
    }
    reasons
}

#[tokio::test]
async fn answers_in_another_order_come_out_in_order() {
    let echo = Echo::start(Options { reorder: true, ..options(20, &[]) }).await;
    let mut client = Client::start(&echo.url);
    for number in 0..4 {
        client.request(number, &adts(4, 60, number as u8), AMPLE).await;
    }
    for number in 0..4 {
        let outcome = client.outcome().await;
        assert_eq!(outcome.number, number);
        assert!(outcome.result.expect("processed").raw == adts(4, 60, number as u8));
    }
    client.finish().await;
}

#[tokio::test]
async fn a_final_error_is_the_fallback_at_once_and_a_passing_one_is_retried() {
    let invalid = Fault::Fail { code: "INVALID_FORMAT".to_owned() };
    let busy = Fault::Fail { code: "BUSY".to_owned() };
    let echo = Echo::start(options(10, &[(3, busy), (2, invalid)])).await;
    let mut client = Client::start(&echo.url);
    // The echo counts sendings: 1 is answered, 2 is final, 3 is busy and sent again as 4, which is final.
    let reasons = one_by_one(&mut client, 4, AMPLE).await;
    assert_eq!(reasons, ["ok", "processorError", "processorError", "ok"]);
    let status = client.finish().await;
    assert_eq!((status.retried, status.fallbacks.get("processorError")), (1, Some(&2)), "{status:#?}");
}

#[tokio::test]
async fn late_and_missing_answers_cost_their_own_batch_only() {
    let late = Fault::Late(Duration::from_secs(3));
    let echo = Echo::start(options(10, &[(2, late), (3, Fault::Drop)])).await;
    let mut client = Client::start(&echo.url);
    let reasons = one_by_one(&mut client, 5, Duration::from_millis(1_500)).await;
    assert_eq!(reasons, ["ok", "noAnswer", "noAnswer", "noAnswer", "ok"]);
    let status = client.until("both late answers", |status| status.late_answers == 2).await;
    assert_eq!(status.duplicates, 0);
    // 12 s were not enough by what the late answers missed: 10 ms + 3 s - 1.5 s, and a little.
    let needed = status.budget_needed.expect("answers came");
    assert!((13.5..15.0).contains(&needed), "{needed}");
    client.finish().await;
}

#[tokio::test]
async fn a_connection_cut_instead_of_an_answer_is_made_again() {
    let echo = Echo::start(options(10, &[(2, Fault::Disconnect)])).await;
    let mut client = Client::start(&echo.url);
    assert_eq!(one_by_one(&mut client, 3, AMPLE).await, ["ok", "ok", "ok"]);
    let status = client.finish().await;
    // Each sending after the first has an even number first, and is cut.
    assert_eq!((status.resent, status.connections), (2, 3), "{status:#?}");
}

#[tokio::test]
async fn broken_answers_are_named_and_duplicates_counted() {
    let rules = [(4, Fault::Empty), (3, Fault::Truncate), (2, Fault::Garbage), (1, Fault::Duplicate)];
    let echo = Echo::start(options(10, &rules)).await;
    let mut client = Client::start(&echo.url);
    let mut errors = Vec::new();
    for number in 0..4 {
        client.request(number, &adts(3, 60, 0x1E), AMPLE).await;
        errors.push(client.outcome().await.result.err());
    }
    let bad = |error| Some(Failure::BadAnswer(error));
    let truncated = AnswerError::Truncated { at: 67, len: 100 };
    let garbage = AnswerError::Unrecognised { looks_like: None };
    assert_eq!(errors, [None, bad(garbage), bad(truncated), bad(AnswerError::Empty)]);
    client.until("the duplicate", |status| status.duplicates == 1).await;
    client.finish().await;
}

#[tokio::test]
async fn the_breaker_opens_after_five_failures_in_a_row() {
    let echo = Echo::start(options(5, &[(1, Fault::Fail { code: "NO".to_owned() })])).await;
    let mut client = Client::start(&echo.url);
    let reasons = one_by_one(&mut client, 7, AMPLE).await;
    assert_eq!(reasons[..5], ["processorError"; 5]);
    assert_eq!(reasons[5..], ["breakerOpen"; 2]);
    assert_eq!(client.status.borrow().breaker, BreakerState::Open);
    client.finish().await;
}

#[tokio::test]
async fn closing_the_requests_finishes_what_is_in_flight_and_a_stop_does_not_wait() {
    let echo = Echo::start(options(500, &[])).await;
    let mut client = Client::start(&echo.url);
    for number in 0..2 {
        client.request(number, &adts(4, 60, 0), AMPLE).await;
    }
    client.requests = None;
    for _ in 0..2 {
        assert!(client.outcome().await.result.is_ok());
    }
    client.finish().await;

    let echo = Echo::start(options(60_000, &[])).await;
    let mut client = Client::start(&echo.url);
    for number in 0..2 {
        client.request(number, &adts(4, 60, 0), AMPLE).await;
    }
    client.until("both with the processor", |status| status.acknowledged == 2).await;
    let stopped_at = client.clock.now();
    client.stop.cancel();
    for _ in 0..2 {
        assert_eq!(client.outcome().await.result, Err(Failure::Stopped));
    }
    let clock = client.clock;
    assert!(!client.finish().await.connected);
    assert!(clock.now().saturating_since(stopped_at) < Duration::from_secs(2));
}
