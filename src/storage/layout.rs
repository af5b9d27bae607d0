//! Where each file belongs. Pure.

use std::path::{Path, PathBuf};

use crate::media::StreamId;

/// The paths of one stream.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    stream_id: StreamId,
}

/// The files of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artifact {
    /// The video of the source.
    Video,
    /// The audio as it was sent to the processor.
    Audio,
    /// The processor's answer, as it came.
    ProcessedAudio,
    /// What was published.
    Output,
}

impl Artifact {
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Video => "video.fmp4",
            Self::Audio => "audio.fmp4",
            Self::ProcessedAudio => "processed_audio.fmp4",
            Self::Output => "output.fmp4",
        }
    }
}

impl Layout {
    pub fn new(root: impl Into<PathBuf>, stream_id: StreamId) -> Self {
        Self { root: root.into(), stream_id }
    }

    pub fn stream_id(&self) -> &StreamId {
        &self.stream_id
    }

    /// The folder of the captured segments.
    pub fn segments(&self) -> PathBuf {
        self.root.join("original_stream").join(self.stream_id.as_str())
    }

    /// The folder of the batches.
    pub fn batches(&self) -> PathBuf {
        self.root.join("processed_fragments").join(self.stream_id.as_str())
    }

    /// `extension` is the source's own; what does not look like one becomes `bin`.
    pub fn segment(&self, number: u64, extension: &str) -> PathBuf {
        self.segments().join(format!("segment-{number}.{}", harmless(extension)))
    }

    /// The init segment that belongs to the segments from `number` on.
    pub fn init(&self, number: u64, extension: &str) -> PathBuf {
        self.segments().join(format!("init-{number}.{}", harmless(extension)))
    }

    pub fn batch(&self, number: u64, artifact: Artifact) -> PathBuf {
        self.batch_folder(number).join(artifact.file_name())
    }

    /// The folder of one batch.
    pub fn batch_folder(&self, number: u64) -> PathBuf {
        self.batches().join(format!("batch-{number}"))
    }

    /// Where the numbers that were used last are kept, out of reach of whoever clears the other folders.
    pub fn numbers(&self) -> PathBuf {
        self.root.join("state").join(format!("{}.numbers", self.stream_id))
    }
}

/// The number in `prefix-{n}` or `prefix-{n}.ext`.
pub(super) fn number_in(name: &Path, prefix: &str) -> Option<u64> {
    let name = name.file_name()?.to_str()?.strip_prefix(prefix)?;
    name.split('.').next()?.parse().ok()
}

fn harmless(extension: &str) -> &str {
    /// No extension in use is longer than `mpegts`.
    const MAX_LEN: usize = 8;
    let fits = (1..=MAX_LEN).contains(&extension.len());
    if fits && extension.bytes().all(|b| b.is_ascii_alphanumeric()) { extension } else { "bin" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_documented_and_stay_inside_the_root() {
        let layout = Layout::new("/s", StreamId::new("a").unwrap());
        assert_eq!(layout.segment(7, "ts"), Path::new("/s/original_stream/a/segment-7.ts"));
        assert_eq!(layout.init(7, "mp4"), Path::new("/s/original_stream/a/init-7.mp4"));
        assert_eq!(layout.segment(7, "/../../x"), Path::new("/s/original_stream/a/segment-7.bin"));
        assert_eq!(layout.segment(7, ""), Path::new("/s/original_stream/a/segment-7.bin"));
        assert_eq!(
            layout.batch(3, Artifact::ProcessedAudio),
            Path::new("/s/processed_fragments/a/batch-3/processed_audio.fmp4")
        );
    }

    #[test]
    fn numbers_are_found_in_names() {
        assert_eq!(number_in(Path::new("/x/segment-12.ts"), "segment-"), Some(12));
        assert_eq!(number_in(Path::new("batch-0"), "batch-"), Some(0));
        for other in ["segment-.ts", "segment-x.ts", "batch-1", "segment--1.ts", ""] {
            assert_eq!(number_in(Path::new(other), "segment-"), None, "{other}");
        }
    }
}
