#!/usr/bin/env bash
# Cargo for binaries that need nothing of the machine: scripts/static-cargo.sh build --release --bin overdub
#
# TARGET chooses between glibc (the default) and musl. Random bytes come from the kernel's call and not from a device: a
# static program cannot look the call up as a shared one does, and an empty root has no /dev.
set -euo pipefail
target=${TARGET:-$(uname -m)-unknown-linux-gnu}
export RUSTFLAGS="-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\" ${RUSTFLAGS:-}"
# Kernels for ARM have pages of 4, 16 or 64 KiB: an allocator made for the largest runs on all of them.
case $target in aarch64-*) export JEMALLOC_SYS_WITH_LG_PAGE=16 ;; esac
exec cargo "$1" --locked --target "$target" "${@:2}"
