//! A script of faults, and what each cost.
//!
//! One fault a line: when (seconds after the start of the measurement), what (`processor`, `source`, `server`,
//! `network`, `overdub`, `disk`), how (`kill`, `hang`; of the disk `full`, `readonly`, `hang`), and after how many seconds
//! it is restored.

use std::path::Path;

use overdub::media::Moment;

use super::numbers::{max, median};
use super::viewers::Viewers;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: u64,
    pub what: What,
    pub how: How,
    pub lasts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Processor,
    Source,
    Server,
    Network,
    Overdub,
    Disk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Kill,
    Hang,
    Full,
    ReadOnly,
}

/// # Panics
///
/// With the line that is no fault.
pub fn read(path: &Path) -> Vec<Fault> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    let parse =
        |line: &str| fault(line).unwrap_or_else(|| panic!("{}: {line:?} is no fault", path.display()));
    lines.filter(|line| !line.is_empty()).map(parse).collect()
}

fn fault(line: &str) -> Option<Fault> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [at, what, how, lasts] = words[..] else { return None };
    let what = match what {
        "processor" => What::Processor,
        "source" => What::Source,
        "server" => What::Server,
        "network" => What::Network,
        "overdub" => What::Overdub,
        "disk" => What::Disk,
        _ => return None,
    };
    let how = match how {
        "kill" if what != What::Disk => How::Kill,
        "hang" => How::Hang,
        "full" if what == What::Disk => How::Full,
        "readonly" if what == What::Disk => How::ReadOnly,
        _ => return None,
    };
    Some(Fault { at: at.parse().ok()?, what, how, lasts: lasts.parse().ok()? })
}

/// One that was made.
pub struct Made {
    fault: Fault,
    at: Moment,
    lost_before: Vec<f64>,
    fallbacks_before: f64,
    row: Option<String>,
}

impl Made {
    pub fn new(fault: Fault, at: Moment, viewers: &Viewers, fallbacks: f64) -> Self {
        Self { fault, at, lost_before: viewers.lost(), fallbacks_before: fallbacks, row: None }
    }

    /// What it had cost when the next came, or the end.
    pub fn over(&mut self, viewers: &Viewers, fallbacks: f64) {
        if self.row.is_some() {
            return;
        }
        let lost: Vec<f64> =
            viewers.lost().iter().zip(&self.lost_before).map(|(now, before)| now - before).collect();
        let still = viewers.stood_still(self.at);
        let restored = self.at.offset(overdub::media::Flicks::from_millis(self.fault.lasts as i64 * 1_000));
        let back = viewers.whole(self.at).map_or("not noticed".to_owned(), |at| {
            format!("{:.1} s", at.saturating_since(restored).as_secs_f64())
        });
        let noticed = lost.iter().zip(&still).filter(|(lost, still)| **lost > 0.1 || **still > 0.0).count();
        let Fault { what, how, lasts, .. } = self.fault;
        let fallbacks = (fallbacks - self.fallbacks_before).max(0.0);
        self.row = Some(format!(
            "| {what:?} {how:?} | {lasts} s | {noticed} of {} | {:.1} s, {:.1} s | {:.1} s | {back} | {fallbacks} |",
            lost.len(),
            median(lost.clone()),
            max(lost),
            max(still),
        ));
    }

    pub fn print_all(all: &[Self]) {
        println!(
            "\n| fault | for | viewers that noticed | pictures lost: median, most | longest stop | all pictures again after it was restored | batches with the fallback |"
        );
        println!("|---|---|---|---|---|---|---|");
        for row in all.iter().filter_map(|made| made.row.as_ref()) {
            println!("{row}");
        }
    }
}
