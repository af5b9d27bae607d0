//! What a segment may cost, whatever is in it: counted, not timed. `examples/hostile.rs` shows the times.

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

#[path = "support/attacks.rs"]
mod attacks;

use bytes::Bytes;
use overdub_ts::{
    BYTES_PER_SAMPLE, Damage, DamageKind, Demuxer, Event, FREE_SAMPLES, MAX_SEGMENT_MEDIA, Sample, Stats,
    Ticks,
};
use support::{AUDIO, Mux, PMT, adts};

const SIZE: usize = 2 << 20;

/// The events of `input` as one segment, and the counters.
fn segment(demuxer: &mut Demuxer, input: &Bytes) -> Vec<Event> {
    demuxer.begin_segment(input.len() as u64);
    demuxer.push(input.clone());
    demuxer.end_segment();
    support::events(demuxer)
}

fn read(input: &Bytes) -> (Vec<Event>, Stats) {
    let mut demuxer = Demuxer::new();
    let events = segment(&mut demuxer, input);
    (events, demuxer.stats())
}

fn attack(name: &str) -> fn(usize) -> Bytes {
    attacks::ATTACKS.into_iter().find(|(known, _)| *known == name).expect("it is listed").1
}

fn samples(events: &[Event]) -> impl Iterator<Item = &Sample> {
    events.iter().filter_map(|event| match event {
        Event::Sample(sample) => Some(sample),
        _ => None,
    })
}

fn left_out(events: &[Event]) -> Option<(u64, u64, u64)> {
    events.iter().find_map(|event| match event {
        Event::Damage(Damage { kind: DamageKind::TooMuch { samples, bytes, sections }, .. }) => {
            Some((*samples, *bytes, *sections))
        }
        _ => None,
    })
}

#[test]
fn what_comes_of_a_segment_is_not_more_than_the_segment() {
    for (name, make) in attacks::ATTACKS {
        let input = make(SIZE);
        let (events, stats) = read(&input);
        let memory = events.len() * size_of::<Event>();
        let free = FREE_SAMPLES as usize * size_of::<Event>();
        assert!(memory <= input.len() + free, "{name}: {} events", events.len());
        assert!(stats.tables <= 1_024 + stats.packets / 64, "{name}: {} tables read", stats.tables);
        let media = samples(&events).fold(Ticks(0), |sum, sample| sum + sample.duration);
        assert!(media <= MAX_SEGMENT_MEDIA + Ticks(Ticks::PER_SECOND), "{name}: {media:?}");
    }
}

#[test]
fn what_is_left_out_is_told_and_ordinary_media_is_whole() {
    let (events, stats) = read(&attacks::ordinary(SIZE));
    assert_eq!((left_out(&events), stats.damages), (None, 0));
    assert_eq!(samples(&events).count() as u64, stats.samples);

    let told = |name: &str| left_out(&read(&attack(name)(SIZE)).0).unwrap_or_else(|| panic!("{name}"));
    for name in
        ["start codes", "NAL units of one byte", "pictures of some bytes", "ADTS frames of eight bytes"]
    {
        let (_, bytes, _) = told(name);
        assert!(bytes > SIZE as u64 / 8, "{name}: {bytes}");
    }
    assert!(told("maps that differ").2 > 5_000);
    assert!(told("splice information").2 > 10_000);
}

#[test]
fn a_table_that_comes_again_is_not_read_again() {
    let mut mux = Mux::default();
    for _ in 0..1_000 {
        mux.tables(&[(0x0F, AUDIO)]);
    }
    let (_, stats) = read(&mux.bytes.into());
    assert_eq!(stats.tables, 2);
}

#[test]
fn a_table_is_read_again_where_another_came_between() {
    let mut mux = Mux::default();
    let program = |mux: &mut Mux, pid: u16| {
        mux.section(0, 0, 1, &[0, 1, 0xE0 | (pid >> 8) as u8, pid as u8]);
        mux.section(pid, 2, 1, &[0xE1, 0x00, 0xF0, 0x00, 0x0F, 0xE1, 0x01, 0xF0, 0]);
    };
    for n in 0..12_u64 {
        program(&mut mux, if n % 2 == 0 { 0x500 } else { 0x600 });
        mux.pes(AUDIO, 0xC0, Some((n * 1_920, n * 1_920)), true, &adts(n as u8, 100));
    }
    let (events, _) = read(&mux.bytes.into());
    assert_eq!(samples(&events).count(), 12);
    let programs = events.iter().filter(|event| matches!(event, Event::Program(_))).count();
    assert_eq!(programs, 12, "each move is told");
}

#[test]
fn a_map_that_comes_back_is_read_again() {
    let mut mux = Mux::default();
    mux.section(0, 0, 1, &[0, 1, 0xE0 | (PMT >> 8) as u8, PMT as u8]);
    for n in 0..6_u8 {
        for _ in 0..3 {
            mux.section(PMT, 2, 1, &[0xE1, 0x00, 0xF0, 0x00, 0x0F, 0xE1, n % 2, 0xF0, 0]);
        }
    }
    let (events, stats) = read(&mux.bytes.into());
    let told = events.iter().filter(|event| matches!(event, Event::Program(_))).count();
    assert_eq!((told, stats.tables), (6, 7));
}

#[test]
fn the_next_segment_has_a_budget_of_its_own() {
    let mut demuxer = Demuxer::new();
    let hostile = attack("ADTS frames of eight bytes");
    let first = segment(&mut demuxer, &hostile(SIZE));
    assert!(left_out(&first).is_some());
    let mut mux = Mux::default();
    mux.tables(&[(0x0F, AUDIO)]);
    for n in 0..200_u64 {
        mux.pes(AUDIO, 0xC0, Some((n * 1_920, n * 1_920)), true, &adts(n as u8, 100));
    }
    let second = segment(&mut demuxer, &mux.bytes.into());
    let whole = samples(&second).filter(|sample| !sample.damaged).count();
    assert!(whole >= 199, "{whole}");
    assert_eq!(left_out(&second), None);
}

#[test]
fn input_that_is_no_segment_is_taken_as_it_comes() {
    let hostile = attack("ADTS frames of eight bytes");
    let mut demuxer = Demuxer::new();
    let mut count = 0;
    for part in hostile(SIZE).chunks(64 << 10) {
        demuxer.push(Bytes::copy_from_slice(part));
        count += samples(&support::events(&mut demuxer)).count();
    }
    assert!(count as u64 > 3 * (FREE_SAMPLES + SIZE as u64 / BYTES_PER_SAMPLE), "{count}");
}
