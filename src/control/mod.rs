//! The HTTP API (DESIGN section 6): thin handlers over snapshots and commands, one resource per file.
//!
//! Everything answers in JSON, errors as `{success: false, error, field?}`; only the preview is media, and the page
//! is the page.

mod access;
mod admission;
mod base_path;
mod body;
mod connections;
mod docs;
mod document;
mod error;
mod events;
mod health;
mod kept;
mod launch;
mod limits;
mod metrics;
mod pipeline;
mod pipelines;
mod preview;
mod registry;
mod server;
mod storage;
mod supervise;
mod ui;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::access::Access;
use self::connections::Connections;
use self::error::ApiError;
use self::events::Events;
pub use self::events::{Capture, Level, Line, Lines, Stage};
use self::kept::Kept;
pub use self::launch::Launcher;
pub use self::registry::{Launch, Life, Registry, StartError, Started, Stream};
pub use self::server::serve;
pub use self::ui::{File, Page};
use crate::clock::Clock;
use crate::config::{ServiceLimits, StreamOptions};
use crate::journal::Journals;
use crate::media::Moment;
use crate::storage::Disk;

/// Largest request body: eight addresses of 4 KiB and the other settings fit twice.
const MAX_BODY: usize = 64 << 10;

/// What the handlers work on.
pub struct Control {
    pub registry: Registry,
    setup: Setup,
    clock: Clock,
    started: Moment,
    events: Events,
    connections: Arc<Connections>,
    closing: CancellationToken,
    /// `/metrics` and `/api/pipelines`.
    metrics: Kept,
    pipelines: Kept,
}

/// How the API is to behave.
#[derive(Clone)]
pub struct Setup {
    /// What a start request does not say.
    pub stream_defaults: StreamOptions,
    /// What all streams write to.
    pub disk: Disk,
    pub page: Page,
    /// What the event channel shows of the log.
    pub logs: Lines,
    pub access: Access,
    pub limits: ServiceLimits,
    /// For monitoring.
    pub journals: Option<Journals>,
    /// Below which path everything is found too; empty, or without a slash at its end.
    pub base_path: String,
}

impl Setup {
    /// Everything else as it is by default.
    pub fn new(disk: Disk) -> Self {
        Self {
            stream_defaults: StreamOptions::default(),
            disk,
            page: Page::default(),
            logs: Lines::default(),
            access: Access::default(),
            limits: ServiceLimits::default(),
            journals: None,
            base_path: String::new(),
        }
    }
}

impl Control {
    pub fn new(launch: Box<dyn Launch>, setup: Setup, clock: Clock) -> Arc<Self> {
        let registry = Registry::new(launch, setup.limits, clock);
        let (events, closing) = (Events::default(), CancellationToken::new());
        let connections = Connections::new(setup.access.is_guarded());
        let started = clock.now();
        let (metrics, pipelines) = (Kept::new(started), Kept::new(started));
        Arc::new(Self { registry, setup, clock, started, events, connections, metrics, pipelines, closing })
    }

    /// Says goodbye to the clients of the event channel: the server is about to end.
    pub fn close(&self) {
        self.closing.cancel();
    }
}

/// The whole API, for the server and for tests.
pub fn router(control: Arc<Control>) -> Router {
    let state = || Arc::clone(&control);
    // What changes or reveals something.
    let mut api = OpenApiRouter::new()
        .routes(routes!(pipeline::start))
        .routes(routes!(pipeline::stop))
        .routes(routes!(pipeline::status))
        .routes(routes!(pipeline::defaults))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::one, pipelines::delete))
        .routes(routes!(pipelines::settings))
        .routes(routes!(pipelines::restart))
        .routes(routes!(storage::stats))
        .routes(routes!(storage::clean))
        .routes(routes!(metrics::metrics))
        .route_layer(from_fn_with_state(state(), access::authorize));
    document::guard(api.get_openapi_mut());
    let mut media = OpenApiRouter::new()
        .routes(routes!(preview::file))
        .route_layer(from_fn_with_state(state(), access::authorize_player));
    document::guard_player(media.get_openapi_mut());
    let mut all = OpenApiRouter::with_openapi(document::frame())
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .merge(api)
        .layer(from_fn(limits::in_time));
    document::limit(all.get_openapi_mut());
    let (router, mut document) = all.merge(media).split_for_parts();
    document::complete(&mut document);
    let base_path = control.setup.base_path.clone();
    let router = router
        .merge(description(&document))
        .fallback(page)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(events::layer(&control))
        .layer(from_fn_with_state(state(), events::observe))
        .layer(from_fn_with_state(state(), access::guard))
        .layer(control.setup.access.cors())
        .layer(from_fn(limits::nosniff))
        .layer(from_fn(limits::last_answer))
        .layer(CatchPanicLayer::custom(limits::panicked))
        .with_state(control);
    base_path::below(&base_path, router)
}

/// What the API is, for programs and for people. Tells nothing of the streams, so it needs no token.
fn description(document: &utoipa::openapi::OpenApi) -> Router<Arc<Control>> {
    let document = serde_json::to_value(document).unwrap_or_default();
    // Made once: answers share it, however many wait for whoever reads slowly.
    let html = Bytes::from(docs::html(&document));
    let document = Bytes::from(document.to_string());
    let json = [(header::CONTENT_TYPE, "application/json")];
    Router::new()
        .route("/openapi.json", get(async move || (json, document)))
        .route("/docs", get(async move || docs::page(html)))
        .route("/docs/style.css", get(docs::style))
}

async fn page(State(control): State<Arc<Control>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    control.setup.page.answer(&method, &uri, &headers)
}
