#!/usr/bin/env bash
# Cargo for binaries that need nothing of the machine: scripts/static-cargo.sh build --release --bin overdub
#
# TARGET chooses between glibc (the default) and musl. Random bytes come from the kernel's call and not from a device: a
# static program cannot look the call up as a shared one does, and an empty root has no /dev.
set -euo pipefail
target=${TARGET:-$(uname -m)-unknown-linux-gnu}
export RUSTFLAGS="-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\" ${RUSTFLAGS:-}"
exec cargo "$1" --locked --target "$target" "${@:2}"
