//! The clip that plays in holes of the source: read from its file once, when the stream starts.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::board::Board;
use crate::batch::{self, Batcher};
use crate::config::{OnGap, StreamSettings};
use crate::demux::{Demuxer, Input};
use crate::media::{Moment, Origin};
use crate::remux::{Filler, Slate, SlateError};

/// A minute at 8 Mbit/s. The clip stays in memory as long as its stream runs.
const MAX_BYTES: u64 = 64 << 20;

/// Why there is no clip. The text names no path: the API shows it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the slate cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("the slate is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error("the slate holds no media that can be read: {0}")]
    NoMedia(String),
    #[error("the slate {0}")]
    Slate(#[from] SlateError),
}

/// What plays in holes. A clip that cannot be read is no reason not to play the stream.
pub(super) async fn filler(settings: &StreamSettings, board: &Board) -> Filler {
    match (settings.on_gap, &settings.slate) {
        (OnGap::Skip, _) => Filler::Nothing,
        (OnGap::Slate, Some(path)) => {
            let path = path.clone();
            let loaded = tokio::task::spawn_blocking(move || load(&path)).await;
            match loaded {
                Ok(Ok(slate)) => return Filler::Slate(Box::new(slate)),
                Ok(Err(error)) => board.error(format!("{error}: the picture is held instead").into()),
                Err(error) => board.error(format!("slate: {error}").into()),
            }
            Filler::Still
        }
        (OnGap::Hold | OnGap::Slate, _) => Filler::Still,
    }
}

/// Reads the clip at `path`: an MP4 file or a transport stream. Blocks on the disk.
pub(super) fn load(path: &Path) -> Result<Slate, Error> {
    let mut data = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut data)?;
    if data.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge);
    }
    parse(data.into())
}

fn parse(data: Bytes) -> Result<Slate, Error> {
    let mut demuxer = Demuxer::new();
    // One batch, however long: the clip has no playout of its own.
    let settings = batch::Settings { buffer_duration: Duration::MAX / 4, processing_budget: Duration::ZERO };
    let mut batcher = Batcher::new(settings, 0);
    let origin = Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None };
    let mut pieces = demuxer.handle_segment(&Input::main(data, false), &origin);
    pieces.extend(demuxer.flush());
    // A clip that changes its clock or its configuration is played up to there.
    let closed: Vec<_> = pieces.into_iter().flat_map(|piece| batcher.handle_piece(piece)).collect();
    let batch = closed.into_iter().next().or_else(|| batcher.flush()).ok_or_else(|| {
        let damage = demuxer.damage();
        let refusal = damage.last_refusal.as_ref().map(ToString::to_string);
        Error::NoMedia(
            refusal
                .or_else(|| damage.last.as_ref().map(ToString::to_string))
                .unwrap_or_else(|| "no samples".to_owned()),
        )
    })?;
    Ok(Slate::new(batch)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::clip;

    #[test]
    fn a_transport_stream_is_a_slate_and_what_holds_no_media_says_so() {
        assert!(parse(clip::segment(0)).is_ok());
        let error = parse(Bytes::from_static(b"not media")).unwrap_err();
        assert!(error.to_string().starts_with("the slate holds no media"), "{error}");
        let error = load(Path::new("/no/such/file.ts")).unwrap_err();
        assert!(!error.to_string().contains("/no/such"), "{error}");
    }
}
