#!/usr/bin/env bash
# Line coverage of the workspace by its tests. Prints the number; the pages are in target/coverage/html.
#
#   scripts/coverage.sh                     all tests
#   scripts/coverage.sh --lib               those of `cargo test --workspace --lib` only, and so on
#
# Counted are the lines of the product: src, ts/src, fmp4/src, rtmp/src, without files that hold tests only. Tests that
# stand at the end of a product file are counted with it.
set -euo pipefail
cd "$(dirname "$0")/.."
# The profiles of this compiler are read by its own tools (rustup component llvm-tools) and by Debian's llvm-19.
own=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
if [ -x "$own/llvm-cov" ]; then
  profdata=$own/llvm-profdata cov=$own/llvm-cov
elif command -v llvm-cov-19 >/dev/null; then
  profdata=llvm-profdata-19 cov=llvm-cov-19
else
  echo "coverage: llvm-cov is missing: rustup component add llvm-tools, or apt-get install llvm-19" >&2
  exit 1
fi
out=$PWD/target/coverage
export CARGO_TARGET_DIR=$out/build RUSTFLAGS="-C instrument-coverage ${RUSTFLAGS:-}" CARGO_INCREMENTAL=0
# Processes that end share four files a binary; those that are killed by tests leave nothing.
export LLVM_PROFILE_FILE=$out/profiles/%4m.profraw
rm -rf "$out/profiles" && mkdir -p "$out/profiles"
# The build has a profile of its own (build scripts, macros): not counted.
LLVM_PROFILE_FILE=/dev/null cargo test --workspace --locked --no-run "$@"
cargo test --workspace --locked "$@" -- --test-threads "${TEST_THREADS:-8}" || failed=$?
"$profdata" merge --sparse "$out"/profiles/*.profraw -o "$out/all.profdata"
binaries=()
for binary in "$CARGO_TARGET_DIR"/debug/overdub "$CARGO_TARGET_DIR"/debug/deps/*; do
  if [ -f "$binary" ] && [ -x "$binary" ] && [ "${binary##*.}" != so ]; then binaries+=(--object "$binary"); fi
done
ignored='(/\.cargo/|/rustc/|/rustlib/|/target/|/(tests|benches|fuzz)/|_tests\.rs|/tests\.rs|/simulat[a-z]*\.rs|/adversity\.rs|/day\.rs|/month\.rs|/joins\.rs|/examples\.rs)'
common=(--instr-profile "$out/all.profdata" --ignore-filename-regex "$ignored" "${binaries[@]:1}")
"$cov" show "${common[@]}" --format html --output-dir "$out/html" >/dev/null
"$cov" export "${common[@]}" --summary-only >"$out/summary.json"
python3 - "$out/summary.json" "$PWD" <<'PY'
import collections, json, os, sys
data = json.load(open(sys.argv[1]))["data"][0]
parts = collections.defaultdict(lambda: [0, 0])
for file in data["files"]:
    name = os.path.relpath(file["filename"], sys.argv[2]).split("/")
    part = "/".join(name[:2]) if len(name) > 2 else name[0]
    lines = file["summary"]["lines"]
    parts[part][0] += lines["covered"]
    parts[part][1] += lines["count"]
for part, (covered, count) in sorted(parts.items()):
    print(f"  {part:<24}{100 * covered / max(count, 1):6.1f} %  of {count}")
lines = data["totals"]["lines"]
print(f"coverage: {lines['percent']:.2f} % of {lines['count']} lines")
PY
exit "${failed:-0}"
