//! What one playlist may make us hold. Pure.
//!
//! The size of the body is limited where it is fetched; these limits keep what is made of it in proportion. What is
//! beyond them is left out and counted in [`LeftOut`].

/// Segments kept of one playlist, the newest (RFC 8216 6.3.3 begins at the end): a day of 2 s segments has 43,200
/// entries.
pub const MAX_SEGMENTS: usize = 45_000;

/// Bytes of addresses, dates and keys kept of one playlist: a day of 2 s segments with signed addresses of 500
/// characters each has 23 MB.
pub const MAX_TEXT: usize = 24 << 20;

/// Segments kept in any case of a live window that was read before: enough to recognize a window that moved, whatever
/// its numbers say. Older ones are kept only until they are taken.
pub const MIN_KEPT: usize = 4_096;

/// Attributes read of one tag. An EXT-X-DATERANGE with its own attributes has some twenty.
pub const MAX_ATTRIBUTES: usize = 64;

/// Variables of one playlist, and the bytes of their names and values together: tokens and host names.
pub const MAX_VARIABLES: usize = 256;
pub const MAX_VARIABLE_BYTES: usize = 1 << 20;

/// Date ranges kept of one playlist: a day of breaks; the newest are at its end.
pub const MAX_DATE_RANGES: usize = 1_000;

/// Variants of a master playlist: ten sizes in five codecs with ten groups of audio.
pub const MAX_VARIANTS: usize = 512;

/// Audio renditions of a master playlist: fifty languages in ten groups.
pub const MAX_RENDITIONS: usize = 512;

/// What a playlist lists beyond the limits, and was not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The oldest, beyond [`MAX_SEGMENTS`] or [`MAX_TEXT`].
    pub segments: u64,
    /// The oldest, beyond [`MAX_DATE_RANGES`].
    pub date_ranges: u64,
    /// The last of their tag, beyond [`MAX_ATTRIBUTES`].
    pub attributes: u64,
    /// The last, beyond [`MAX_VARIABLES`] or [`MAX_VARIABLE_BYTES`].
    pub variables: u64,
    /// The last, beyond [`MAX_VARIANTS`].
    pub variants: u64,
    /// The last, beyond [`MAX_RENDITIONS`].
    pub renditions: u64,
}

impl LeftOut {
    /// Whether something was left out of a kind of which nothing was before.
    pub fn is_news(&self, before: &Self) -> bool {
        let kinds = |of: &Self| {
            [of.segments, of.date_ranges, of.attributes, of.variables, of.variants, of.renditions]
        };
        kinds(self).into_iter().zip(kinds(before)).any(|(now, before)| now > 0 && before == 0)
    }
}
