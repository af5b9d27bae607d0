#!/usr/bin/env bash
# Installs what the tests need and the machine lacks. Does nothing, and quickly, when all is there.
#
#   Debian packages   ffmpeg (the judge), nginx + libnginx-mod-rtmp (the target), chromium and
#                     firefox-esr (the browsers), prometheus (promtool, the judge of /metrics), curl (for
#                     the examples of the API), openssl (certificates and encrypted
#                     segments of the field cases), systemd (systemd-analyze, the judge of the unit), Python with
#                     venv, build-essential (libFuzzer is C++)
#
# npm and Python packages (socket.io, python-socketio, schemathesis, openapi-spec-validator) are installed by the tests
# that use them, pinned, below tests/processors/node and target/tmp.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

packages=()
command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || packages+=(ffmpeg)
# Debian keeps nginx in /usr/sbin, which is not on everybody's PATH.
PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || packages+=(nginx)
[ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || packages+=(libnginx-mod-rtmp)
command -v chromium >/dev/null || packages+=(chromium)
command -v firefox-esr >/dev/null || packages+=(firefox-esr)
command -v systemd-analyze >/dev/null || packages+=(systemd)
command -v promtool >/dev/null || packages+=(prometheus)
command -v curl >/dev/null || packages+=(curl)
command -v openssl >/dev/null || packages+=(openssl)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
# The C++ compiler is for libFuzzer.
command -v cc >/dev/null && command -v c++ >/dev/null || packages+=(build-essential)
if [ "${#packages[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "setup: missing ${packages[*]}, and this is no Debian: install them by hand" >&2
    exit 1
  fi
  echo "setup: installing ${packages[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

for tool in cargo node npm; do
  command -v "$tool" >/dev/null || { echo "setup: $tool is missing: install Rust (rustup.rs) and Node.js 20.19 or later" >&2; exit 1; }
done
# Vite, which builds the page, refuses an older one with a message of many lines.
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  { echo "setup: Node.js $(node --version) is too old: install 20.19 or later" >&2; exit 1; }

echo "setup: all tools are there"
