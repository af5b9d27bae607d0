//! The real streams behind the registry.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::registry::{Launch, Stream};
use crate::config::StreamSettings;
use crate::pipeline::{self, Handle, Shared};
use crate::preview::Preview;
use crate::status::StreamStatus;

/// Starts pipelines that share a clock and a disk.
#[derive(Debug)]
pub struct Launcher(pub Arc<Shared>);

impl Launch for Launcher {
    fn launch(&self, settings: StreamSettings) -> Arc<dyn Stream> {
        Arc::new(pipeline::spawn(settings, &self.0))
    }
}

impl Stream for Handle {
    fn settings(&self) -> &StreamSettings {
        self.settings()
    }

    fn status(&self) -> StreamStatus {
        self.status()
    }

    fn preview(&self) -> Arc<Preview> {
        Arc::clone(self.preview())
    }

    fn is_finished(&self) -> bool {
        !self.status().is_running
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        let stream = self.clone();
        async move { Handle::stop(&stream).await }.map(drop).boxed()
    }
}
