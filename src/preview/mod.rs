//! The output as a live HLS window.

use bytes::Bytes;

/// What a player may fetch of one stream, shared between the stream and the server.
#[derive(Debug, Default)]
pub struct Preview {}

/// One file of the preview.
#[derive(Clone, Debug)]
pub struct File {
    pub content_type: &'static str,
    pub cache_control: &'static str,
    pub chunks: Vec<Bytes>,
}

impl Preview {
    pub fn file(&self, _name: &str) -> Option<File> {
        None
    }
}
