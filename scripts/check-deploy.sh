#!/usr/bin/env bash
# The systemd unit as systemd itself reads it, and how much it leaves open.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v systemd-analyze >/dev/null; then
  echo "check-deploy: NOT RUN: systemd-analyze is missing: apt-get install systemd" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# What the unit starts need not be installed here.
sed 's|/usr/local/bin/overdub|/bin/true|' deploy/systemd/overdub.service >"$folder/overdub.service"
systemd-analyze verify "$folder/overdub.service"
# Exposure from 0 (closed) to 100.
systemd-analyze security --offline=true --threshold=20 "$folder/overdub.service" | tail -1
echo "check-deploy: the unit is sound"
