//! The HTTP API (DESIGN section 6): thin handlers over snapshots and commands, one resource per file.
//!
//! Everything answers in JSON, errors as `{success: false, error, field?}`; only the preview is media, and the page
//! is the page.

mod access;
mod admission;
mod body;
mod error;
mod events;
mod health;
mod launch;
mod limits;
mod metrics;
mod pipeline;
mod pipelines;
mod preview;
mod registry;
mod storage;
mod supervise;
mod ui;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::access::Access;
use self::error::ApiError;
use self::events::Events;
pub use self::events::{Capture, Level, Line, Lines, Stage};
pub use self::launch::Launcher;
pub use self::registry::{Launch, Life, Registry, StartError, Started, Stream};
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
    closing: CancellationToken,
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
        }
    }
}

impl Control {
    pub fn new(launch: Box<dyn Launch>, setup: Setup, clock: Clock) -> Arc<Self> {
        let registry = Registry::new(launch, setup.limits, clock);
        let (events, closing) = (Events::default(), CancellationToken::new());
        Arc::new(Self { registry, setup, clock, started: clock.now(), events, closing })
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
    let api = Router::new()
        .route("/api/pipeline/start", post(pipeline::start))
        .route("/api/pipeline/stop", post(pipeline::stop))
        .route("/api/pipeline/status", get(pipeline::status))
        .route("/api/pipelines", get(pipelines::list))
        .route("/api/pipelines/{id}", get(pipelines::one).delete(pipelines::delete))
        .route("/api/pipelines/{id}/settings", get(pipelines::settings))
        .route("/api/pipelines/{id}/restart", post(pipelines::restart))
        .route("/api/storage/stats", get(storage::stats))
        .route("/api/storage/clean", post(storage::clean))
        .route("/metrics", get(metrics::metrics))
        .route_layer(from_fn_with_state(state(), access::authorize));
    let media = Router::new()
        .route("/preview/{id}/{file}", get(preview::file))
        .route_layer(from_fn_with_state(state(), access::authorize_player));
    Router::new()
        .route("/api/health", get(health::health))
        .route("/api/ready", get(health::ready))
        .merge(api)
        .layer(from_fn(limits::in_time))
        .merge(media)
        .fallback(page)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(events::layer(&control))
        .layer(from_fn_with_state(state(), access::guard))
        .layer(control.setup.access.cors())
        .layer(from_fn(limits::nosniff))
        .layer(CatchPanicLayer::custom(limits::panicked))
        .with_state(control)
}

async fn page(State(control): State<Arc<Control>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    control.setup.page.answer(&method, &uri, &headers)
}
