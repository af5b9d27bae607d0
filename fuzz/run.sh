#!/usr/bin/env bash
# Runs fuzz targets, each for SECONDS_EACH (default 600), JOBS (default 2) at a time, on the seeds and on what
# earlier runs found, and prints a table of what libFuzzer counted. Fails where one did.
#
#   fuzz/run.sh [target ...]        all that were built without arguments; FEATURES goes to cargo
#   SEED=1 fuzz/run.sh              the same mutations each time, as far as the time goes
set -euo pipefail
cd "$(dirname "$0")"
programs=$(./build.sh ${FEATURES-} | tail -n 1)
if [ "$#" -eq 0 ]; then
  for target in $(basename -s .rs fuzz_targets/*.rs); do
    # Those of the service are left out, and say so, where it is not built.
    case "$target ${FEATURES-}" in
      playlist*--no-default-features* | hls_*--no-default-features*) echo "fuzz: $target NOT RUN, the service is not built" >&2 ;;
      *) set -- "$@" "$target" ;;
    esac
  done
fi

one() {
  local target=$1 dictionary longest log=artifacts/$1/log
  case $target in
    ts_demux) dictionary=ts longest=32768 ;;
    ts_*) dictionary=ts longest=4096 ;;
    fmp4_read) dictionary=mp4 longest=24576 ;;
    playlist) dictionary=m3u8 longest=16384 ;;
    rtmp_*) dictionary=rtmp longest=8192 ;;
    *) dictionary= longest=4096 ;;
  esac
  mkdir -p "corpus/$target" "artifacts/$target"
  local verdict=clean
  nice -n 19 "$programs/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -print_final_stats=1 \
    ${dictionary:+-dict="dictionaries/$dictionary.dict"} -max_len="$longest" -max_total_time="$SECONDS_EACH" \
    -timeout=10 -rss_limit_mb=1024 ${SEED:+-seed="$SEED"} >"$log" 2>&1 || verdict=FAILED
  local done_line executions peak
  done_line=$(grep -E '^#[0-9]+.*cov:' "$log" | tail -n 1 || true)
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
  echo "| $target | $SECONDS_EACH s | ${executions:-?} | $(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
    "| $(sed -n 's/.* cov: \([0-9]*\).*/\1/p' <<<"$done_line") | $(sed -n 's/.* ft: \([0-9]*\).*/\1/p' <<<"$done_line")" \
    "| ${peak:-?} MB | $verdict |"
  [ "$verdict" = clean ] || { grep -hE -A4 "panicked at|ERROR: libFuzzer|Test unit written" "$log" >&2; return 1; }
}
export -f one
export programs SECONDS_EACH=${SECONDS_EACH:-600}

echo "| target | time | executions | each second | edges | features | peak memory | verdict |"
echo "|---|---|---|---|---|---|---|---|"
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I{} bash -euo pipefail -c 'one {}'
