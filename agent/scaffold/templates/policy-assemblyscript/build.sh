#!/usr/bin/env bash
# Builds NAME.wasm. It wants Node.js 18 or newer; npm installs the compiler at first use.
set -euo pipefail
cd "$(dirname "$0")"
exec bash millwright/build.sh . NAME.wasm
