//! The HTTP API (DESIGN section 6): thin handlers over snapshots and commands, one resource per file.
//!
//! Everything answers in JSON, errors as `{success: false, error, field?}`; only the preview is media.

mod body;
mod error;
mod health;
mod launch;
mod pipeline;
mod pipelines;
mod preview;
mod registry;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use self::error::ApiError;
pub use self::launch::Launcher;
pub use self::registry::{Launch, Registry, StartError, Started, Stream};
use crate::clock::Clock;
use crate::config::StreamOptions;
use crate::media::Moment;

/// Largest request body: eight addresses of 4 KiB and the other settings fit twice.
const MAX_BODY: usize = 64 << 10;

/// What the handlers work on.
pub struct Control {
    pub registry: Registry,
    /// What a start request does not say.
    defaults: StreamOptions,
    clock: Clock,
    started: Moment,
}

impl Control {
    pub fn new(launch: Box<dyn Launch>, defaults: StreamOptions, clock: Clock) -> Arc<Self> {
        Arc::new(Self { registry: Registry::new(launch), defaults, clock, started: clock.now() })
    }
}

/// The whole API, for the server and for tests.
pub fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/api/pipeline/start", post(pipeline::start))
        .route("/api/pipeline/stop", post(pipeline::stop))
        .route("/api/pipeline/status", get(pipeline::status))
        .route("/api/pipelines", get(pipelines::list))
        .route("/api/pipelines/{id}", get(pipelines::one).delete(pipelines::delete))
        .route("/api/health", get(health::health))
        .route("/api/ready", get(health::ready))
        .route("/preview/{id}/{file}", get(preview::file))
        .fallback(async || ApiError::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(control)
}
