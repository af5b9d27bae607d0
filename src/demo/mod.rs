//! Everything that a bare machine needs to see it work: a live source, a processor, an RTMP server.
//!
//! All three listen on loopback, on ports that the system chooses, so that a demo disturbs nothing.

pub mod clip;
pub mod source;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::{echo, sink};

/// The surroundings of the demo's stream, running.
#[derive(Debug)]
pub struct Surroundings {
    source: SocketAddr,
    processor: SocketAddr,
    sink: SocketAddr,
    reports: sink::Reports,
    tasks: TaskTracker,
}

impl Surroundings {
    /// Starts them; they run until `stop`.
    pub async fn start(clock: Clock, stop: &CancellationToken) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await?;
        let echo = echo::Server::bind(any, echo::Options::default()).await?;
        let server = sink::Server::bind(any, sink::Settings::default(), clock).await?;
        let this = Self {
            source: listener.local_addr()?,
            processor: echo.local_addr()?,
            sink: server.local_addr()?,
            reports: server.reports(),
            tasks: TaskTracker::new(),
        };
        let origin = axum::serve(listener, source::router(clock))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        this.tasks.spawn(origin.into_future());
        this.tasks.spawn(echo.run(stop.clone()));
        this.tasks.spawn(server.run(stop.clone()));
        this.tasks.close();
        Ok(this)
    }

    pub fn source_url(&self) -> String {
        format!("http://{}/master.m3u8", self.source)
    }

    pub fn processor_url(&self) -> String {
        format!("http://{}", self.processor)
    }

    /// Where a stream of this name is published.
    pub fn rtmp_url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}", self.sink)
    }

    /// What the RTMP server found.
    pub fn reports(&self) -> &sink::Reports {
        &self.reports
    }

    /// Waits until all have ended.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}
