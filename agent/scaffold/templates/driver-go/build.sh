#!/usr/bin/env bash
# Builds NAME.wasm. It wants Go GOVERSION or newer and no network.
set -euo pipefail
cd "$(dirname "$0")"
GOWORK=off GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -buildvcs=false -trimpath -ldflags="-s -w" -o NAME.wasm .
