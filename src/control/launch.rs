//! The registry's view of a pipeline.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Launch, Life, Stream};
use crate::config::StreamSettings;
use crate::pipeline::{self, Handle};
use crate::preview::Preview;
use crate::status::StreamStatus;

/// Starts real streams.
#[derive(Debug)]
pub struct Launcher(Arc<pipeline::Shared>);

impl Launcher {
    pub fn new(shared: pipeline::Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// What its streams share.
    pub fn shared(&self) -> &pipeline::Shared {
        &self.0
    }
}

impl Launch for Launcher {
    fn launch(&self, settings: StreamSettings) -> Arc<dyn Life> {
        Arc::new(pipeline::spawn(settings, &self.0))
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
    fn has_died(&self) -> bool {
        Self::has_died(self)
    }

    fn ended(&self) -> BoxFuture<'static, ()> {
        let handle = self.clone();
        async move {
            handle.finished().await;
        }
        .boxed()
    }
}
