//! Accepts publishers and keeps their reports.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use overdub_rtmp::flv::{FILE_HEADER, TagKind, write_tag};
use overdub_rtmp::{ServerEvent, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::check::{Checker, Limits};
use super::report::Report;
use crate::clock::Clock;

/// Publishers at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 256;

/// Publications whose reports are kept; the oldest go first.
const MAX_REPORTS: usize = 1000;

/// A connection that says nothing for this long is closed, unless the settings say otherwise: nginx-rtmp waits as
/// long.
const IDLE: Duration = Duration::from_secs(60);

/// Read at once.
const READ: usize = 64 * 1024;

/// What the server says to publishers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes every stream; of each name one at a time, like nginx-rtmp.
    #[default]
    Accept,
    /// `NetConnection.Connect.Rejected`.
    RefuseConnect,
    /// `NetStream.Publish.BadName`.
    RefusePublish,
    /// Closes the connection when `publish` comes, as SRS does with a busy stream.
    CloseOnPublish,
}

/// How the server receives.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub behaviour: Behaviour,
    /// A connection that says nothing, or takes nothing, for this long is closed.
    pub idle: Duration,
    /// Bytes of each publication that are kept as an FLV file in memory; 0 keeps none.
    pub record: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), behaviour: Behaviour::default(), idle: IDLE, record: 0 }
    }
}

/// A listening sink.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    settings: Settings,
    clock: Clock,
    reports: Reports,
}

/// The reports of a server, oldest first; copies see the same.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    publications: Arc<Mutex<VecDeque<Arc<Mutex<Publication>>>>>,
}

/// One publication, alive or over.
#[derive(Debug)]
struct Publication {
    checker: Checker,
    recording: Vec<u8>,
}

impl Server {
    /// Listens at `address`; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, settings: Settings, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, settings, clock, reports: Reports::default() })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What was received so far and will be.
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// Serves until `stop` is cancelled; then all connections are closed.
    pub async fn run(self, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                permit = Arc::clone(&room).acquire_owned() => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        accepted = self.listener.accept() => accepted.map(|(stream, _)| (stream, permit)),
                    }
                }
            };
            match accepted {
                Ok((stream, permit)) => {
                    let connection = Connection::new(&self);
                    let stop = stop.clone();
                    connections.spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = connection.run(stream) => {}
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others are closed meanwhile.
                    tracing::warn!(%error, "rtmp sink cannot accept");
                    self.clock.sleep(Duration::from_millis(100)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

impl Reports {
    /// All reports, oldest first.
    pub fn all(&self) -> Vec<Report> {
        lock(&self.publications).iter().map(|one| lock(one).checker.report().clone()).collect()
    }

    /// The newest report of a stream.
    pub fn latest(&self, key: &str) -> Option<Report> {
        self.all().into_iter().rfind(|report| report.key == key)
    }

    /// The recording of each publication of a stream, oldest first, as FLV files.
    pub fn recordings(&self, key: &str) -> Vec<Vec<u8>> {
        let publications = lock(&self.publications);
        let of_key = publications.iter().map(lock_arc).filter(|one| one.checker.report().key == key);
        of_key.map(|one| one.recording.clone()).collect()
    }

    fn is_live(&self, app: &str, key: &str) -> bool {
        let live = |report: &Report| !report.closed && report.app == app && report.key == key;
        lock(&self.publications).iter().any(|one| live(lock(one).checker.report()))
    }

    fn begin(&self, publication: Publication) -> Arc<Mutex<Publication>> {
        let publication = Arc::new(Mutex::new(publication));
        let mut publications = lock(&self.publications);
        if publications.len() >= MAX_REPORTS {
            publications.pop_front();
        }
        publications.push_back(Arc::clone(&publication));
        publication
    }
}

/// Nothing is left half done under these locks, so a panic elsewhere does not spoil what they guard.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_arc<T>(mutex: &Arc<Mutex<T>>) -> MutexGuard<'_, T> {
    lock(mutex)
}

/// One publisher.
struct Connection {
    session: overdub_rtmp::Server,
    settings: Settings,
    clock: Clock,
    reports: Reports,
    app: String,
    publication: Option<Arc<Mutex<Publication>>>,
    /// The session is over: write what waits, then close.
    ending: bool,
}

impl Connection {
    fn new(server: &Server) -> Self {
        Self {
            session: overdub_rtmp::Server::new(),
            settings: server.settings,
            clock: server.clock,
            reports: server.reports(),
            app: String::new(),
            publication: None,
            ending: false,
        }
    }

    async fn run(mut self, stream: TcpStream) {
        if let Err(error) = self.serve(stream).await {
            tracing::debug!(%error, "rtmp sink lost a publisher");
        }
    }

    async fn serve(&mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BytesMut::with_capacity(READ);
        while !self.ending {
            input.reserve(READ);
            let read = tokio::select! {
                read = stream.read_buf(&mut input) => read?,
                () = self.clock.sleep(self.settings.idle) => return Err(io::ErrorKind::TimedOut.into()),
            };
            if read == 0 {
                break;
            }
            let result = self.session.receive(&input);
            input.clear();
            while let Some(event) = self.session.event() {
                self.handle(event);
            }
            if let Err(error) = result {
                if let Some(publication) = &self.publication {
                    lock(publication).checker.protocol(&error);
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            while self.session.output().has_remaining() {
                tokio::select! {
                    written = stream.write_buf(self.session.output()) => if written? == 0 { return Ok(()) },
                    () = self.clock.sleep(self.settings.idle) => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
        }
        stream.shutdown().await
    }

    fn handle(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connect { app, .. } => {
                self.app = app;
                match self.settings.behaviour {
                    Behaviour::RefuseConnect => self.refuse("NetConnection.Connect.Rejected", "not allowed"),
                    _ => self.session.accept(),
                }
            }
            ServerEvent::Publish { key } => match self.settings.behaviour {
                Behaviour::RefusePublish => self.refuse("NetStream.Publish.BadName", "not allowed"),
                Behaviour::CloseOnPublish => self.ending = true,
                _ if self.reports.is_live(&self.app, &key) => {
                    self.refuse("NetStream.Publish.BadName", "already publishing");
                }
                _ => {
                    let checker = Checker::new(self.settings.limits, self.app.clone(), key);
                    let recording = Vec::new();
                    self.publication = Some(self.reports.begin(Publication { checker, recording }));
                    self.session.accept();
                }
            },
            ServerEvent::Metadata(_) => self.with(|publication| publication.checker.metadata()),
            ServerEvent::Audio { at, body } => {
                let (now, limit) = (self.clock.now(), self.settings.record);
                self.with(|publication| {
                    publication.checker.audio(now, at, &body);
                    publication.record(TagKind::Audio, at, &body, limit);
                });
            }
            ServerEvent::Video { at, body } => {
                let (now, limit) = (self.clock.now(), self.settings.record);
                self.with(|publication| {
                    publication.checker.video(now, at, &body);
                    publication.record(TagKind::Video, at, &body, limit);
                });
            }
            ServerEvent::End => self.with(|publication| publication.checker.ended()),
            ServerEvent::Ignored(name) => tracing::debug!(name, "rtmp sink ignored a message"),
        }
    }

    fn refuse(&mut self, code: &str, description: &str) {
        self.session.refuse(code, description);
        self.ending = true;
    }

    fn with(&self, change: impl FnOnce(&mut Publication)) {
        if let Some(publication) = &self.publication {
            change(&mut lock(publication));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.with(|publication| publication.checker.closed());
    }
}

impl Publication {
    fn record(&mut self, kind: TagKind, at: Timestamp, body: &Bytes, limit: usize) {
        if self.recording.len() + body.len() > limit {
            return;
        }
        if self.recording.is_empty() {
            self.recording.extend(FILE_HEADER);
        }
        write_tag(kind, at, body, &mut self.recording);
    }
}
