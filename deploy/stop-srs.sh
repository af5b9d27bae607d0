#!/usr/bin/env bash
# Stops the SRS that start-srs.sh started: the process in SRS_DIR, or the container. Fine when none runs.
set -euo pipefail

dir=${SRS_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/overdub-srs}
container=overdub-srs
stopped=

# The process id is only trusted while it is an SRS: ids are used again.
is_running() { [[ $(ps -o comm= -p "$1" 2>/dev/null) == *srs* ]]; }

if [ -s "$dir/srs.pid" ]; then
  pid=$(cat "$dir/srs.pid")
  if is_running "$pid"; then
    kill -TERM "$pid"
    for _ in $(seq 50); do
      is_running "$pid" || break
      sleep 0.2
    done
    if is_running "$pid"; then
      echo "stop-srs: process $pid did not end in 10 s, killed" >&2
      kill -KILL "$pid"
    fi
    stopped="process $pid"
  fi
  rm -f "$dir/srs.pid"
fi

if command -v docker >/dev/null && [ -n "$(docker ps --quiet --filter "name=^$container\$" 2>/dev/null)" ]; then
  docker stop --time 10 "$container" >/dev/null
  stopped="${stopped:+$stopped, }container $container"
fi

echo "stop-srs: ${stopped:-nothing was running}"
