//! The publisher against real RTMP servers: our own strict one, and nginx with libnginx-mod-rtmp, which this
//! starts itself. Clips are made and streams are judged by FFmpeg. A tool that is missing is a failure.

#[path = "../support/authority.rs"]
mod authority;
mod clip;
mod faults;
mod manners;
mod nginx;
mod relay;
mod run;
#[path = "../support/scripted.rs"]
mod scripted;
mod sink;
mod srs;
#[path = "../support/tags.rs"]
mod tags;
mod tls;
mod tools;
