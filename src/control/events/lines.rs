//! The newest log lines, for whoever looks on. Pure, but for the wake-up.
//!
//! There is one ring for all: a reader keeps the number of the line it wants next, so that a slow one costs
//! nothing and a very slow one is told how many lines it missed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::media::StreamId;

/// Lines that are kept: more than a replay, because those of one stream are looked for among those of all. At a
/// few hundred bytes each this is about a megabyte.
const KEPT: usize = 4_000;
/// Lines that a new reader is given, at most.
pub(super) const REPLAY: usize = 500;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Which stage a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Source,
    Demux,
    Batch,
    Processor,
    Remux,
    Publish,
    Preview,
    Storage,
    Control,
    Cli,
}

/// One line of the log, as the page is given it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// ISO 8601, UTC.
    pub timestamp: String,
    pub level: Level,
    pub module: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<StreamId>,
    pub message: String,
    pub fields: Map<String, Value>,
}

/// Which lines a reader wants. What is left out restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Filter {
    /// The least level; without it, `info`.
    pub level: Option<Level>,
    pub modules: Option<BTreeSet<Stage>>,
    pub stream_id: Option<String>,
}

impl Filter {
    pub(super) fn passes(&self, line: &Line) -> bool {
        line.level >= self.level.unwrap_or(Level::Info)
            && self.modules.as_ref().is_none_or(|modules| modules.contains(&line.module))
            && self
                .stream_id
                .as_ref()
                .is_none_or(|id| line.stream_id.as_ref().is_some_and(|theirs| theirs.as_str() == id))
    }
}

/// The ring. All copies are the same one.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    /// The number of the line that will be written next.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Arc<Line>>,
    /// The number of the oldest line that is kept.
    first: u64,
}

/// Lines from the ring with their numbers, oldest first.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) lines: Vec<(u64, Arc<Line>)>,
    /// Where to go on.
    pub(super) next: u64,
    /// Lines that were pushed out before they were asked for.
    pub(super) missed: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self(Arc::new(Shared { ring: Mutex::default(), next: watch::Sender::new(0) }))
    }
}

impl Lines {
    /// Never waits for a reader.
    pub fn push(&self, line: Line) {
        let next = {
            let mut ring = self.ring();
            if ring.lines.len() == KEPT {
                ring.lines.pop_front();
                ring.first += 1;
            }
            ring.lines.push_back(Arc::new(line));
            ring.end()
        };
        // Two writers may come here the wrong way round.
        self.0.next.send_if_modified(|shown| {
            let newer = *shown < next;
            *shown = next.max(*shown);
            newer
        });
    }

    /// Changes when there is something new.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.next.subscribe()
    }

    /// The newest `count` lines that pass, at most.
    pub(super) fn newest(&self, filter: &Filter, count: usize) -> Read {
        let ring = self.ring();
        let passing = ring.numbered(0).rev().filter(|(_, line)| filter.passes(line));
        let mut lines: Vec<_> =
            passing.take(count).map(|(number, line)| (number, Arc::clone(line))).collect();
        lines.reverse();
        Read { lines, next: ring.end(), missed: 0 }
    }

    /// What passes of the lines from number `from` on, of which `count` are looked at, at most.
    pub(super) fn after(&self, from: u64, filter: &Filter, count: usize) -> Read {
        let ring = self.ring();
        let missed = ring.first.saturating_sub(from);
        let start = from.max(ring.first);
        let seen = ring.numbered((start - ring.first) as usize).take(count);
        let next = start + seen.len() as u64;
        let passing = seen.filter(|(_, line)| filter.passes(line));
        let lines = passing.map(|(number, line)| (number, Arc::clone(line))).collect();
        Read { lines, next, missed }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing panics while it holds the lock.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// The lines but the first `skip`, with their numbers.
    fn numbered(
        &self,
        skip: usize,
    ) -> impl DoubleEndedIterator<Item = (u64, &Arc<Line>)> + ExactSizeIterator {
        let skip = skip.min(self.lines.len());
        let first = self.first + skip as u64;
        self.lines.range(skip..).enumerate().map(move |(offset, line)| (first + offset as u64, line))
    }

    fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, level: Level, module: Stage, stream: Option<&str>) -> Line {
        Line {
            timestamp: String::new(),
            level,
            module,
            stream_id: stream.map(|id| StreamId::new(id).unwrap()),
            message: number.to_string(),
            fields: Map::new(),
        }
    }

    fn plain(number: usize) -> Line {
        line(number, Level::Info, Stage::Control, None)
    }

    fn messages(read: &Read) -> Vec<&str> {
        read.lines.iter().map(|(_, line)| line.message.as_str()).collect()
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let lines = Lines::default();
        (0..5).for_each(|number| lines.push(plain(number)));
        let all = Filter::default();
        let replay = lines.newest(&all, 3);
        assert_eq!((messages(&replay), replay.next), (vec!["2", "3", "4"], 5));
        assert_eq!(lines.after(5, &all, 10), Read { lines: vec![], next: 5, missed: 0 });
        lines.push(plain(5));
        lines.push(plain(6));
        let one = lines.after(5, &all, 1);
        assert_eq!((messages(&one), one.next, one.missed), (vec!["5"], 6, 0));
        assert_eq!(messages(&lines.after(6, &all, 10)), ["6"]);
    }

    #[test]
    fn what_a_slow_reader_missed_is_counted_and_memory_is_bounded() {
        let lines = Lines::default();
        (0..KEPT + 7).for_each(|number| lines.push(plain(number)));
        let read = lines.after(2, &Filter::default(), 2);
        assert_eq!((messages(&read), read.next, read.missed), (vec!["7", "8"], 9, 5));
        assert_eq!(lines.ring().lines.len(), KEPT);
    }

    #[test]
    fn filters_are_by_level_by_module_and_by_stream() {
        let lines = Lines::default();
        lines.push(line(0, Level::Debug, Stage::Source, Some("a")));
        lines.push(line(1, Level::Info, Stage::Source, Some("a")));
        lines.push(line(2, Level::Warn, Stage::Publish, Some("b")));
        lines.push(line(3, Level::Error, Stage::Cli, None));
        for (filter, expected) in [
            (r"{}", vec!["1", "2", "3"]),
            (r#"{"level":"debug"}"#, vec!["0", "1", "2", "3"]),
            (r#"{"level":"warn"}"#, vec!["2", "3"]),
            (r#"{"modules":["source","cli"]}"#, vec!["1", "3"]),
            (r#"{"streamId":"a","level":"trace"}"#, vec!["0", "1"]),
            (r#"{"streamId":"../x"}"#, vec![]),
            (r#"{"modules":[]}"#, vec![]),
        ] {
            let filter: Filter = serde_json::from_str(filter).unwrap();
            assert_eq!(messages(&lines.newest(&filter, 10)), expected, "{filter:?}");
            let read = lines.after(0, &filter, 10);
            assert_eq!((messages(&read), read.next), (expected, 4));
        }
        for wrong in [r#"{"level":"loud"}"#, r#"{"modules":["kitchen"]}"#, r#"{"stream":"a"}"#] {
            serde_json::from_str::<Filter>(wrong).unwrap_err();
        }
    }
}
