//! What the machine gives this process.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Of the memory that there is, this part may be held by streams; the rest is for everything else.
const PART: (u64, u64) = (3, 4);

/// Raises the number of files and sockets that may be open to what is allowed, and returns it; none where there is
/// no limit.
pub(super) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    }
}

/// The memory that streams may hold by default: three quarters of what the machine has or, in a container, of what
/// this process may take.
pub(super) fn memory_for_streams() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_in(&text));
    let container = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let group = group_in(&text)?;
        let limit = fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.max")).ok()?;
        limit.trim().parse().ok()
    });
    let memory: u64 = machine.into_iter().chain(container).min()?;
    Some(memory / PART.1 * PART.0)
}

/// `MemTotal` of proc(5), in bytes.
fn total_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The group of cgroups(7) version 2.
fn group_in(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        assert_eq!(total_in("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(total_in("nothing"), None);
        assert_eq!(
            group_in("1:name=x:/a\n0::/system.slice/overdub.service\n"),
            Some("/system.slice/overdub.service")
        );
    }

    #[test]
    fn this_machine_has_memory_and_files() {
        assert!(memory_for_streams().is_some_and(|bytes| bytes > 64 << 20));
        assert!(raise_open_files().is_none_or(|files| files >= 256));
    }
}
