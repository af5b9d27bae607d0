#!/usr/bin/env bash
# Every fuzz target for a few seconds each (SECONDS_EACH, default 20): finds what breaks at once.
# Plain stable Rust, without a sanitizer; `RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET` gives AddressSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -d fuzz/fuzz_targets ]; then
  echo "fuzz: there are no fuzz targets yet" >&2
  exit 1
fi
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
for target in fuzz/fuzz_targets/*.rs; do
  name=$(basename "$target" .rs)
  echo "fuzz: $name"
  cargo fuzz run --sanitizer none "$name" -- -max_total_time="${SECONDS_EACH:-20}" -timeout=10 -rss_limit_mb=1024
done
