//! Captured segments read back from the disk.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::hls;
use crate::journal::SegmentMark;
use crate::media::Moment;
use crate::memory::Meter;
use crate::outside::ShownUrl;
use crate::storage::Layout;

/// A disk that takes longer for a file than this gives back nothing in time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the segments of one stream.
pub(super) struct Reader {
    layout: Layout,
    meter: Meter,
    init: Option<(u64, Bytes)>,
}

impl Reader {
    pub(super) fn new(layout: Layout, meter: Meter) -> Self {
        Self { layout, meter, init: None }
    }

    /// The segment as it was captured, arriving at `now`; `None` where it cannot be read, which is said.
    pub(super) async fn read(&mut self, mark: &SegmentMark, now: Moment) -> Option<hls::Segment> {
        let data = whole(self.layout.segment(mark.number, &mark.extension)).await?;
        if data.len() as u64 != mark.bytes {
            tracing::warn!(segment = mark.number, "the segment on the disk is not the one that was captured");
            return None;
        }
        let data = self.meter.wrap(data);
        let init = match mark.init {
            Some(number) => Some(self.init(number).await?),
            None => None,
        };
        Some(hls::Segment {
            number: mark.number,
            rendition: mark.rendition,
            media_sequence: mark.place.media_sequence,
            discontinuity: mark.discontinuity,
            discontinuity_sequence: mark.place.discontinuity_sequence,
            duration: Duration::from_millis(mark.duration),
            program_date_time: mark.place.date.clone(),
            url: ShownUrl::default(),
            extension: mark.extension.clone(),
            init,
            data,
            offset: 0,
            captured_at: now,
        })
    }

    async fn init(&mut self, number: u64) -> Option<Bytes> {
        if let Some((known, init)) = &self.init
            && *known == number
        {
            return Some(init.clone());
        }
        let init = whole(self.layout.init(number, "mp4")).await?;
        self.init = Some((number, init.clone()));
        Some(init)
    }
}

async fn whole(path: PathBuf) -> Option<Bytes> {
    match timeout(PATIENCE, tokio::fs::read(&path)).await {
        Ok(Ok(data)) => Some(data.into()),
        Ok(Err(error)) => {
            tracing::warn!(path = %path.display(), %error, "a captured segment cannot be read back");
            None
        }
        Err(_) => {
            tracing::warn!(path = %path.display(), "the disk does not give back a captured segment in time");
            None
        }
    }
}
