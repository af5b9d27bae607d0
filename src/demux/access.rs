//! Where decoding of the pictures can begin when the stream has no pictures made for it. Pure.
//!
//! Broadcast encoders send I pictures with parameter sets in front and neither IDR pictures nor recovery points.
//! Batches, gaps and outputs need random access, so such I pictures are taken for it: at once where a clock begins
//! with a segment that has nothing better, and anywhere once nothing better came for [`WAIT`].

use overdub_ts::Intra;

use crate::media::Flicks;

/// Longer than the groups of pictures of nearly every stream (2 to 10 s): what has not come by then does not come.
const WAIT: Flicks = Flicks::from_millis(10_000);

/// At which pictures decoding begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RandomAccess {
    /// None came yet.
    #[default]
    Awaited,
    /// IDR pictures, other IRAP pictures of HEVC, or recovery points.
    Regular,
    /// I pictures, for want of these.
    Intra,
    /// There is nothing at which it can begin.
    Missing,
}

/// A picture in decoding order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) dts: Flicks,
    /// A clock begins with it.
    pub(super) restart: bool,
    pub(super) random_access: bool,
    pub(super) intra: Intra,
}

/// Watches the pictures of one source.
#[derive(Debug, Default)]
pub(super) struct Access {
    state: RandomAccess,
    /// When a regular one came last, or else the first picture of this clock.
    since: Option<Flicks>,
}

impl Access {
    pub(super) fn state(&self) -> RandomAccess {
        self.state
    }

    /// What comes has nothing to do with what was before.
    pub(super) fn forget(&mut self) {
        self.since = None;
        if self.state == RandomAccess::Regular {
            self.state = RandomAccess::Awaited;
        }
    }

    /// Makes those pictures of a segment random access points at which decoding has to begin.
    pub(super) fn mark(&mut self, pictures: &mut [Candidate]) {
        for clock in pictures.chunk_by_mut(|_, next| !next.restart) {
            if clock.first().is_some_and(|first| first.restart) {
                self.forget();
            }
            let regular = clock.iter().any(|picture| picture.random_access);
            clock.iter_mut().for_each(|picture| self.decide(picture, regular));
        }
    }

    /// `regular`: there is a regular one in this segment.
    fn decide(&mut self, picture: &mut Candidate, regular: bool) {
        if picture.random_access {
            (self.since, self.state) = (Some(picture.dts), RandomAccess::Regular);
            return;
        }
        let since = *self.since.get_or_insert(picture.dts);
        let waited = picture.dts - since >= WAIT;
        let opens = match picture.intra {
            Intra::No => false,
            Intra::Slices => waited,
            Intra::WithSets => match self.state {
                RandomAccess::Regular => waited,
                RandomAccess::Awaited => waited || !regular,
                RandomAccess::Intra | RandomAccess::Missing => true,
            },
        };
        if opens {
            (picture.random_access, self.state) = (true, RandomAccess::Intra);
        } else if waited && self.state == RandomAccess::Awaited {
            self.state = RandomAccess::Missing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of 25/s, `each(n)` being an IDR picture (`Some`) or not.
    fn pictures(range: std::ops::Range<i64>, each: impl Fn(i64) -> (bool, Intra)) -> Vec<Candidate> {
        let one = |n: i64| {
            let (random_access, intra) = each(n);
            Candidate { dts: Flicks::from_millis(40 * n), restart: false, random_access, intra }
        };
        range.map(one).collect()
    }

    fn marked(access: &mut Access, mut pictures: Vec<Candidate>) -> Vec<usize> {
        access.mark(&mut pictures);
        pictures.iter().enumerate().filter(|(_, picture)| picture.random_access).map(|(n, _)| n).collect()
    }

    #[test]
    fn i_pictures_with_parameter_sets_stand_in_from_the_first_segment_on() {
        let mut access = Access::default();
        let each = |n: i64| (false, if n % 25 == 3 { Intra::WithSets } else { Intra::No });
        assert_eq!(marked(&mut access, pictures(0..50, each)), [3, 28]);
        assert_eq!(access.state(), RandomAccess::Intra);
        assert_eq!(marked(&mut access, pictures(50..100, each)), [3, 28]);
    }

    #[test]
    fn i_pictures_beside_idr_pictures_are_left_alone() {
        let mut access = Access::default();
        // A scene cut at each 30th picture, an IDR picture each four seconds.
        let each = |n: i64| (n % 100 == 60, if n % 30 == 10 { Intra::WithSets } else { Intra::No });
        assert_eq!(marked(&mut access, pictures(0..100, each)), [60]);
        assert_eq!(marked(&mut access, pictures(100..200, each)), [60]);
        assert_eq!(access.state(), RandomAccess::Regular);
    }

    #[test]
    fn bare_i_pictures_stand_in_after_ten_seconds_and_nothing_at_all_is_told() {
        for (intra, expected, state) in
            [(Intra::Slices, vec![250, 275], RandomAccess::Intra), (Intra::No, vec![], RandomAccess::Missing)]
        {
            let mut access = Access::default();
            let each = |n: i64| (false, if n % 25 == 0 { intra } else { Intra::No });
            assert_eq!(marked(&mut access, pictures(0..250, each)), Vec::<usize>::new());
            assert_eq!(access.state(), RandomAccess::Awaited);
            let found = marked(&mut access, pictures(250..300, each));
            assert_eq!(found.iter().map(|n| n + 250).collect::<Vec<_>>(), expected);
            assert_eq!(access.state(), state);
        }
    }

    #[test]
    fn a_stream_that_begins_with_its_only_idr_picture_can_be_joined_later() {
        let mut access = Access::default();
        let each = |n: i64| (n == 0, if n % 50 == 0 { Intra::WithSets } else { Intra::No });
        assert_eq!(marked(&mut access, pictures(0..400, each)), [0, 250, 300, 350]);
    }
}
