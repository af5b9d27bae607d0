//! `hls::run` against origins on loopback.
//!
//! - [`runs`]: the course of a stream, with every failure that an origin can have.
//! - [`renditions`]: master playlists: sound apart, initialization sections, variants that fail.
//! - [`http`]: whom it asks and what it tells him; keys, caches, proxies.
//! - [`maps`]: initialization sections that change under their address.
//! - [`oddities`]: what real servers do that the RFC does not foresee.
//! - [`packed`]: packed audio of every codec, against FFmpeg.
//! - [`secure`]: TLS with an authority of its own, and HTTP/2.
//! - [`side_by_side`]: real media with real faults, FFmpeg beside it.

#[path = "../support/authority.rs"]
mod authority;
mod clips;
mod faults;
mod film;
mod http;
mod maps;
mod oddities;
mod origin;
mod packed;
mod renditions;
mod run;
mod runs;
mod sample_aes;
mod secure;
mod side_by_side;
