//! The registry's view of a pipeline.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Launch, Life, Stream, admission};
use crate::config::{ServiceLimits, StreamSettings};
use crate::pipeline::{self, Death, Handle};
use crate::preview::Preview;
use crate::status::StreamStatus;

/// Starts real streams.
#[derive(Debug)]
pub struct Launcher {
    shared: Arc<pipeline::Shared>,
    limits: ServiceLimits,
}

impl Launcher {
    pub fn new(shared: pipeline::Shared, limits: ServiceLimits) -> Self {
        Self { shared: Arc::new(shared), limits }
    }

    /// What its streams share.
    pub fn shared(&self) -> &pipeline::Shared {
        &self.shared
    }
}

impl Launch for Launcher {
    fn launch(&self, settings: StreamSettings) -> Arc<dyn Life> {
        let memory = admission::share(&self.limits, &settings);
        Arc::new(pipeline::spawn(settings, Some(memory), &self.shared))
    }
}

impl Stream for Handle {
    fn settings(&self) -> &StreamSettings {
        Self::settings(self)
    }

    fn status(&self) -> StreamStatus {
        Self::status(self)
    }

    fn preview(&self) -> Arc<Preview> {
        Arc::clone(Self::preview(self))
    }

    fn discard(&self) {
        Self::discard(self);
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        let handle = self.clone();
        async move {
            Handle::stop(&handle).await;
        }
        .boxed()
    }
}

impl Life for Handle {
    fn death(&self) -> Option<Death> {
        Self::death(self)
    }

    fn ended(&self) -> BoxFuture<'static, ()> {
        let handle = self.clone();
        async move {
            handle.finished().await;
        }
        .boxed()
    }
}
