#!/usr/bin/env bash
# One binary that needs nothing of the machine it runs on: linked statically, checked to be so, and run in an empty
# root folder.
#
#   scripts/build-static.sh            target/x86_64-unknown-linux-gnu/release/overdub
#   TARGET=x86_64-unknown-linux-musl scripts/build-static.sh       with musl (rustup and Debian's musl-tools)
#
# The default is glibc, linked statically: it is what docs/PERFORMANCE.md measures. Names are resolved in the empty root
# too, from its hosts and resolv.conf.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${TARGET:-$(uname -m)-unknown-linux-gnu}
case $target in
  *-musl)
    command -v musl-gcc >/dev/null || { echo "build-static: musl-gcc is missing: apt-get install musl-tools" >&2; exit 1; }
    rustup target add "$target"
    ;;
esac
# The web page is part of the binary; without npm there is none, and the service says so.
if command -v npm >/dev/null; then make --silent ui; fi
TARGET=$target ./scripts/static-cargo.sh build --release --bin overdub "$@"
./scripts/check-static.sh "${CARGO_TARGET_DIR:-target}/$target/release/overdub"
