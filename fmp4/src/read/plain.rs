//! Sample tables of a plain MP4 (ISO/IEC 14496-12 8.6 and 8.7), read where they lie.

use super::boxes::{BoxRef, Table, u32_at};
use super::error::{Damage, Place, Problem, ReadError};

/// How a sample differs from its neighbours, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SampleMeta {
    pub(crate) size: u32,
    pub(crate) duration: u32,
    pub(crate) composition_offset: i32,
    pub(crate) sync: bool,
}

#[derive(Clone, Debug)]
enum Sizes {
    Same {
        size: u32,
        count: u32,
    },
    /// `stsz`: entries of 32 bits.
    Words(Table),
    /// `stz2` with entries of 4 (two to a byte), 8 or 16 bits.
    Fields {
        table: Table,
        bits: u8,
        count: usize,
    },
}

/// The tables of `stbl`.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleTable {
    sizes: Option<Sizes>,
    /// (count, delta)
    durations: Table,
    /// (count, offset)
    composition: Table,
    /// Numbers of the sync samples, from 1; `None`: all are.
    sync: Option<Table>,
    /// (first chunk, samples in each, sample entry)
    chunks: Table,
    /// `stco` or `co64`
    offsets: Table,
    offsets_64: bool,
}

/// Where reading a [`SampleTable`] has come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// Number of the next sample, from 0.
    sample: usize,
    /// Decoding time of the next sample.
    pub(crate) dts: i64,
    /// Byte offset of the next sample.
    pub(crate) offset: u64,
    /// Samples left in the chunk.
    left: u32,
    /// Number of the next chunk, from 0.
    chunk: usize,
    chunk_run: usize,
    /// The sample entry that the chunk uses, from 1.
    pub(crate) description: u32,
    duration_run: RunCursor,
    composition_run: RunCursor,
    sync_at: usize,
}

/// Position in a run-length table.
#[derive(Clone, Copy, Debug, Default)]
struct RunCursor {
    entry: usize,
    used: u32,
}

impl RunCursor {
    /// The value of the next sample; the last one again when the table has ended.
    fn next(&mut self, table: &Table) -> Option<u32> {
        while let Some(count) = table.u32(self.entry, 0) {
            if self.used < count {
                self.used += 1;
                return table.u32(self.entry, 1);
            }
            self.entry += 1;
            self.used = 0;
        }
        table.u32(table.len().checked_sub(1)?, 1)
    }
}

impl SampleTable {
    /// Takes a child of `stbl`; unknown ones are left alone.
    pub(crate) fn add(
        &mut self,
        child: &BoxRef,
        parent: &Place<'_>,
        damage: &mut Damage,
    ) -> Result<(), ReadError> {
        let mut entries = |skip: usize, width: usize| -> Result<Table, ReadError> {
            let (_, _, body) = child.full(parent)?;
            let declared = u32_at(&body, skip).ok_or_else(|| child.truncated(parent, 8 + skip as u64))?;
            let (table, available) = Table::new(&body.slice(skip + 4..), width, declared);
            if available < declared as usize {
                let (declared, available) = (u64::from(declared), available as u64);
                damage.push(child.place(parent).error(Problem::ShortTable { declared, available }));
            }
            Ok(table)
        };
        match &child.kind {
            b"stts" => self.durations = entries(0, 8)?,
            b"ctts" => self.composition = entries(0, 8)?,
            b"stss" => self.sync = Some(entries(0, 4)?),
            b"stsc" => self.chunks = entries(0, 12)?,
            b"stco" => (self.offsets, self.offsets_64) = (entries(0, 4)?, false),
            b"co64" => (self.offsets, self.offsets_64) = (entries(0, 8)?, true),
            b"stsz" => {
                let (_, _, body) = child.full(parent)?;
                self.sizes = Some(match (u32_at(&body, 0), u32_at(&body, 4)) {
                    (Some(0), _) => Sizes::Words(entries(4, 4)?),
                    (Some(size), Some(count)) => Sizes::Same { size, count },
                    _ => return Err(child.truncated(parent, 12)),
                });
            }
            b"stz2" => {
                let (_, _, body) = child.full(parent)?;
                let (Some(field), Some(count)) = (u32_at(&body, 0), u32_at(&body, 4)) else {
                    return Err(child.truncated(parent, 12));
                };
                let bits = field as u8; // the upper 24 are reserved
                if !matches!(bits, 4 | 8 | 16) {
                    let problem = Problem::InvalidValue { field: "field_size", value: bits.into() };
                    return Err(child.place(parent).error(problem));
                }
                let bytes = (u64::from(count) * u64::from(bits)).div_ceil(8);
                let (table, there) =
                    Table::new(&body.slice(8..), 1, u32::try_from(bytes).unwrap_or(u32::MAX));
                let count = (count as usize).min(there * 8 / usize::from(bits));
                self.sizes = Some(Sizes::Fields { table, bits, count });
            }
            _ => {}
        }
        Ok(())
    }

    /// Samples of one fixed size, and that size: `None` where each has its own.
    pub(crate) fn fixed_size(&self) -> Option<u32> {
        match self.sizes {
            Some(Sizes::Same { size, .. }) => Some(size),
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.len() == 0
    }

    /// How many samples the size table has.
    fn count(&self) -> usize {
        match &self.sizes {
            None => 0,
            Some(Sizes::Same { count, .. }) => *count as usize,
            Some(Sizes::Words(table)) => table.len(),
            Some(Sizes::Fields { count, .. }) => *count,
        }
    }

    fn size(&self, index: usize) -> Option<u32> {
        match self.sizes.as_ref()? {
            Sizes::Same { size, count } => (index < *count as usize).then_some(*size),
            Sizes::Words(table) => table.u32(index, 0),
            Sizes::Fields { table, bits: 4, count } if index < *count => {
                let pair = *table.entry(index / 2)?.first()?;
                Some(u32::from(if index.is_multiple_of(2) { pair >> 4 } else { pair & 15 }))
            }
            Sizes::Fields { table, bits: 8, .. } => table.entry(index)?.first().copied().map(u32::from),
            Sizes::Fields { table, .. } => {
                let high = *table.entry(index.checked_mul(2)?)?.first()?;
                let low = *table.entry(index.checked_mul(2)?.checked_add(1)?)?.first()?;
                Some(u32::from(high) << 8 | u32::from(low))
            }
        }
    }

    /// Moves to the next chunk that has samples when this one has none left. False: there are no more.
    pub(crate) fn enter_chunk(&self, cursor: &mut Cursor) -> bool {
        while cursor.left == 0 {
            if cursor.sample >= self.count() {
                return false;
            }
            let offset = if self.offsets_64 {
                self.offsets.u64(cursor.chunk)
            } else {
                self.offsets.u32(cursor.chunk, 0).map(u64::from)
            };
            let Some(offset) = offset else { return false };
            cursor.chunk += 1;
            // Chunks are counted from 1 (8.7.4), and `chunk` is the next one's index from 0.
            while self.chunks.u32(cursor.chunk_run + 1, 0).is_some_and(|first| first as usize <= cursor.chunk)
            {
                cursor.chunk_run += 1;
            }
            let Some(samples) = self.chunks.u32(cursor.chunk_run, 1) else { return false };
            cursor.description = self.chunks.u32(cursor.chunk_run, 2).unwrap_or(1);
            cursor.left = samples;
            cursor.offset = offset;
        }
        cursor.sample < self.count()
    }

    pub(crate) fn next_size(&self, cursor: &Cursor) -> Option<u32> {
        if cursor.left == 0 { None } else { self.size(cursor.sample) }
    }

    /// The next sample of the chunk; `None` where the chunk ends.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<SampleMeta> {
        if cursor.left == 0 {
            return None;
        }
        let size = self.size(cursor.sample)?;
        // More than 31 bits is a negative difference in disguise, written by broken muxers.
        let duration = cursor.duration_run.next(&self.durations).unwrap_or(0);
        let duration = if i32::try_from(duration).is_ok() { duration } else { 1 };
        // Version 0 is unsigned (8.6.1.3), but values beyond 31 bits are negative ones of careless writers.
        let composition_offset = cursor.composition_run.next(&self.composition).unwrap_or(0).cast_signed();
        let sync = self.sync.as_ref().is_none_or(|sync| {
            let number = cursor.sample + 1;
            while sync.u32(cursor.sync_at, 0).is_some_and(|n| (n as usize) < number) {
                cursor.sync_at += 1;
            }
            sync.u32(cursor.sync_at, 0).is_some_and(|n| n as usize == number)
        });
        cursor.sample += 1;
        cursor.left -= 1;
        cursor.dts = cursor.dts.saturating_add(duration.into());
        cursor.offset = cursor.offset.saturating_add(size.into());
        Some(SampleMeta { size, duration, composition_offset, sync })
    }
}
