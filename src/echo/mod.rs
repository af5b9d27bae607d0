//! The reference audio processor: a Socket.IO server that answers every fragment unchanged after a delay,
//! or badly, when its [`Options`] say so.
//!
//! `server` is the Socket.IO side, `options` says what happens to which fragment. Its log says what it did
//! with each fragment.

mod options;
mod server;

pub use options::{Fault, Options, Rule};
pub use server::Server;
