//! Numbers that are never used twice, also across restarts.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::layout::{Layout, number_in};

/// The next free numbers of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub segment: u64,
    pub batch: u64,
}

impl Numbers {
    /// What the folders and the kept numbers leave free, whichever is higher: the folders may have been
    /// cleared, and the kept numbers may have been lost. What cannot be read counts as empty, for a stream
    /// must start without a disk too.
    pub fn next(layout: &Layout) -> Self {
        let kept = Self::kept(&layout.numbers()).unwrap_or_default();
        Self {
            segment: kept.segment.max(after_highest(&layout.segments(), "segment-")),
            batch: kept.batch.max(after_highest(&layout.batches(), "batch-")),
        }
    }

    /// Higher than any that was counted, for a stream that starts while its folders cannot be read: seconds since
    /// 1970, of which no stream captures more than one segment or closes more than one batch each.
    pub fn of_the_calendar(wall: SystemTime) -> Self {
        let seconds = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { segment: seconds, batch: seconds }
    }

    /// The text that [`Numbers::next`] reads back.
    pub(super) fn to_text(self) -> String {
        format!("segment {}\nbatch {}\n", self.segment, self.batch)
    }

    fn kept(path: &Path) -> Option<Self> {
        /// Two names and two numbers.
        const MAX_LEN: u64 = 128;
        if fs::metadata(path).ok()?.len() > MAX_LEN {
            return None;
        }
        let text = fs::read_to_string(path).ok()?;
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(Self { segment: value("segment ")?, batch: value("batch ")? })
    }
}

fn after_highest(folder: &Path, prefix: &str) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let highest =
        entries.flatten().filter_map(|entry| number_in(Path::new(&entry.file_name()), prefix)).max();
    highest.map_or(0, |number| number.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::StreamId;

    #[test]
    fn the_highest_number_counts_wherever_it_is_found() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path(), StreamId::new("a").unwrap());
        assert_eq!(Numbers::next(&layout), Numbers::default());

        fs::create_dir_all(layout.segments()).unwrap();
        fs::write(layout.segment(9, "ts"), "").unwrap();
        fs::write(layout.segment(10, "ts"), "").unwrap();
        fs::create_dir_all(layout.batches().join("batch-4")).unwrap();
        assert_eq!(Numbers::next(&layout), Numbers { segment: 11, batch: 5 });

        fs::create_dir_all(layout.numbers().parent().unwrap()).unwrap();
        fs::write(layout.numbers(), Numbers { segment: 3, batch: 8 }.to_text()).unwrap();
        assert_eq!(Numbers::next(&layout), Numbers { segment: 11, batch: 8 });

        fs::write(layout.numbers(), "segment x").unwrap();
        assert_eq!(Numbers::next(&layout), Numbers { segment: 11, batch: 5 });
    }
}
