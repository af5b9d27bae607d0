//! What SRS itself says about an output, by its HTTP API: whether it has the stream and who publishes it, how
//! many watch, whether its HLS is there. Publishing works the same without.
//!
//! - `api`: the API's answers and HLS playlists, read. Pure.
//! - `watch`: what they mean for an output, and when a publisher that was left behind is cut off. Pure.
//! - `client`: bounded HTTP requests.
//! - `monitor`: asks again and again beside the publisher.

mod api;
mod client;
mod monitor;
#[cfg(test)]
mod tests;
mod watch;

pub use monitor::{Settings, run};
pub use watch::{Ghost, Hls, Status, Stream};
