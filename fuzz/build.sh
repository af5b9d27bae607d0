#!/usr/bin/env bash
# Builds the fuzz targets with plain stable Rust: coverage for libFuzzer comes from LLVM, by the flags that
# `cargo fuzz` passes too. Arguments go to cargo; prints the folder of the programs as its last line.
set -euo pipefail
cd "$(dirname "$0")"
command -v c++ >/dev/null || { echo "fuzz: a C++ compiler is missing (libFuzzer is C++): install g++" >&2; exit 1; }
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4\
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table\
 -Cllvm-args=-sanitizer-coverage-trace-compares"
# With a target named, the flags are not for build scripts, which lack libFuzzer.
host=$(rustc -vV | sed -n 's/^host: //p')
CARGO_TARGET_DIR=$PWD/target ${CARGO:-cargo} build --release --locked --target "$host" --bins "$@" >&2
echo "$PWD/target/$host/release"
