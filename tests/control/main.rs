//! The HTTP API, its events and its page.

mod access;
mod api;
mod events;
mod fake;
mod guide;
#[path = "../support/install.rs"]
mod install;
mod memory;
mod openapi;
mod peers;
mod service;
mod storage;
