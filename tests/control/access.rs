//! Who is let in: the token, other origins, other names, and what takes too long.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use futures_util::stream;
use overdub::clock::Clock;
use overdub::config::{AccessSettings, Origins, Secret};
use overdub::control::{Access, Setup, router};
use serde_json::json;
use tower::ServiceExt;

use super::events::Client;
use super::fake::{Api, Launched, assert_error, set_up, settings};

const TOKEN: &str = "open+sesame/1234";

/// Everything that changes or reveals something.
const GUARDED: [(&str, &str); 14] = [
    ("POST", "/api/pipeline/start"),
    ("POST", "/api/pipeline/stop"),
    ("GET", "/api/pipeline/status"),
    ("GET", "/api/pipeline/defaults"),
    ("GET", "/api/pipelines"),
    ("GET", "/api/pipelines/a"),
    ("DELETE", "/api/pipelines/a"),
    ("GET", "/api/pipelines/a/settings"),
    ("POST", "/api/pipelines/a/restart"),
    ("GET", "/api/storage/stats"),
    ("POST", "/api/storage/clean"),
    ("GET", "/metrics"),
    ("GET", "/preview/a/index.m3u8"),
    ("GET", "/preview/a/segment-0.m4s"),
];

fn guarded(origins: Origins) -> Api {
    let settings = AccessSettings { token: Some(Secret::new(TOKEN)), origins, insecure: false };
    with(Access::new(settings, "0.0.0.0", false))
}

fn with(access: Access) -> Api {
    Api::set_up(Launched::default(), Setup { access, ..set_up() })
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn raw(api: &Api, request: Request<Body>) -> Response {
    router(api.control.clone()).oneshot(request).await.unwrap()
}

fn shown<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn with_a_token_nothing_is_changed_or_shown_without_it() {
    let api = guarded(Origins::default());
    for (method, path) in GUARDED {
        for headers in [
            &[][..],
            &[("authorization", "Bearer open+sesame/123")],
            &[("authorization", "Basic open+sesame/1234")],
            &[("authorization", "Bearer")],
            &[("x-token", TOKEN)],
        ] {
            let response = raw(&api, request(method, path, headers)).await;
            assert_eq!(response.status(), 401, "{method} {path} {headers:?}");
            assert_eq!(shown(&response, "www-authenticate"), Some("Bearer"));
        }
        let refused = api.send(request(method, path, &[])).await;
        assert_error(&refused, 401, None);
        let admitted = format!("Bearer {TOKEN}");
        let response = raw(&api, request(method, path, &[("authorization", &admitted)])).await;
        assert_ne!(response.status(), 401, "{method} {path}");
    }
    assert_eq!(api.launches(), 0);
}

#[tokio::test]
async fn health_and_the_page_need_no_token_and_tell_no_secret() {
    let api = guarded(Origins::default());
    let start = Request::post("/api/pipeline/start")
        .header("content-type", "application/json")
        .header("authorization", format!("bearer {TOKEN}"));
    let body = Body::from(settings("hush").to_string());
    assert_eq!(api.send(start.body(body).unwrap()).await.0, 200);
    for path in ["/api/health", "/api/ready"] {
        let (status, answer) = api.get(path).await;
        assert_eq!(status, 200, "{path}");
        assert!(!answer.to_string().contains("source/") && !answer.to_string().contains("hush"), "{answer}");
    }
    assert_ne!(api.get("/").await.0, 401);
}

#[tokio::test]
async fn the_query_is_for_players_only() {
    let api = guarded(Origins::default());
    let query = "?token=open%2Bsesame/1234";
    for (method, path) in GUARDED {
        let status = raw(&api, request(method, &format!("{path}{query}"), &[])).await.status();
        let player = path.starts_with("/preview/");
        assert_eq!(status == StatusCode::UNAUTHORIZED, !player, "{method} {path}");
    }
}

#[tokio::test]
async fn the_event_channel_takes_the_token_in_each_of_its_places() {
    let api = guarded(Origins::default());
    let address = api.listen().await;
    for (query, packet) in
        [("", format!("40{}", json!({"token": TOKEN}))), ("&token=open%2Bsesame/1234", "40".to_owned())]
    {
        let mut client = Client::open(address, query).await;
        let answer = client.connect(&packet).await;
        assert!(answer.starts_with("40"), "{answer}");
        client.event("logs").await;
    }
    let mut client = Client::open_with(address, "", &format!("Bearer {TOKEN}")).await;
    assert!(client.connect("40").await.starts_with("40"));
    for (query, packet) in [
        ("", "40"),
        ("", r#"40{"token":"open"}"#),
        ("", r#"40{"token":7}"#),
        ("", "40[]"),
        ("&token=open", "40"),
    ] {
        let mut client = Client::open(address, query).await;
        let answer = client.connect(packet).await;
        assert!(answer.starts_with("44") && answer.contains("OVERDUB_API_TOKEN"), "{packet}: {answer}");
    }
}

#[tokio::test]
async fn allowed_origins_may_read_and_others_may_not() {
    let api = guarded(Origins::These(vec!["https://desk.example".to_owned()]));
    let admitted = format!("Bearer {TOKEN}");
    for (origin, allowed) in [("https://desk.example", true), ("https://evil.example", false)] {
        let read =
            request("GET", "/api/pipelines", &[("origin", origin), ("authorization", admitted.as_str())]);
        let response = raw(&api, read).await;
        assert_eq!(response.status(), 200);
        assert_eq!(shown(&response, "access-control-allow-origin"), allowed.then_some(origin));
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, content-type"),
        ];
        let response = raw(&api, request("OPTIONS", "/api/pipeline/start", &preflight)).await;
        assert_eq!(response.status(), 200, "needs no token");
        assert_eq!(shown(&response, "access-control-allow-origin"), allowed.then_some(origin));
        if allowed {
            let names = shown(&response, "access-control-allow-headers").unwrap();
            assert!(names.contains("authorization") && names.contains("content-type"), "{names}");
            assert!(shown(&response, "access-control-allow-methods").unwrap().contains("DELETE"));
        }
    }
    let any = guarded(Origins::Any);
    let response = raw(&any, request("GET", "/api/health", &[("origin", "https://evil.example")])).await;
    assert_eq!(shown(&response, "access-control-allow-origin"), Some("*"));
    assert_eq!(shown(&response, "access-control-allow-credentials"), None, "there are no cookies");
}

#[tokio::test]
async fn a_foreign_page_starts_nothing_and_a_foreign_name_finds_nothing() {
    let api = with(Access::new(AccessSettings::default(), "127.0.0.1", true));
    let start = |host: &str, origin: Option<&str>| {
        let mut start = Request::post("/api/pipeline/start")
            .header("host", host)
            .header("content-type", "application/json");
        if let Some(origin) = origin {
            start = start.header("origin", origin);
        }
        start.body(Body::from(settings("a").to_string())).unwrap()
    };
    assert_error(&api.send(start("127.0.0.1:3000", Some("https://evil.example"))).await, 403, None);
    assert_error(&api.send(start("evil.example", None)).await, 403, None);
    assert_error(&api.send(request("GET", "/api/health", &[("host", "evil.example")])).await, 403, None);
    assert_eq!(api.launches(), 0);
    assert_eq!(api.send(start("localhost:3000", Some("http://localhost:3000"))).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_given_up_after_half_a_minute() {
    let api = Api::new();
    let clock = Clock::start();
    let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let start = Request::post("/api/pipeline/start").header("content-type", "application/json");
    assert_error(&api.send(start.body(never).unwrap()).await, 408, None);
    assert_eq!(clock.now().since_start().as_secs(), 30);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_before_it_is_read() {
    let api = Api::new();
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for path in ["/api/pipeline/start", "/api/pipeline/stop", "/api/storage/clean"] {
        let (chunk, counted) = (chunk.clone(), read.clone());
        read.store(0, std::sync::atomic::Ordering::Relaxed);
        let chunks = (0..160).map(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, Infallible>(chunk.clone())
        });
        let body = Body::from_stream(stream::iter(chunks));
        let post = Request::post(path).header("content-type", "application/json");
        assert_error(&api.send(post.body(body).unwrap()).await, 413, None);
        assert!(read.load(std::sync::atomic::Ordering::Relaxed) <= 2, "{path} read on");
    }
}

#[tokio::test]
async fn no_answer_is_guessed_at() {
    let api = Api::new();
    for path in ["/api/health", "/", "/api/pipelines/nobody"] {
        let response = raw(&api, request(Method::GET.as_str(), path, &[])).await;
        assert_eq!(shown(&response, "x-content-type-options"), Some("nosniff"), "{path}");
    }
}

/// The same rules hold below the path of a proxy, which is not a way around them.
#[tokio::test]
async fn below_a_path_everything_is_as_at_the_root() {
    let access = Access::new(AccessSettings::default(), "127.0.0.1", true);
    let setup = Setup { access, base_path: "/a/overdub".to_owned(), ..set_up() };
    let api = Api::set_up(Launched::default(), setup);
    let (host, own) = (("host", "localhost:3000"), ("origin", "http://localhost:3000"));
    let (strange, other) = (("origin", "https://evil.example"), ("host", "evil.example"));
    for (method, path, headers, status) in [
        ("GET", "/api/health", &[host][..], 200),
        ("GET", "/a/overdub/api/health", &[host], 200),
        ("GET", "/a/overdub/openapi.json", &[host], 200),
        ("GET", "/a/overdub/docs/style.css", &[host], 200),
        ("GET", "/a/overdub/socket.io/?EIO=4&transport=polling", &[host, own], 200),
        ("GET", "/a/overdub/socket.io/?EIO=4&transport=polling", &[host, strange], 403),
        ("POST", "/a/overdub/api/pipeline/stop", &[host, strange], 403),
        ("POST", "/a/overdub/api/pipeline/stop", &[host, own], 404),
        ("GET", "/a/overdub/api/health", &[other], 403),
        ("GET", "/a/overdubbed/api/health", &[host], 404),
        ("GET", "/overdub/api/health", &[host], 404),
        ("GET", "/a/overdub", &[host], 307),
    ] {
        let response = raw(&api, request(method, path, headers)).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path} {headers:?}");
        if status == 307 {
            assert_eq!(shown(&response, "location"), Some("/a/overdub/"));
        }
    }
    // A header of a client changes nothing: it would be a way past the paths that a proxy offers.
    let headers = [host, ("x-forwarded-prefix", "/b"), ("x-forwarded-prefix", "/b/")];
    assert_eq!(raw(&api, request("GET", "/b/api/health", &headers)).await.status().as_u16(), 404);
}
