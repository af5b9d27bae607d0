//! docs/API.md: each of its curl commands is run against a service, and each answer is as it says.

use serde_json::Value;
use tokio::process::Command;

use super::service::Service;

const GUIDE: &str = include_str!("../../docs/API.md");
/// In place of the rest of an object.
const MORE: &str = "…";
/// In place of a text that differs from run to run.
const ANY: &str = "...";

/// A command of the guide and the answer that follows it.
struct Example {
    command: String,
    answer: Value,
}

fn examples() -> Vec<Example> {
    let mut blocks =
        GUIDE.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).peekable();
    let mut examples = Vec::new();
    while let Some((language, text)) = blocks.next() {
        if language != "sh" || !text.contains("curl ") {
            continue;
        }
        let (language, answer) = blocks.next().expect("an answer follows");
        assert_eq!(language, "json", "after {text}");
        let answer = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
        examples.push(Example { command: text.to_owned(), answer });
    }
    examples
}

/// `given` is as the guide says: the same names, types, texts and flags; numbers may differ.
fn assert_like(given: &Value, told: &Value, at: &str) {
    match (given, told) {
        (Value::Object(given), Value::Object(told)) => {
            for (name, told) in told.iter().filter(|(name, _)| *name != MORE) {
                let given = given.get(name).unwrap_or_else(|| panic!("{at}: no {name} in {given:?}"));
                assert_like(given, told, &format!("{at}.{name}"));
            }
            if !told.contains_key(MORE) {
                let untold: Vec<_> = given.keys().filter(|name| !told.contains_key(*name)).collect();
                assert!(untold.is_empty(), "{at}: the guide does not tell of {untold:?}");
            }
        }
        (Value::Array(given), Value::Array(told)) => {
            assert!(given.len() >= told.len() && (given.is_empty() || !told.is_empty()), "{at}: {given:?}");
            for (index, (given, told)) in given.iter().zip(told).enumerate() {
                assert_like(given, told, &format!("{at}[{index}]"));
            }
        }
        (Value::Number(_), Value::Number(_)) => {}
        (Value::String(_) | Value::Null, Value::String(any)) if any == ANY => {}
        (Value::String(_), Value::String(_)) if at.ends_with("Time") || at.ends_with("version") => {}
        _ => assert_eq!(given, told, "{at}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_guide_is_answered_as_it_says() {
    const TOKEN: &str = "a token for this test";
    let folder = tempfile::tempdir().unwrap();
    let token = TOKEN.replace(' ', "-");
    let open = Service::start(folder.path(), &[]).await;
    let closed_folder = tempfile::tempdir().unwrap();
    let closed = Service::start(closed_folder.path(), &[("OVERDUB_API_TOKEN", &token)]).await;
    let examples = examples();
    assert!(examples.len() >= 16, "only {} examples found", examples.len());
    for Example { command, answer } in examples {
        let guarded = command.contains("$OVERDUB_API_TOKEN");
        let service = if guarded { &closed } else { &open };
        // A port where nobody listens, instead of somebody's server.
        let command = command.replace("https://example.com", "http://127.0.0.1:9");
        let told = answer.to_string().replace("https://example.com", "http://127.0.0.1:9");
        let command = command.replace("http://127.0.0.1:3000", &service.url);
        let mut shell = Command::new("sh");
        shell.args(["-euc", &command]).env("OVERDUB_API_TOKEN", &token);
        let output = shell.output().await.expect("a shell and curl (Debian: apt-get install curl)");
        let said = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command}: {stderr}; curl is needed (Debian: apt-get install curl)"
        );
        let given: Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{command}: {error}: {said}"));
        assert_like(&given, &serde_json::from_str(&told).unwrap(), command.trim());
    }
}

#[test]
fn the_guide_tells_of_every_call() {
    for call in [
        "POST /api/pipeline/start",
        "POST /api/pipeline/stop",
        "GET /api/pipeline/status",
        "GET /api/pipeline/defaults",
        "GET /api/pipelines",
        "GET /api/pipelines/{id}",
        "DELETE /api/pipelines/{id}",
        "GET /api/pipelines/{id}/settings",
        "POST /api/pipelines/{id}/restart",
        "GET /api/storage/stats",
        "POST /api/storage/clean",
        "GET /preview/{id}/index.m3u8",
        "GET /api/health",
        "GET /metrics",
    ] {
        assert!(GUIDE.contains(&format!("\n## {call}\n")), "{call}");
    }
}
