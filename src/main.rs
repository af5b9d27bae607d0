//! The `overdub` command: see `overdub help`.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Whole segments come and go between samples that outlive them. In glibc's heap they leave holes, and memory creeps for
/// hours; in this one it stays (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    overdub::cli::main()
}
