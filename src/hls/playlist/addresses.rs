//! Windows without numbers: segments are told apart by their addresses. Pure.
//!
//! RFC 8216 4.3.3.2 lets a playlist leave EXT-X-MEDIA-SEQUENCE out, and it counts from 0 then. Some servers leave it
//! out of windows that slide, or write the same number always. What two readings have in common tells how far the
//! window went: the longest run of segments at the end of the one that begins the other. Addresses may come again (a
//! ring of files), and a token in them may be new with every reading.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::model::{ByteRange, Media, SegmentRef};

/// Segments of a window that are compared, the newest: two windows that have only older ones in common are hours
/// apart, or are lists that only grow, whose first segment tells.
const MAX_COMPARED: usize = 4_096;

/// Numbers the segments of a playlist that does not do so itself.
#[derive(Debug, Default)]
pub struct Numbering {
    /// What the last reading said of its first segment.
    said: Option<u64>,
    /// The window moves under the same number.
    stands_still: bool,
    /// The newest segments known, by the numbers given here.
    newest: Option<(u64, Vec<SegmentRef>)>,
}

impl Numbering {
    /// `update` as it is, where its numbers are its own; else numbered so that what `previous` listed too has the
    /// numbers that it had there.
    pub fn handle(&mut self, previous: Option<&Media>, mut update: Media) -> Media {
        let said = self.said.replace(update.listed_from());
        if update.skip.is_some() {
            return update;
        }
        if update.numbered && !self.stands_still {
            let moved = |previous: &&Media| said == self.said && has_moved(previous, &update);
            let Some(previous) = previous.filter(moved) else { return update };
            self.stands_still = true;
            self.newest = Some((previous.media_sequence, previous.segments.clone()));
        }
        let Some((first, known)) = &self.newest else {
            self.keep(&update);
            return update;
        };
        if update.segments.is_empty() {
            // It shows nothing: what is known is still all there is.
            (update.media_sequence, update.segments) = (*first, known.clone());
            return update;
        }
        let end = first.saturating_add(known.len() as u64);
        match shift(known, &update.segments) {
            Some(shift) => {
                let begins = first.checked_add_signed(shift).unwrap_or_else(|| {
                    // From before all that was ever seen.
                    let older = usize::try_from(shift.unsigned_abs() - first).unwrap_or(usize::MAX);
                    update.segments.drain(..older.min(update.segments.len()));
                    0
                });
                number(&mut update, begins);
            }
            None => {
                // Nothing says what is between them.
                number(&mut update, end);
                update.segments[0].discontinuity = true;
            }
        }
        if update.end() >= end {
            self.keep(&update);
        }
        update
    }

    /// Segments are numbered here.
    pub fn is_in_use(&self) -> bool {
        self.newest.is_some()
    }

    /// The numbers of the playlist are found to be wrong.
    pub fn stands_still(&self) -> bool {
        self.stands_still
    }

    fn keep(&mut self, update: &Media) {
        if !update.segments.is_empty() {
            self.newest = Some((update.media_sequence, update.segments.clone()));
        }
    }
}

fn number(media: &mut Media, first: u64) {
    media.media_sequence = first;
    for (segment, sequence) in media.segments.iter_mut().zip(first..) {
        segment.sequence = sequence;
    }
}

/// Whether a window under the same number begins farther on. One that has nothing in common with the one before is
/// judged by others.
fn has_moved(previous: &Media, update: &Media) -> bool {
    // Of either not all may be kept.
    let from = previous.media_sequence.max(update.media_sequence);
    let (previous, update) = (previous.kept_from(from), update.kept_from(from));
    let begins_alike = match (previous.first(), update.first()) {
        (Some(before), Some(now)) => before.uri == now.uri && before.byte_range == now.byte_range,
        _ => true,
    };
    !begins_alike && shift(previous, update).is_some_and(|shift| shift > 0)
}

/// How many segments farther on than `known` the window `update` begins; less than 0, where its server is behind.
/// None where they have nothing in common.
fn shift(known: &[SegmentRef], update: &[SegmentRef]) -> Option<i64> {
    // The same window, or a list that has grown.
    if known.iter().zip(update).all(|(a, b)| is_same(a, b)) && known.len() <= update.len() {
        return Some(0);
    }
    let skipped = known.len().saturating_sub(MAX_COMPARED);
    let (known, update) = (&known[skipped..], &update[..update.len().min(MAX_COMPARED)]);
    let volatile = Volatile::between(known, update);
    let mut best: Option<(usize, i64)> = None;
    for level in LEVELS {
        let mut names = Names::default();
        let [known, update] = [known, update].map(|side| names.of(side, level, &volatile));
        let different = update.iter().collect::<HashSet<_>>().len();
        if level.must_differ && different < 2 {
            continue;
        }
        let Some((length, shift)) = overlap(&known, &update) else { continue };
        // The strictest comparison in which most of the windows agree; else that in which most agrees at all.
        if length * 2 >= known.len().min(update.len()) {
            best = Some((length, shift));
            break;
        }
        if best.is_none_or(|(longest, _)| length > longest) {
            best = Some((length, shift));
        }
    }
    best.map(|(_, shift)| shift + skipped as i64)
}

fn is_same(a: &SegmentRef, b: &SegmentRef) -> bool {
    a.uri == b.uri
        && a.byte_range == b.byte_range
        && a.duration == b.duration
        && a.program_date_time == b.program_date_time
}

/// What of two segments is compared.
#[derive(Clone, Copy)]
struct Level {
    address: Address,
    duration: bool,
    /// It leaves out so much that segments which are all alike say nothing.
    must_differ: bool,
}

#[derive(Clone, Copy)]
enum Address {
    Whole,
    /// Without what is a token: a value that all of a reading have, and none of the other.
    WithoutTokens,
    /// Without all values of which the two readings have none in common, as signatures of each segment.
    WithoutSignatures,
    /// The last component of the path, and the query without signatures.
    Name,
}

const LEVELS: [Level; 5] = [
    Level { address: Address::Whole, duration: true, must_differ: false },
    Level { address: Address::WithoutTokens, duration: true, must_differ: false },
    Level { address: Address::WithoutSignatures, duration: true, must_differ: true },
    Level { address: Address::Name, duration: true, must_differ: true },
    // Servers correct what they said of a segment's length.
    Level { address: Address::Name, duration: false, must_differ: true },
];

/// Names of query parameters whose values are not those of a segment.
#[derive(Default)]
struct Volatile<'a> {
    tokens: HashSet<&'a str>,
    signatures: HashSet<&'a str>,
}

impl<'a> Volatile<'a> {
    fn between(known: &'a [SegmentRef], update: &'a [SegmentRef]) -> Self {
        let values = |side: &'a [SegmentRef]| {
            let mut values: HashMap<&str, HashSet<&str>> = HashMap::new();
            for (name, value) in side.iter().flat_map(|segment| parameters(&segment.uri)) {
                values.entry(name).or_default().insert(value);
            }
            values
        };
        let (before, now) = (values(known), values(update));
        let mut volatile = Self::default();
        for (name, now) in now {
            if before.get(name).is_some_and(|before| before.is_disjoint(&now)) {
                volatile.signatures.insert(name);
                if now.len() == 1 {
                    volatile.tokens.insert(name);
                }
            }
        }
        volatile
    }

    fn address(&self, uri: &'a str, how: Address) -> Vec<&'a str> {
        let path = uri.split(['?', '#']).next().unwrap_or(uri);
        // Another host of the same service serves the same files.
        let local =
            path.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or(path, |(_, path)| path);
        let (path, left_out) = match how {
            Address::Whole => return vec![uri],
            Address::WithoutTokens => (local, &self.tokens),
            Address::WithoutSignatures => (local, &self.signatures),
            Address::Name => (local.rsplit('/').next().unwrap_or(local), &self.signatures),
        };
        let kept = parameters(uri).filter(|(name, _)| !left_out.contains(name));
        std::iter::once(path).chain(kept.flat_map(|(name, value)| [name, value])).collect()
    }
}

fn parameters(uri: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = uri.split('#').next().and_then(|uri| uri.split_once('?')).map_or("", |(_, query)| query);
    query.split('&').filter(|part| !part.is_empty()).map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// What is compared of a segment, as a number: equal where it is.
#[derive(Default)]
struct Names<'a>(HashMap<Name<'a>, usize>);

type Name<'a> = (Vec<&'a str>, Option<(u64, u64)>, Option<Duration>);

impl<'a> Names<'a> {
    fn of(&mut self, side: &'a [SegmentRef], level: Level, volatile: &Volatile<'a>) -> Vec<usize> {
        let name = |segment: &'a SegmentRef| {
            let range = segment.byte_range.map(|ByteRange { offset, length }| (offset, length));
            let address = volatile.address(&segment.uri, level.address);
            (address, range, level.duration.then_some(segment.duration))
        };
        let Self(known) = self;
        side.iter()
            .map(|segment| {
                let next = known.len();
                *known.entry(name(segment)).or_insert(next)
            })
            .collect()
    }
}

/// The longest run that ends one side and begins the other, or is all of one: its length, and at which index of
/// `known` `update` begins.
fn overlap(known: &[usize], update: &[usize]) -> Option<(usize, i64)> {
    let (forward, within_known) = search(update, known);
    let (backward, within_update) = search(known, update);
    let candidates = [
        (forward, known.len() as i64 - forward as i64),
        (within_known.map_or(0, |_| update.len()), within_known.unwrap_or(0) as i64),
        (backward, backward as i64 - update.len() as i64),
        (within_update.map_or(0, |_| known.len()), -(within_update.unwrap_or(0) as i64)),
    ];
    // Of equals the first: that the window went on is what is expected.
    candidates.into_iter().rev().max_by_key(|(length, _)| *length).filter(|(length, _)| *length > 0)
}

/// How much of the beginning of `pattern` ends `text`, and where all of it is found last (Knuth, Morris and Pratt:
/// in linear time, whatever the server lists).
fn search(pattern: &[usize], text: &[usize]) -> (usize, Option<usize>) {
    let mut borders = vec![0_usize; pattern.len()];
    let next = |borders: &[usize], mut length: usize, item: usize| {
        while length > 0 && pattern.get(length) != Some(&item) {
            length = borders[length - 1];
        }
        length + usize::from(pattern.get(length) == Some(&item))
    };
    for at in 1..pattern.len() {
        borders[at] = next(&borders, borders[at - 1], pattern[at]);
    }
    let (mut length, mut found) = (0, None);
    for (at, item) in text.iter().enumerate() {
        length = next(&borders, length, *item);
        if length == pattern.len() {
            found = Some(at + 1 - length);
        }
    }
    (length, found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Definitions, Playlist, parse};
    use super::*;

    fn list(head: &str, addresses: impl IntoIterator<Item = String>) -> Media {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{head}");
        for address in addresses {
            text += &format!("#EXTINF:6,\n{address}\n");
        }
        match parse(text.as_bytes(), &Definitions::default()) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{other:?}"),
        }
    }

    /// The numbers given to the windows that begin at each of `firsts`, when `address(reading, segment)` names them.
    fn numbers(
        head: &str,
        window: u64,
        firsts: &[u64],
        address: impl Fn(usize, u64) -> String,
    ) -> Vec<(u64, bool)> {
        let (mut numbering, mut last) = (Numbering::default(), None);
        let mut given = Vec::new();
        for (reading, first) in firsts.iter().enumerate() {
            let media = list(head, (*first..first + window).map(|n| address(reading, n)));
            let media = numbering.handle(last.as_ref(), media);
            for (segment, sequence) in media.segments.iter().zip(media.media_sequence..) {
                assert_eq!(segment.sequence, sequence);
            }
            given.push((
                media.media_sequence,
                media.segments.first().is_some_and(|first| first.discontinuity),
            ));
            last = Some(media);
        }
        given
    }

    #[test]
    fn a_window_goes_on_however_its_segments_are_called() {
        /// Of a reading and a segment in it, the address.
        type Naming = fn(usize, u64) -> String;
        let namings: [(&str, Naming); 9] = [
            ("names", |_, n| format!("s{n}.ts")),
            ("a ring", |_, n| format!("s{}.ts", n % 7)),
            ("a ring as long as the window", |_, n| format!("s{}.ts", n % 6)),
            ("a token of the reading", |reading, n| format!("s{n}.ts?t={reading}")),
            ("a token of the segment", |reading, n| format!("s{n}.ts?t={reading}-{n}")),
            ("an identifier in the query", |reading, n| format!("get?t={reading}&id={n}&v=1")),
            ("a folder of the reading", |reading, n| format!("/{reading}/x/s{n}.ts")),
            ("a host of the reading", |reading, n| format!("http://h{}/x/s{n}.ts", reading % 2)),
            ("byte ranges of one file", |_, n| format!("#EXT-X-BYTERANGE:{}@{}\nall.ts", 100 + n, 1_000 * n)),
        ];
        for (what, name) in namings {
            // On by one, not at all, by two, and a server that is behind by two.
            let given = numbers("", 6, &[10, 11, 11, 13, 11, 14], name);
            let expected = [0, 1, 1, 3, 1, 4].map(|first| (first, false));
            assert_eq!(given, expected, "{what}");
            let given = numbers("#EXT-X-MEDIA-SEQUENCE:7\n", 6, &[10, 11, 11, 13, 11, 14], name);
            assert_eq!(
                given,
                [7, 8, 8, 10, 8, 11].map(|first| (first, false)),
                "{what}, the number stands still"
            );
        }
    }

    #[test]
    fn a_window_that_has_nothing_in_common_goes_on_with_a_discontinuity() {
        let given = numbers("", 4, &[10, 30, 31], |_, n| format!("s{n}.ts"));
        assert_eq!(given, [(0, false), (4, true), (5, false)]);
        let given = numbers("", 4, &[10, 30, 31], |reading, n| format!("get?t={reading}&id={n}"));
        assert_eq!(given, [(0, false), (4, true), (5, false)]);
    }

    #[test]
    fn a_list_that_only_grows_and_one_that_shows_nothing_keep_their_numbers() {
        let name = |n: u64| format!("s{n}.ts");
        let mut numbering = Numbering::default();
        let first = numbering.handle(None, list("", (0..3).map(name)));
        let grown = numbering.handle(Some(&first), list("", (0..9).map(name)));
        assert_eq!((grown.media_sequence, grown.end()), (0, 9));
        let empty = numbering.handle(Some(&grown), list("", []));
        assert_eq!((empty.media_sequence, empty.end()), (0, 9));
        let next = numbering.handle(Some(&empty), list("", (4..10).map(name)));
        assert_eq!((next.media_sequence, next.end()), (4, 10));
        let older = numbering.handle(Some(&next), list("", (2..7).map(name)));
        assert_eq!((older.media_sequence, older.end()), (2, 7), "a server that is behind");
        let next = numbering.handle(Some(&older), list("", (8..11).map(name)));
        assert_eq!((next.media_sequence, next.end()), (8, 11), "against the newest that was seen");
    }

    #[test]
    fn what_is_older_than_all_that_was_seen_is_left_out() {
        let name = |n: u64| format!("s{n}.ts");
        let mut numbering = Numbering::default();
        let first = numbering.handle(None, list("", (5..10).map(name)));
        let older = numbering.handle(Some(&first), list("", (3..8).map(name)));
        assert_eq!((older.media_sequence, &*older.segments[0].uri, older.end()), (0, "s5.ts", 3));
    }

    #[test]
    fn numbers_that_are_right_are_left_as_they_are() {
        let mut numbering = Numbering::default();
        let mut last = None;
        for (sequence, names) in [(7, 0..4), (8, 1..5), (8, 1..6), (0, 20..22), (0, 20..23), (0, 40..44)] {
            let head = format!("#EXT-X-MEDIA-SEQUENCE:{sequence}\n");
            let media = list(&head, names.map(|n| format!("s{n}.ts")));
            let handled = numbering.handle(last.as_ref(), media.clone());
            assert_eq!(handled, media);
            last = Some(handled);
        }
    }

    proptest! {
        #[test]
        fn windows_are_numbered_as_they_move(
            steps in prop::collection::vec(0_u64..4, 1..20),
            ring in 12_u64..20,
            window in 5_u64..9,
        ) {
            let mut firsts = vec![0];
            for step in steps {
                firsts.push(firsts[firsts.len() - 1] + step);
            }
            let given = numbers("", window, &firsts, |reading, n| format!("s{}.ts?t={reading}", n % ring));
            let expected: Vec<_> = firsts.iter().map(|first| (*first, false)).collect();
            prop_assert_eq!(given, expected);
        }

        #[test]
        fn any_two_lists_are_compared(a in prop::collection::vec(0_u8..3, 0..40), b in prop::collection::vec(0_u8..3, 0..40)) {
            let mut numbering = Numbering::default();
            let name = |n: u8| format!("s?i={n}");
            let first = numbering.handle(None, list("", a.into_iter().map(name)));
            let next = numbering.handle(Some(&first), list("", b.into_iter().map(name)));
            prop_assert!(next.media_sequence <= first.end());
        }
    }
}
