//! What the reference processor can be told to do, and what becomes of it.

use std::num::NonZeroU64;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use overdub::echo::{Delay, Fault, Options, Rule, When};
use overdub::roundtrip::{AnswerError, BreakerState, Failure, MAX_ANSWER_BYTES};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Client, Echo, adts, fmp4};

const AMPLE: Duration = Duration::from_secs(20);

fn options(delay_ms: u64, rules: &[(u64, Fault)]) -> Options {
    let delay = Delay::fixed(Duration::from_millis(delay_ms));
    let rule = |(every, fault): &(u64, Fault)| Rule {
        when: When::Every(NonZeroU64::new(*every).expect("not zero")),
        fault: fault.clone(),
    };
    Options { delay, rules: rules.iter().map(rule).collect(), reorder: false }
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

/// What comes of a fragment of 100 frames (2.1 s) with `fault`: frames and priming, or why not.
async fn answered(fault: &str) -> Result<(usize, u64), Failure> {
    let rules = vec![fault.parse().expect("a fault")];
    let echo = Echo::start(Options { rules, ..options(10, &[]) }).await;
    let mut client = Client::start(&echo.url);
    client.request(0, &fmp4(100), AMPLE).await;
    let result = client.outcome().await.result;
    client.finish().await;
    result.map(|processed| (processed.frames.len(), processed.priming))
}

#[tokio::test]
async fn answers_of_another_length_are_taken_within_bounds_and_named_beyond() {
    assert_eq!(answered("length:1:3").await, Ok((103, 0)));
    assert_eq!(answered("length:1:-3").await, Ok((97, 0)));
    let wrong = AnswerError::WrongDuration { answer_ms: 4_267, fragment_ms: 2_133 };
    assert_eq!(answered("length:1:100").await, Err(Failure::BadAnswer(wrong)));
    assert_eq!(answered("length:1:-100").await, Err(Failure::BadAnswer(AnswerError::NoFrames)));
    assert_eq!(answered("silence:1").await, Ok((100, 0)));
    assert_eq!(answered("priming:1:1600").await, Ok((102, 1_600)));
    assert_eq!(answered("priming:1:2112:undeclared").await, Ok((102, 0)));
}

#[tokio::test]
async fn an_answer_too_large_to_be_read_is_named_and_costs_its_own_batch_only() {
    let rules = vec!["oversize:2".parse().expect("a fault")];
    let echo = Echo::start(Options { rules, ..options(10, &[]) }).await;
    let mut client = Client::start(&echo.url);
    client.request(0, &adts(4, 60, 0), AMPLE).await;
    assert!(client.outcome().await.result.is_ok());
    client.request(1, &adts(4, 60, 0), AMPLE).await;
    let too_large = AnswerError::TooLarge { bytes: 65 << 20, limit: MAX_ANSWER_BYTES };
    assert_eq!(client.outcome().await.result, Err(Failure::BadAnswer(too_large)));
    client.request(2, &adts(4, 60, 0), AMPLE).await;
    assert!(client.outcome().await.result.is_ok());
    let status = client.finish().await;
    assert_eq!((status.connections, status.resent, status.sent), (2, 0, 3), "{status:#?}");
}

#[tokio::test]
async fn corrupt_answers_are_an_answer_or_an_error_and_nothing_else() {
    let rules = vec!["corrupt:100%".parse().expect("a fault")];
    let echo = Echo::start(Options { rules, ..options(1, &[]) }).await;
    let mut client = Client::start(&echo.url);
    let mut bad = 0;
    for number in 0..20 {
        client.request(number, &adts(100, 60, 0x1E), AMPLE).await;
        let outcome = client.outcome().await;
        assert_eq!(outcome.number, number);
        bad += usize::from(outcome.result.is_err());
    }
    assert!(bad > 0, "one byte in 64 was another, and nobody saw it");
    client.finish().await;
}

/// Tells the echo at `url` how to be, over Socket.IO; its acknowledgement.
async fn control(url: &str, what: serde_json::Value) -> serde_json::Value {
    let url = format!("{}/socket.io/?EIO=4&transport=websocket", url.replace("http", "ws"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("the echo");
    socket.send(Message::text("40")).await.expect("open");
    socket.send(Message::text(format!("420{}", json!(["control", what])))).await.expect("open");
    loop {
        let text = socket.next().await.expect("open").expect("a frame").into_text().expect("text");
        if let Some(reply) = text.strip_prefix("430") {
            let mut reply: Vec<serde_json::Value> = serde_json::from_str(reply).expect("JSON");
            return reply.remove(0);
        }
    }
}

#[tokio::test]
async fn a_control_event_changes_the_behaviour_at_once_and_says_what_holds() {
    let echo = Echo::start(options(10, &[])).await;
    let mut client = Client::start(&echo.url);
    client.request(0, &adts(4, 60, 0), AMPLE).await;
    assert!(client.outcome().await.result.is_ok());
    let holds = control(&echo.url, json!({"faults": ["fail:1:BROKEN"], "delay": "20ms..30ms"})).await;
    let expected =
        json!({"success": true, "delay": "0.02s..0.03s", "faults": ["fail:1:BROKEN"], "reorder": false});
    assert_eq!(holds, expected);
    client.request(1, &adts(4, 60, 0), AMPLE).await;
    let failure = client.outcome().await.result.expect_err("told to fail");
    assert_eq!(failure.to_string(), "processor reports an error BROKEN: told to fail");
    let refused = control(&echo.url, json!({"faults": ["explode:1"]})).await;
    assert_eq!(refused["success"], false);
    assert!(refused["error"].as_str().expect("a reason").starts_with("is none of fail, drop"), "{refused}");
    control(&echo.url, json!({"faults": []})).await;
    client.request(2, &adts(4, 60, 0), AMPLE).await;
    assert!(client.outcome().await.result.is_ok());
    client.finish().await;
}
