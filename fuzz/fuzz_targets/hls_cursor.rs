//! Any sequence of playlists, with numbers of their own or without, failures and waits: each segment of a numbering comes
//! once and in order, and what is kept and waited for stays bounded.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use overdub::hls::cursor::{Cursor, Next, Place, Start};
use overdub::hls::playlist::{Kind, LeftOut, Media, Numbering, SegmentRef};
use overdub::media::Moment;
use overdub_fuzz::Control;

/// As many as a playlist of an hour has; the parser's own cap is another target's business.
const MOST_SEGMENTS: u8 = 40;
const BACKOFF: Duration = Duration::from_secs(1);

fuzz_target!(|data: &[u8]| {
    let mut control = Control(data);
    let live = usize::from(control.byte());
    let mut cursor = Cursor::starting(start(&mut control, live), live);
    let (mut now, mut last, mut first) = (Moment::ZERO, None::<(u64, u64)>, control.any_u64() >> 1);
    let (mut numbering, mut previous) = (Numbering::default(), None::<Media>);
    while !control.is_empty() {
        match control.byte() {
            0..=29 => now = now + Duration::from_millis(control.u16().into()),
            30..=59 => cursor.handle_reload_failed(BACKOFF, now),
            60..=69 => {
                let place = Place {
                    media_sequence: (control.byte() & 1 == 0).then(|| control.any_u64()),
                    to_end: Duration::from_millis(control.u16().into()),
                    ..cursor.place(&[], Duration::ZERO, now)
                };
                cursor.switch(place, now);
                (numbering, previous) = (Numbering::default(), None);
                last = None;
            }
            step => {
                // Most playlists go on from the one before; some are older, some of another numbering.
                first = match step {
                    70..=79 => control.any_u64() >> 1,
                    80..=99 => first.saturating_sub(u64::from(control.byte() & 15)),
                    _ => first.saturating_add(u64::from(control.byte() & 7)),
                };
                let media = numbering.handle(previous.as_ref(), playlist(first, &mut control));
                let listed = media.segments.len();
                let update = cursor.handle_playlist(&media, now, now);
                assert!(update.listed <= listed, "{update:?} of {listed}");
                previous = Some(media);
                let due = cursor.reload_at().unwrap_or(now);
                assert!(due >= now, "a reload in the past");
                if control.byte() & 3 > 0 {
                    drain(&mut cursor, &mut last);
                }
            }
        }
    }
    drain(&mut cursor, &mut last);
    assert!(!cursor.has_next());
});

/// At the edge, at an offset, or beside another rendition.
fn start(control: &mut Control<'_>, live_start_segments: usize) -> Start {
    let (kind, seconds) = (control.byte(), control.u16());
    let place = Place {
        media_sequence: (kind & 4 == 0).then(|| control.any_u64()),
        to_end: Duration::from_millis(seconds.into()),
        from_start: Duration::from_secs(seconds.into()),
        ..Place::default()
    };
    match kind & 3 {
        0 => Start::Edge(live_start_segments),
        1 => Start::Offset { seconds: f64::from(seconds) - 32_768.0, live_start_segments },
        2 => Start::With(place),
        _ => Start::Beside(place, Moment::ZERO),
    }
}

/// Takes what there is; `last`: numbering and number of the last segment.
fn drain(cursor: &mut Cursor, last: &mut Option<(u64, u64)>) {
    while let Some(next) = cursor.take_next() {
        let Next::Segment(listed) = next else { continue };
        let place = (listed.epoch, listed.segment.sequence);
        assert!(last.is_none_or(|last| last < place), "{place:?} behind {last:?}");
        *last = Some(place);
    }
}

fn playlist(first: u64, control: &mut Control<'_>) -> Media {
    let (shape, kind) = (control.byte(), control.byte());
    let count = u64::from(control.byte() % MOST_SEGMENTS);
    let segments = (0..count)
        .map(|n| {
            let (flags, length) = (control.byte(), control.byte());
            let sequence = first.saturating_add(n);
            SegmentRef {
                sequence,
                // The same number may be another segment: servers do not agree.
                uri: format!("{}-{sequence}.ts", flags >> 6).into(),
                duration: Duration::from_millis(u64::from(length) * 50),
                discontinuity: flags & 1 != 0,
                discontinuity_sequence: u64::from(flags >> 1 & 3),
                gap: flags & 8 != 0,
                key: None,
                map: None,
                byte_range: None,
                program_date_time: (flags & 16 != 0)
                    .then(|| format!("2026-01-01T00:{:02}:{:02}Z", length % 60, sequence % 60).into()),
                cue: None,
            }
        })
        .collect();
    Media {
        target_duration: Duration::from_secs(u64::from(shape >> 4)),
        media_sequence: first,
        before: 0,
        numbered: shape & 8 == 0,
        kind: [None, None, Some(Kind::Event), Some(Kind::Vod)][usize::from(kind & 3)],
        ended: shape & 7 == 7,
        start: None,
        iframes_only: false,
        skip: None,
        date_ranges: Vec::new(),
        segments,
        left_out: LeftOut::default(),
    }
}
