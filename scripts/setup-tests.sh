#!/usr/bin/env bash
# Installs what the tests need and the machine lacks. Does nothing, and quickly, when all is there.
#
#   Debian packages   ffmpeg (the judge), nginx + libnginx-mod-rtmp (the target), Python with venv
#   npm packages      tests/processors/node      (socket.io, the processor that Node would be)
#   Python packages   tests/processors/python    (python-socketio), in target/test-venv
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
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3 python3-venv)
command -v cc >/dev/null || packages+=(build-essential)
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
  command -v "$tool" >/dev/null || { echo "setup: $tool is missing: install Rust (rustup.rs) and Node.js 18 or later" >&2; exit 1; }
done

# Runs a command again only when the file that decides its result has changed.
once_per() {
  local stamp="target/setup/$1" input="$2"; shift 2
  mkdir -p target/setup
  if ! cmp -s "$input" "$stamp"; then
    "$@"
    cp "$input" "$stamp"
  fi
}

node=tests/processors/node
if [ -e "$node/package-lock.json" ]; then
  [ -d "$node/node_modules" ] || rm -f target/setup/npm
  once_per npm "$node/package-lock.json" npm ci --prefix "$node" --no-audit --no-fund --loglevel=error
fi

python=tests/processors/python
if [ -e "$python/requirements.txt" ]; then
  if ! target/test-venv/bin/python -c '' 2>/dev/null; then
    rm -rf target/test-venv target/setup/pip
    mkdir -p target
    python3 -m venv target/test-venv
  fi
  once_per pip "$python/requirements.txt" \
    target/test-venv/bin/pip install --quiet --disable-pip-version-check -r "$python/requirements.txt"
fi
echo "setup: all tools are there"
