#!/usr/bin/env bash
# Every fuzz target on its seeds and then on mutations of them, for SECONDS_EACH (default 5): finds what breaks
# at once. The mutations are the same each time: a failure here is of the change, not of luck, and whoever looks
# for more gives another SEED. Plain stable Rust and a C++ compiler; fuzz/run.sh is the same for longer.
#
#   FEATURES=--no-default-features    only the targets of the three crates, without building the service
set -euo pipefail
cd "$(dirname "$0")/.."
./fuzz/seed.sh
SEED=${SEED:-1} SECONDS_EACH=${SECONDS_EACH:-5} ./fuzz/run.sh
