//! The reference audio processor: a Socket.IO server that answers every fragment unchanged after a delay,
//! or badly, when its [`Options`] or a `control` event say so.
//!
//! `server` is the Socket.IO side, `options` says what happens to which fragment, `alter` makes the answers that
//! sound different. Its log says what it did with each fragment.

pub mod alter;
mod options;
mod server;

pub use options::{Delay, Fault, InvalidOption, Options, Rule, When};
pub use server::Server;
