//! What a run has cost, and whether it was clean.

use super::numbers::{max, mean, quantile_of, slope, sum_of};
use super::process::Taken;
use super::viewers::{Viewer, Viewers};
use super::{Load, media};

/// In bytes.
#[derive(Clone, Copy, Default)]
pub struct OnDisk {
    pub said: f64,
    pub found: f64,
}

/// All that was seen.
pub struct Seen<'a> {
    pub lasted: f64,
    pub empty: Taken,
    /// CPU seconds: Overdub, source, processor, RTMP server, the whole machine.
    pub before: [f64; 5],
    pub after: [f64; 5],
    pub samples: Vec<Taken>,
    pub disk: Vec<OnDisk>,
    pub metrics: String,
    pub lost: f64,
    pub viewers: &'a Viewers,
}

/// Prints it. Whether all was clean.
pub fn report(load: &Load, seen: &Seen<'_>) -> bool {
    let streams = load.streams as f64;
    let sum = |name| sum_of(&seen.metrics, name);
    let cpu = |who: usize| (seen.after[who] - seen.before[who]) / seen.lasted * 100.0;
    let of = |what: fn(&Taken) -> f64| seen.samples.iter().map(what).collect::<Vec<f64>>();
    let resident = of(|taken| taken.resident_bytes / 1e6);
    let files = of(|taken| taken.open_files);
    let held = sum("overdub_stream_memory_bytes") / 1e6;
    let worst = |which: usize| seen.viewers.all().map(|viewer| viewer.late()[which]).max().unwrap_or(0);
    let violations: u64 = seen.viewers.all().map(|viewer| viewer.violations).sum();
    let (gaps, fallbacks) = (sum("overdub_source_gaps_total"), sum("overdub_fallbacks_total"));
    let seconds = |part| quantile_of(&seen.metrics, "overdub_publish_lateness_seconds", part) * 1e3;
    println!(
        "{} streams of 3 Mbit/s, 720p, {:.0} s, batches of {} s, budget {} s, artifacts {}",
        load.streams, seen.lasted, load.batch, load.budget, load.artifacts
    );
    let one = |what: &str, value: String| println!("  {what:<42}{value}");
    one("CPU, Overdub", format!("{:.1} % of a core, {:.2} % a stream", cpu(0), cpu(0) / streams));
    one("CPU, source, processor, RTMP server", format!("{:.1} %, {:.1} %, {:.1} %", cpu(1), cpu(2), cpu(3)));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    one("CPU, the whole machine", format!("{:.1} % of {cores} cores", cpu(4) / cores as f64));
    one(
        "memory, Overdub",
        format!(
            "{:.1} MB mean, {:.1} MB peak; {:.1} MB without streams",
            mean(&resident),
            max(resident.iter().copied()),
            seen.empty.resident_bytes / 1e6
        ),
    );
    let each = (mean(&resident) - seen.empty.resident_bytes / 1e6) / streams;
    let latency = load.batch + media::SEGMENT_SECONDS + load.budget;
    let bound = media::BITS_PER_SECOND / 8e6 * latency as f64;
    one(
        "  a stream",
        format!("{each:.1} MB; bitrate x latency {bound:.1} MB; admission counts {:.1} MB", held / streams),
    );
    // First batches and the preview fill.
    let filled = &resident[resident.len() / 10..];
    one("  slope after the first tenth", format!("{:+.0} kB a minute", slope(filled) * 60e3));
    let tenths =
        resident.chunks(resident.len().div_ceil(10).max(1)).map(|tenth| format!("{:.0}", mean(tenth)));
    one("  each tenth of the time", format!("{} MB", tenths.collect::<Vec<_>>().join(" ")));
    one(
        "open files",
        format!(
            "{:.0} at first, {:.0} at the end",
            files.first().unwrap_or(&0.0),
            files.last().unwrap_or(&0.0)
        ),
    );
    let disk = |what: fn(&OnDisk) -> f64| max(seen.disk.iter().map(what)) / 1e6;
    one(
        "artifacts on the disk, most",
        format!(
            "{:.0} MB said, {:.0} MB found; {} a stream may stay",
            disk(|disk| disk.said),
            disk(|disk| disk.found),
            load.retain
        ),
    );
    one("lateness as sent: median, 99 %", format!("up to {:.0} ms, {:.0} ms", seconds(0.5), seconds(0.99)));
    one(
        "lateness as received: median, 99 %, worst",
        format!("{} ms, {} ms, {} ms (of the worst stream)", worst(0), worst(1), worst(2)),
    );
    let drifts = || seen.viewers.all().map(Viewer::drift);
    one(
        "output's clock behind ours",
        format!("{:+} to {:+} ms", drifts().min().unwrap_or(0), drifts().max().unwrap_or(0)),
    );
    one("batches: processed, fallback", format!("{}, {fallbacks}", sum("overdub_batches_processed_total")));
    one(
        "source: segments, lost, retries",
        format!("{}, {gaps}, {}", sum("overdub_source_segments_total"), sum("overdub_source_retries_total")),
    );
    one("output: pictures lost, violations", format!("{:.2} s, {violations}", seen.lost));
    for viewer in seen.viewers.all().filter(|viewer| viewer.violation.is_some()).take(3) {
        one("", viewer.violation.clone().unwrap_or_default());
    }
    let clean = gaps + fallbacks + seen.lost == 0.0 && violations == 0;
    println!("load: {}", if clean { "clean" } else { "NOT clean" });
    clean
}
