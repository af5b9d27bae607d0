//! The `overdub` command: see `overdub help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    overdub::cli::main()
}
