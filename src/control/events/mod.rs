//! The event channel: Socket.IO at `/socket.io/`, namespace `/`.
//!
//! To the client: `logs` (the newest lines, at once, after connecting and after each change of the filter), `log`
//! (a line), `missed` (how many lines it was too slow for), `status` (a stream's status, each second in which it
//! changed), `removed` (a stream that is forgotten). From the client: `filter`, acknowledged with `{success}`.
//!
//! A client that reads slowly is sent fewer of them, each as it is then: [`sessions::CLIENT_BYTES`] wait for it at most.
//!
//! Pure parts: `lines` (the ring and its filters), `statuses`, `sessions` (what waits for whom), `opens`. Shells: `capture` (from
//! `tracing`), `client`, `requests`.

mod capture;
mod client;
mod lines;
mod opens;
mod requests;
mod sessions;
mod statuses;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::DisconnectReason;
use socketioxide::{ParserConfig, SocketIo};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::capture::Capture;
use self::lines::Filter;
pub use self::lines::{Level, Line, Lines, Stage};
pub(super) use self::requests::observe;
use self::sessions::Session;
use super::Control;
use super::access::given_token;
use super::connections::Connection;
use crate::outside::Text;

/// Clients at once; each is a task and a queue.
pub(super) const MAX_CLIENTS: usize = 256;
/// Messages that wait for one client at most. What is more waits in the log's ring, for all clients once.
const CLIENT_QUEUE: usize = 64;
/// Largest message from a client, in bytes: a filter, many times over.
pub(super) const MAX_MESSAGE: usize = 16 << 10;
/// What is read from a WebSocket at once: a filter. All packets in it are handled before anything else is asked about
/// the client.
const READ_BUFFER: usize = 512;
/// How long a connection may be open without joining.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What all clients share.
#[derive(Debug, Default)]
pub(super) struct Events {
    statuses: statuses::Statuses,
    sessions: sessions::Sessions,
    clients: AtomicUsize,
}

/// Why a client is not let in, as it is told.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Refused {
    #[error(
        "this needs the service's token (OVERDUB_API_TOKEN) as auth: {{token}}, as a Bearer header or as ?token="
    )]
    Unauthorized,
    #[error("too many event clients")]
    Full,
}

/// What was set up for a client before it joined.
#[derive(Clone, Debug)]
struct Admitted {
    filter: watch::Receiver<Filter>,
    gone: CancellationToken,
}

/// The payload of the connect packet.
#[derive(Deserialize)]
struct Auth {
    token: String,
}

/// One of the places for clients, free again when dropped.
struct Place(Arc<Control>);

impl Place {
    fn take(control: &Arc<Control>) -> Result<Self, Refused> {
        let count = &control.events.clients;
        let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < MAX_CLIENTS).then_some(count + 1)
        });
        taken.map(|_| Self(Arc::clone(control))).map_err(|_| Refused::Full)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.events.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session that has joined, until this is dropped.
struct Joined {
    control: Arc<Control>,
    id: String,
    session: Arc<Session>,
}

impl Joined {
    fn new(socket: &SocketRef, control: &Arc<Control>) -> Self {
        let connection = socket.req_parts().extensions.get::<Connection>();
        let web_socket = connection.filter(|connection| connection.is_web_socket()).cloned();
        if let Some(connection) = &web_socket {
            connection.joined();
        }
        let id = socket.id.to_string();
        let session = control.events.sessions.joined(id.clone(), web_socket);
        Self { control: Arc::clone(control), id, session }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.control.events.sessions.left(&self.id);
    }
}

/// The channel as a layer around the API.
pub(super) fn layer(control: &Arc<Control>) -> SocketIoLayer {
    // Nobody has a reason to send binaries.
    let parser = ParserConfig::common().max_incoming_binary_buf_size(0).max_incoming_binaries(0);
    let (layer, io) = SocketIo::builder()
        .with_parser(parser)
        .max_buffer_size(CLIENT_QUEUE)
        .max_payload(MAX_MESSAGE as u64)
        .ws_max_message_size(MAX_MESSAGE)
        .ws_max_frame_size(MAX_MESSAGE)
        .ws_read_buffer_size(READ_BUFFER)
        .connect_timeout(JOIN_TIMEOUT)
        .build_layer();
    let joining = Arc::clone(control);
    // Before the client is told that it is connected: here it can be told why it is not, and what it says right behind
    // that would otherwise find nobody listening. The place is taken when it has joined.
    let admit = async move |socket: SocketRef, TryData(auth): TryData<Auth>| -> Result<(), Refused> {
        let request = socket.req_parts();
        let given = auth.ok().map(|auth| auth.token).or_else(|| given_token(&request.headers, &request.uri));
        if !joining.setup.access.admits(given.as_deref()) {
            if let Some(connection) = request.extensions.get::<Connection>() {
                connection.refuse();
            }
            return Err(Refused::Unauthorized);
        }
        Place::take(&joining)?;
        let (filters, filter) = watch::channel(Filter::default());
        let gone = CancellationToken::new();
        let left = gone.clone();
        let connections = Arc::clone(&joining.connections);
        socket.on_disconnect(async move |reason: DisconnectReason| {
            if reason == DisconnectReason::HeartbeatTimeout {
                connections.missed_heartbeat();
            }
            left.cancel();
        });
        socket.on("filter", async move |TryData(given): TryData<Filter>, ack: AckSender| {
            // A client that does not take the answer is not waited for.
            let _ = ack.send(&set_filter(&filters, given));
        });
        socket.extensions.insert(Admitted { filter, gone });
        Ok(())
    };
    let control = Arc::clone(control);
    let joined = async move |socket: SocketRef| {
        let admitted = socket.extensions.remove::<Admitted>();
        let (Some(Admitted { filter, gone }), Ok(_place)) = (admitted, Place::take(&control)) else {
            // Others were faster.
            let _ = socket.disconnect();
            return;
        };
        let joined = Joined::new(&socket, &control);
        client::run(socket, Arc::clone(&control), Arc::clone(&joined.session), filter, gone).await;
    };
    io.ns("/", joined.with(admit));
    layer
}

fn set_filter<E: std::fmt::Display>(filters: &watch::Sender<Filter>, given: Result<Filter, E>) -> Value {
    match given {
        Ok(filter) => {
            filters.send_replace(filter);
            json!({ "success": true })
        }
        Err(error) => json!({ "success": false, "error": Text::of(&error) }),
    }
}
