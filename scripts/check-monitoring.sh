#!/usr/bin/env bash
# The alert rules, the scrape configuration, what the dashboard asks, and what a running service answers, judged by
# Prometheus's own promtool (Debian package prometheus).
set -euo pipefail
cd "$(dirname "$0")/.."
command -v promtool >/dev/null || { echo "check-monitoring: promtool is missing: apt-get install prometheus" >&2; exit 1; }
promtool check config deploy/monitoring/prometheus.yml
overdub=${OVERDUB:-target/debug/overdub}
[ -x "$overdub" ] || cargo build --bin overdub
folder=$(mktemp -d)
port=$((20000 + RANDOM % 20000))
"$overdub" demo --port "$port" --storage "$folder/storage" >"$folder/log" 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 60); do
  curl -fsS "http://127.0.0.1:$port/metrics" -o "$folder/metrics" 2>/dev/null &&
    grep -q 'overdub_published_seconds_total{.*} [1-9]' "$folder/metrics" && break
  sleep 0.5
done
promtool check metrics <"$folder/metrics"
# Every metric that rules and dashboard name is there; a fallback or a lost file would be needed for the rest.
python3 - "$folder/metrics" <<'PY'
import json, re, sys
have = set(re.findall(r"^# TYPE (\S+)", open(sys.argv[1]).read(), re.M))
text = open("deploy/monitoring/alerts.yml").read()
for panel in json.load(open("deploy/monitoring/grafana-dashboard.json"))["panels"]:
    text += "\n".join(target["expr"] for target in panel["targets"]) + "\n"
asked = set(re.sub(r"_bucket$", "", name) for name in re.findall(r"\b(?:overdub|process)_[a-z_]+", text))
missing = asked - have - {"overdub_fallbacks_total"}
sys.exit(f"not in /metrics: {sorted(missing)}" if missing else 0)
PY
echo "check-monitoring: rules, dashboard and metrics are sound"
