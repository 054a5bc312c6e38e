#!/usr/bin/env bash
# Builds NAME.wasm. It wants Rust for wasm32-unknown-unknown, and no network; on Debian or Ubuntu as root it installs one.
set -euo pipefail
cd "$(dirname "$0")"
exec bash millwright/build.sh . NAME.wasm
