//! The HTTP API, its events and its page.

mod access;
mod api;
mod events;
mod fake;
mod storage;
