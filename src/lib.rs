//! Overdub: a live HLS stream in, an external audio processor in the middle, RTMP out.
//!
//! The modules in the order of the data (ARCHITECTURE.md has the picture):
//!
//! - [`media`]: the words everything else speaks: exact time, parameters, samples, batches. Pure.
//! - [`clock`]: the one place that reads the clock.
//! - [`hls`]: a live playlist to captured segments.
//! - [`demux`]: segment bytes to samples on exact time.
//! - [`batch`]: when a batch opens and closes.
//! - [`roundtrip`]: the audio of a batch to the processor and back, in time or not at all.
//! - [`remux`]: untouched video and processed audio onto one output timeline.
//! - [`playout`]: which moment an output time belongs to. Pure.
//! - [`publish`]: the paced RTMP publisher.
//! - [`srs`]: what SRS itself says about an output.
//! - [`preview`]: the same output as a live HLS window.
//! - [`storage`]: what is written beside the path.
//! - [`journal`]: what a stream needs to go on after its process is gone.
//! - [`pipeline`]: one stream: spawns the stages and wires them. The only module that knows the order.
//! - [`control`]: the HTTP API over snapshots and commands.
//! - [`config`]: typed settings with their defaults and reasons.
//! - [`status`]: what a stream tells about itself.
//! - [`demo`]: everything that a bare machine needs to see it work.
//! - [`echo`]: the reference processor: answers every fragment unchanged, or badly when told to.
//! - [`sink`]: an RTMP server that checks what it is sent, for the demo and the tests.
//! - [`policy`]: which hosts a source may lead to. Pure.
//! - [`histogram`]: durations counted in buckets. Pure.
//! - [`metrics`]: snapshots as Prometheus text. Pure but for the process's own numbers.
//! - [`outside`]: strings that others wrote, as they may be shown. Pure.
//! - [`heavy`]: work whose length the input decides, where it delays nobody else.
//! - [`memory`]: what each stream holds, measured.
//! - [`redact`]: URLs as they may appear in logs.
//! - [`logs`]: log lines: one event, one line, whatever is in it.
//! - [`net`]: connections to hosts by name, whichever of their addresses answers.
//! - [`tls`]: whom a connection over TLS trusts.
//! - [`cli`]: one file per command.

pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod demux;
pub mod echo;
pub mod heavy;
pub mod histogram;
pub mod hls;
pub mod journal;
pub mod logs;
pub mod media;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod outside;
pub mod pipeline;
pub mod playout;
pub mod policy;
pub mod preview;
pub mod publish;
pub mod redact;
pub mod remux;
pub mod roundtrip;
pub mod sink;
pub mod srs;
pub mod status;
pub mod storage;
pub mod tls;

/// What Overdub calls itself in every HTTP request; firewalls refuse clients that do not say.
pub const USER_AGENT: &str = concat!("overdub/", env!("CARGO_PKG_VERSION"));
