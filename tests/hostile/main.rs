//! Hostile peers and sources against the real binary, each beside an innocent stream that must go on: memory, CPU,
//! what that stream's viewers saw, and what was logged.
//!
//! The short forms run in `cargo test`, several attacks after one another on one service; `make attack` runs each
//! for longer against a release build and a service of its own, and prints a table. docs/testing.md has more.
//!
//! | module | contents |
//! |---|---|
//! | attack | what an attack is, what it is given, and whether it was withstood |
//! | scene, neighbour, measure, honest | the service under attack, the innocent stream, `/proc`, logs and statuses |
//! | websocket, origin, media | hostile peers, playlists and media are made of these |
//! | control, processor, rtmp, playlists, streams | the attacks, by where they come from |
//! | tests, cycles | the tests |

#![expect(unreachable_pub, reason = "a test binary: nothing is outside")]

mod attack;
mod control;
mod cycles;
mod honest;
mod measure;
mod media;
mod neighbour;
mod origin;
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
#[path = "../e2e/overdub.rs"]
mod overdub;
mod playlists;
mod processor;
mod rtmp;
mod scene;
#[expect(dead_code, reason = "the RTMP tests use the rest")]
#[path = "../support/scripted.rs"]
mod scripted;
mod streams;
mod tests;
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
#[path = "../e2e/tools.rs"]
mod tools;
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
#[path = "../e2e/web.rs"]
mod web;
mod websocket;
