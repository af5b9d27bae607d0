//! What a process takes, as Linux says it.

use std::fs;

/// What a process holds and has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    pub resident_kib: u64,
    pub cpu_seconds: f64,
    pub files: usize,
    pub threads: usize,
}

/// `None` when it has ended.
pub fn taken(id: u32) -> Option<Taken> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // proc(5): fields 14 and 15, counted from behind the name, which may have blanks in it.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some(Taken {
        resident_kib: status(id, "VmRSS:")?,
        cpu_seconds: (ticks(14)? + ticks(15)?) / rustix::param::clock_ticks_per_second() as f64,
        files: fs::read_dir(format!("/proc/{id}/fd")).ok()?.count(),
        threads: status(id, "Threads:")? as usize,
    })
}

/// The most memory that it has held since [`forget_peak`], in KiB.
pub fn peak_kib(id: u32) -> Option<u64> {
    status(id, "VmHWM:")
}

/// The peak begins anew (proc(5), `clear_refs`).
pub fn forget_peak(id: u32) {
    fs::write(format!("/proc/{id}/clear_refs"), "5").expect("the peak of a process of ours can be reset");
}

fn status(id: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
