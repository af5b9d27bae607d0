//! The `overdub` command: see `overdub help`.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// With glibc's heap memory creeps for hours, presumably by whole segments that come and go between samples that outlive
/// them; with this one it stays (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    overdub::cli::main()
}
