//! What the process takes of the machine, under the names that Prometheus's own clients use. Linux.

use std::fs;

use super::Families;

/// A snapshot of proc(5).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub open_files: u64,
    pub max_files: Option<u64>,
    pub threads: u64,
}

impl Process {
    /// Of this process; `None` where there is no proc(5).
    pub fn snapshot() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let (user, system, threads) = times_in(&stat)?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(Self {
            cpu_seconds: (user + system) as f64 / rustix::param::clock_ticks_per_second() as f64,
            resident_bytes: pages * rustix::param::page_size() as u64,
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            max_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            threads,
        })
    }

    pub fn describe(&self, to: &mut Families) {
        to.counter("process_cpu_seconds_total", "User and system time.", &[], self.cpu_seconds);
        to.gauge("process_resident_memory_bytes", "Memory in use.", &[], self.resident_bytes as f64);
        to.gauge("process_open_fds", "Open files and sockets.", &[], self.open_files as f64);
        if let Some(max) = self.max_files {
            to.gauge("process_max_fds", "Files and sockets that may be open.", &[], max as f64);
        }
        to.gauge("process_threads", "Threads.", &[], self.threads as f64);
    }
}

/// User time and system time in ticks, and the number of threads: fields 14, 15 and 20. The name, field 2, may hold
/// anything, blanks and parentheses too.
fn times_in(stat: &str) -> Option<(u64, u64, u64)> {
    let behind_name = &stat[stat.rfind(')')? + 1..];
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    Some((field(14)?, field(15)?, field(20)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 111 222 15 16 17 18 33 20";
        assert_eq!(times_in(stat), Some((111, 222, 33)));
        assert_eq!(times_in("garbage"), None);
    }

    #[test]
    fn this_process_takes_something() {
        let process = Process::snapshot().unwrap();
        assert!(process.resident_bytes > 1 << 20 && process.open_files > 2 && process.threads > 0);
    }
}
