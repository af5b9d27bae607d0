//! Delta updates (RFC 8216bis 6.2.5.1): what one leaves out is taken from the playlist read before it.

use super::model::Media;

/// `update` with what its `EXT-X-SKIP` leaves out, as `previous` listed it. What `previous` does not know
/// either stays out. An update that skips nothing comes back as it is.
pub fn merge(previous: Option<&Media>, mut update: Media) -> Media {
    let Some(skip) = update.skip else { return update };
    let first = update.listed_from();
    let oldest = first.saturating_sub(skip.segments);
    let Some(previous) = previous else { return update };
    let mut kept: Vec<_> =
        previous.segments.iter().filter(|known| (oldest..first).contains(&known.sequence)).cloned().collect();
    // Only a run that reaches to the first one listed can be put before it.
    let Some(last) = kept.last().filter(|last| last.sequence.checked_add(1) == Some(first)).cloned() else {
        return update;
    };
    let known_from = kept.first().map_or(first, |segment| segment.sequence);
    // The discontinuities among those skipped are counted before the first one listed.
    let counted = last.discontinuity_sequence;
    let base = update
        .segments
        .first()
        .map_or(0, |segment| segment.discontinuity_sequence.saturating_sub(u64::from(segment.discontinuity)));
    for (index, segment) in update.segments.iter_mut().enumerate() {
        let since = segment.discontinuity_sequence.saturating_sub(base);
        segment.discontinuity_sequence = counted.saturating_add(since);
        if index < skip.key_open {
            segment.key.clone_from(&last.key);
        }
        if index < skip.map_open {
            segment.map.clone_from(&last.map);
        }
    }
    update.skip = None;
    if update.before > 0 {
        // It lists more than is kept itself: what it skips is older than that.
        update.before = update.before.saturating_add(skip.segments);
        return update;
    }
    update.media_sequence = known_from;
    update.before = known_from.saturating_sub(oldest).min(previous.before);
    kept.append(&mut update.segments);
    update.segments = kept;
    update.limit();
    update
}

#[cfg(test)]
mod tests {
    use super::super::{Definitions, Playlist, parse};
    use super::*;

    fn media(text: &str) -> Media {
        match parse(text.as_bytes(), &Definitions::default()) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{other:?}"),
        }
    }

    const FULL: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
        #EXTINF:4,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nb\n#EXTINF:4,\nc\n";

    #[test]
    fn what_an_update_skips_is_taken_from_the_playlist_before() {
        let known = media(FULL);
        let update = media(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:11\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n\
             #EXT-X-SKIP:SKIPPED-SEGMENTS=2\n#EXTINF:4,\nd\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,\ne\n",
        );
        assert_eq!(update.media_sequence, 13, "alone it begins after what it skips");
        let merged = merge(Some(&known), update);
        assert_eq!((merged.media_sequence, merged.end(), merged.skip), (11, 15, None));
        let seen: Vec<_> = merged
            .segments
            .iter()
            .map(|s| (&*s.uri, s.discontinuity_sequence, s.key.is_some(), s.map.is_some()))
            .collect();
        assert_eq!(
            seen,
            [("b", 3, true, true), ("c", 3, true, true), ("d", 3, true, true), ("e", 3, false, true)]
        );
    }

    #[test]
    fn an_update_that_skips_more_than_is_known_stays_as_it_is() {
        let update = media(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:50\n\
             #EXT-X-SKIP:SKIPPED-SEGMENTS=5\n#EXTINF:4,\nd\n",
        );
        assert_eq!(merge(Some(&media(FULL)), update.clone()), update);
        assert_eq!(merge(None, update.clone()), update);
    }
}
