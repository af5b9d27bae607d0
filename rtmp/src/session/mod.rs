//! Both ends of a publishing session.

mod answer;
mod client;
mod link;
mod metadata;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;

pub use client::{Client, ClientEvent, ClientState, Connect};
pub use metadata::{AudioFields, Metadata, VideoFields};
pub use server::{Server, ServerEvent, ServerState};

use crate::flv::{AudioTag, VideoTag};

/// What a publisher sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Tag {
    Metadata(Metadata),
    Audio(AudioTag),
    Video(VideoTag),
}

/// A "no" in the words of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `NetStream.Publish.BadName`; empty when the server gave none.
    pub code: String,
    /// For people; the stream key is struck out of it.
    pub description: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.code, &*self.description) {
            ("", "") => f.write_str("no reason given"),
            ("", text) | (text, "") => f.write_str(text),
            (code, description) => write!(f, "{code}: {description}"),
        }
    }
}
