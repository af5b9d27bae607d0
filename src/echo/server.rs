//! The Socket.IO server of the echo processor. Shell.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::{ParserConfig, SocketIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, error_span, info, warn};

use super::alter;
use super::options::Control;
use super::{Fault, Options};
use crate::media::StreamId;

/// Largest message, as large as the largest that the service sends. It has to be said three times: for
/// the WebSocket, for the attachments of an event, and for polling, whose limit is what the handshake
/// announces as `maxPayload`.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// How long the first answer of a reordered pair waits for the second.
const REORDER_WAIT: Duration = Duration::from_secs(5);

/// The echo processor, bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    options: Options,
}

impl Server {
    /// Binds to `address`; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, options: Options) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, options })
    }

    /// The address that it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then closes all connections.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let parser = ParserConfig::common().max_incoming_binary_buf_size(MAX_MESSAGE_BYTES);
        let (layer, io) = SocketIo::builder()
            .with_parser(parser)
            .max_payload(MAX_MESSAGE_BYTES as u64)
            .ws_max_message_size(MAX_MESSAGE_BYTES)
            .ws_max_frame_size(MAX_MESSAGE_BYTES)
            .build_layer();
        let echo = Arc::new(Echo {
            options: Mutex::new(Arc::new(self.options)),
            count: AtomicU64::new(0),
            held: Mutex::new(None),
        });
        // Set before the client is told that it is connected: a fragment that comes right behind that would otherwise
        // find nobody listening, since socketioxide calls the namespace's handler only afterwards.
        let listen = async move |socket: SocketRef| -> Result<(), Infallible> {
            socket.on_disconnect(async |socket: SocketRef| info!(socket = %socket.id, "disconnected"));
            let controlled = Arc::clone(&echo);
            socket.on("control", async move |control: TryData<Control>, ack: AckSender| {
                let reply = controlled.control(control.0.map_err(|error| error.to_string()));
                if let Err(error) = ack.send(&reply) {
                    warn!(%error, "control event not acknowledged");
                }
            });
            socket.on(
                "fragment:data",
                async move |socket: SocketRef, data: TryData<FragmentData>| match data.0 {
                    Ok(data) => {
                        let stream = data.stream();
                        echo.handle(&socket, data).instrument(stream).await;
                    }
                    Err(error) => warn!(%error, "fragment:data is not what the protocol says"),
                },
            );
            Ok(())
        };
        let joined = async |socket: SocketRef| info!(socket = %socket.id, "connected");
        io.ns("/", joined.with(listen));
        // Answers end with a short segment that should not wait for an acknowledgement.
        let listener = self.listener.tap_io(|tcp| {
            if let Err(error) = tcp.set_nodelay(true) {
                warn!(%error, "TCP_NODELAY");
            }
        });
        let served = axum::serve(listener, Router::new().layer(layer));
        let ended = tokio::select! {
            ended = async { served.await } => ended,
            () = stop.cancelled() => Ok(()),
        };
        io.close().await;
        ended
    }
}

#[derive(Deserialize)]
struct FragmentData {
    fragment: Value,
    data: Bytes,
}

impl FragmentData {
    /// The span of the stream that it is of.
    fn stream(&self) -> Span {
        let id = self.fragment.get("streamId").and_then(Value::as_str).and_then(|id| StreamId::new(id).ok());
        id.map_or_else(Span::none, |id| error_span!("stream", %id))
    }
}

#[derive(Serialize)]
struct FragmentProcessed {
    fragment: Value,
    data: Bytes,
    metadata: Value,
}

struct Echo {
    options: Mutex<Arc<Options>>,
    /// Fragments so far, over all connections.
    count: AtomicU64,
    /// Releases the first answer of a reordered pair.
    held: Mutex<Option<oneshot::Sender<()>>>,
}

impl Echo {
    async fn handle(&self, socket: &SocketRef, FragmentData { fragment, data }: FragmentData) {
        let nth = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let id = fragment.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let options = Arc::clone(&lock(&self.options));
        let rule = options.rule(nth, rand::random());
        let (told, fault) = (rule.map(tracing::field::display), rule.map(|rule| &rule.fault));
        let mut delay = options.delay.at(rand::random());
        if let Some(Fault::Late(by)) = fault {
            delay += *by;
        }
        let delay_ms = delay.as_millis() as u64;
        info!(id, nth, bytes = data.len(), delay_ms, fault = told, "fragment received");
        emit(socket, "fragment:ack", &json!({"fragment": {"id": id}, "status": "queued"}));
        let release = if options.reorder { self.take_turn().await } else { None };
        tokio::time::sleep(delay).await;

        let answer = match fault {
            Some(Fault::Drop) => {
                info!(id, "fragment dropped");
                return;
            }
            Some(Fault::Disconnect) => {
                info!(id, "connection closed instead of an answer");
                // An error says that it is closed already.
                let _ = socket.clone().disconnect();
                return;
            }
            Some(Fault::Fail { code }) => return fail(socket, &id, code, "told to fail"),
            Some(fault) => alter::answer(fault, data),
            None => Ok(data),
        };
        let data = match answer {
            Ok(data) => data,
            Err(error) => return fail(socket, &id, "INVALID_FORMAT", &error.to_string()),
        };
        let metadata = json!({"processingTime": delay.as_secs_f64(), "processor": "overdub echo"});
        let answer = FragmentProcessed { fragment, data, metadata };
        let answers = if matches!(fault, Some(Fault::Duplicate)) { 2 } else { 1 };
        for _ in 0..answers {
            emit(socket, "fragment:processed", &answer);
        }
        info!(id, bytes = answer.data.len(), answers, fault = told, "answered");
        if let Some(release) = release {
            // An error says that the other one did not wait that long.
            let _ = release.send(());
        }
    }

    /// A `control` event: `{delay?, faults?, reorder?}`, each as the flag says it. What holds from now on is the
    /// acknowledgement.
    fn control(&self, control: Result<Control, String>) -> Value {
        let mut options = lock(&self.options);
        let changed =
            control.and_then(|control| options.controlled(control).map_err(|error| error.to_string()));
        match changed {
            Ok(changed) => *options = Arc::new(changed),
            Err(error) => {
                warn!(error, "control event refused");
                return json!({"success": false, "error": error});
            }
        }
        let delay = options.delay.to_string();
        let faults: Vec<String> = options.rules.iter().map(ToString::to_string).collect();
        info!(delay, ?faults, reorder = options.reorder, "controlled");
        json!({"success": true, "delay": delay, "faults": faults, "reorder": options.reorder})
    }

    /// The first of a pair waits here until the second is answered; the second is given what releases the
    /// first.
    async fn take_turn(&self) -> Option<oneshot::Sender<()>> {
        let (release, released) = oneshot::channel();
        {
            let mut held = lock(&self.held);
            match held.take() {
                Some(first) if !first.is_closed() => return Some(first),
                _ => *held = Some(release),
            }
        }
        // Out of patience, or the second is gone: answer anyway.
        let _ = tokio::time::timeout(REORDER_WAIT, released).await;
        None
    }
}

fn fail(socket: &SocketRef, id: &str, code: &str, message: &str) {
    let error = json!({"fragment": {"id": id}, "error": message, "code": code});
    emit(socket, "fragment:error", &error);
    info!(id, code, message, "error reported");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only plain assignments happen under these locks: a poisoned one is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn emit<T: Serialize>(socket: &SocketRef, event: &str, argument: &T) {
    if let Err(error) = socket.emit(event, argument) {
        warn!(event, %error, "not sent");
    }
}
