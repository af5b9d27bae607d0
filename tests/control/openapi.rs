//! The description of the API: valid, complete, true of the checks behind it, and of a running service.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use overdub::control::router;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;
use tower::ServiceExt;

use super::fake::{Api, settings};
use super::install;
use super::service::Service;

/// All calls of the API.
const CALLS: [(&str, &str); 15] = [
    ("get", "/api/health"),
    ("get", "/api/ready"),
    ("get", "/api/pipeline/status"),
    ("get", "/api/pipeline/defaults"),
    ("post", "/api/pipeline/start"),
    ("post", "/api/pipeline/stop"),
    ("get", "/api/pipelines"),
    ("get", "/api/pipelines/{id}"),
    ("delete", "/api/pipelines/{id}"),
    ("get", "/api/pipelines/{id}/settings"),
    ("post", "/api/pipelines/{id}/restart"),
    ("get", "/api/storage/stats"),
    ("post", "/api/storage/clean"),
    ("get", "/preview/{id}/{file}"),
    ("get", "/metrics"),
];

async fn document() -> Value {
    let (status, document) = Api::new().get("/openapi.json").await;
    assert_eq!(status, 200);
    document
}

/// The tools that judge, in one environment.
async fn tool(name: &str) -> Command {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/requirements.txt");
    let bin = tokio::task::spawn_blocking(move || install::python("openapi", &requirements)).await;
    let mut command = Command::new(bin.expect("installed").join(name));
    command.kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_document_is_valid_openapi() {
    let document = document().await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let output = tool("openapi-spec-validator").await.arg(&file).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_call_is_described_and_what_is_described_is_there() {
    let document = document().await;
    let paths = document["paths"].as_object().unwrap();
    let mut described: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.as_str(), path.as_str()))
        })
        .collect();
    let mut expected = CALLS.to_vec();
    described.sort_unstable();
    expected.sort_unstable();
    assert_eq!(described, expected);
    for (method, path) in CALLS {
        let operation = &document["paths"][path][method];
        for key in ["operationId", "summary", "tags", "responses"] {
            assert!(operation.get(key).is_some(), "{method} {path} has no {key}");
        }
        let open = matches!(path, "/api/health" | "/api/ready");
        assert_eq!(operation.get("security").is_none(), open, "{method} {path}");
        assert_eq!(operation["responses"].get("401").is_none(), open, "{method} {path}");
    }
}

#[tokio::test]
async fn the_limits_that_the_document_names_are_those_that_are_checked() {
    let document = document().await;
    let schemas = &document["components"]["schemas"];
    let api = Api::new();
    let mut limits = 0;
    for (field, schema) in schemas["StreamOptions"]["properties"].as_object().unwrap() {
        for (key, beyond) in [("minimum", -1), ("maximum", 1)] {
            let Some(limit) = schema[key].as_i64() else { continue };
            for (value, fine) in [(limit, true), (limit + beyond, false)] {
                let mut body = settings(&format!("stream-{limits}"));
                body[field] = json!(value);
                let (status, answer) = api.post("/api/pipeline/start", body.to_string()).await;
                // The largest may need more memory than there is room for.
                let taken = status == 200 || answer["field"] != json!(field);
                assert_eq!(taken, fine, "{field}: {value}: {answer}");
                limits += 1;
            }
        }
    }
    assert!(limits >= 28, "only {limits} seen");
    assert_eq!(schemas["StreamOptions"]["additionalProperties"], false);
    assert_eq!(schemas["StreamOptions"]["required"], json!(["streamId", "sourceUrl"]));
    let longest = "x".repeat(64);
    let pattern = schemas["StreamId"]["pattern"].as_str().unwrap();
    assert!(pattern.ends_with("{0,63}$"), "{pattern} allows 64 characters, as {} has", longest.len());
    assert_eq!(api.start(&longest).await.0, 200);
}

#[tokio::test]
async fn the_page_shows_every_call_and_asks_for_nothing_from_elsewhere() {
    let api = Api::new();
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(api.control.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers().clone();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (headers, String::from_utf8(body.to_vec()).unwrap())
    };
    let (headers, html) = get("/docs").await;
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for (_, path) in CALLS {
        assert!(html.contains(path), "{path}");
    }
    let mut addresses = html.split(['"', '\'']).filter(|part| part.contains("//") && !part.contains(' '));
    assert_eq!(addresses.next(), None, "an address from elsewhere");
    assert!(!html.contains("<script") && !html.contains("<img"));
    let links = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for link in links {
        match link.strip_prefix('#') {
            Some(id) => assert!(html.contains(&format!("id=\"{id}\"")), "{link} leads nowhere"),
            // Relative to /docs, which a proxy may have put below a path.
            None => _ = get(&format!("/{link}")).await,
        }
    }
    let (headers, _) = get("/docs/style.css").await;
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/css"));
}

#[tokio::test]
async fn a_status_is_either_a_stream_or_none() {
    let schemas = &document().await["components"]["schemas"];
    // Otherwise each status of a stream were both, which `oneOf` forbids.
    assert_eq!(schemas["NoStream"]["additionalProperties"], false);
    assert_eq!(schemas["NoStream"]["required"], json!(["isRunning", "phase"]));
    assert_eq!(schemas["StatusAnswer"]["oneOf"].as_array().map(Vec::len), Some(2));
}

/// Invented requests per call; the long form has more.
const EXAMPLES: &str = "15";
const LONG_EXAMPLES: &str = "300";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_answers_invented_requests_as_the_document_says() {
    let long = std::env::var_os("OVERDUB_LONG").is_some();
    let folder = tempfile::tempdir().unwrap();
    // Few, so that "no room" is among the answers.
    let mut service = Service::start(folder.path(), &[("OVERDUB_MAX_STREAMS", "5")]).await;
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/hooks.py");
    let mut command = tool("schemathesis").await;
    command.current_dir(folder.path()).env("SCHEMATHESIS_HOOKS", hooks);
    command.args(["run", &format!("{}/openapi.json", service.url), "--checks", "all", "--no-color"]);
    command.args(["--max-examples", if long { LONG_EXAMPLES } else { EXAMPLES }]);
    if !long {
        // The same requests each time: what CI finds is found again.
        command.args(["--seed", "1"]);
    }
    command.args(["--request-timeout", "30"]);
    // No schema says which addresses and lengths make a stream: some that it allows are refused, with the reason.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    let limit = Duration::from_secs(if long { 1_800 } else { 300 });
    let output = timeout(limit, command.output()).await.expect("in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let log = std::fs::read_to_string(folder.path().join("serve.log")).unwrap();
    let tail: String = log.lines().rev().take(20).map(|line| format!("{line}\n")).collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{stderr}\nthe service's last lines, backwards:\n{tail}");
    assert!(service.is_running(), "{tail}");
    assert!(!log.contains("panicked"), "{log}");
    let inside: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for name in &inside {
        let expected = ["storage", "serve.log", ".hypothesis", "schemathesis-report", ".schemathesis"];
        assert!(
            expected.iter().any(|known| name == known),
            "{name:?} was written beside the storage: {inside:?}"
        );
    }
    println!(
        "{}",
        said.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    );
}
