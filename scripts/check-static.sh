#!/usr/bin/env bash
# Whether a binary is static, and runs where there is nothing else: scripts/check-static.sh BINARY
set -euo pipefail
binary=$(realpath "$1")
fail() { echo "check-static: $*" >&2; exit 1; }
if readelf --program-headers "$binary" | grep -q INTERP; then fail "it asks for a dynamic loader"; fi
if readelf --dynamic "$binary" | grep -q NEEDED; then fail "it needs shared libraries"; fi

# An empty root: the binary, a folder to write to, and what names are resolved with.
root=$(mktemp -d)
service=
trap '[ -z "$service" ] || kill "$service" 2>/dev/null || true; rm -rf "$root"' EXIT
mkdir -p "$root/etc" "$root/data"
cp "$binary" "$root/overdub"
printf '127.0.0.1 localhost here.example\n' >"$root/etc/hosts"
if [ "$(id -u)" -eq 0 ]; then inside=(chroot "$root"); else inside=(unshare --user --map-root-user chroot "$root"); fi
"${inside[@]}" /overdub --version
port=$((20000 + RANDOM % 20000))
# Each of these becomes the next, so that the id is that of the service.
"${inside[@]}" /overdub serve --host here.example --port "$port" --storage /data/storage >"$root/log" 2>&1 &
service=$!
for _ in $(seq 50); do
  health=$(curl -fsS "http://127.0.0.1:$port/api/health" 2>/dev/null) && break
  sleep 0.1
done
[ -n "${health:-}" ] || { cat "$root/log" >&2; fail "the service does not answer in an empty root"; }
curl -fsS "http://127.0.0.1:$port/metrics" | grep -q '^overdub_build_info' || fail "/metrics does not answer"
echo "check-static: $(du -h --apparent-size "$binary" | cut -f1), no dynamic loader, no shared libraries; serves in an empty root"
