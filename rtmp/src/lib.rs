//! RTMP publishing and receiving sessions: bytes in, bytes out, no I/O, no clock.
//!
//! | part | defined by |
//! |---|---|
//! | [`handshake`] | Adobe RTMP 1.0, section 5.2; the digest form is undocumented and comes from `rml_rtmp` |
//! | [`chunk`] | Adobe RTMP 1.0, section 5.3 |
//! | [`message`] | Adobe RTMP 1.0, sections 5.4, 6.2 and 7.1 |
//! | [`amf0`] | Adobe AMF0, December 2007 |
//! | [`flv`] | Adobe FLV 10.1, annex E.4; Enhanced RTMP v1 for HEVC, v2 for Opus, AC-3 and E-AC-3 |
//! | [`Client`], [`Server`] | Adobe RTMP 1.0, section 7.2; reconnect requests by Enhanced RTMP v2 |
//! | [`Challenge`] | undocumented; as in librtmp |
//!
//! A session has six verbs: `receive` bytes from the peer, borrow and consume `output` (a [`bytes::Buf`], so
//! that one call serves vectored writes), take the next `event`, ask for the `state`, and `send` media.
//! After each `receive`, drain the events and then write the output.
//!
//! Media payload is never copied on its way out: [`chunk::Output`] queues slices of the caller's `Bytes`
//! between small headers of its own. On its way in, a message is gathered once.

pub mod amf0;
pub mod chunk;
pub mod flv;
pub mod handshake;
pub mod message;

mod auth;
mod error;
mod session;
mod target;
mod time;

pub use auth::Challenge;
pub use error::Error;
pub use session::{
    AudioFields, Client, ClientEvent, ClientState, Connect, Metadata, Refusal, Server, ServerEvent,
    ServerState, Tag, VideoFields,
};
pub use target::{Credentials, InvalidTarget, Scheme, Target};
pub use time::{Timestamp, Unwrapper};
