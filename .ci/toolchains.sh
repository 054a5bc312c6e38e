#!/usr/bin/env bash
# Finds the compilers that the guests in other languages than Go want, or on Debian and Ubuntu as root installs them: clang and wasm-ld, Rust for
# wasm32-unknown-unknown, cargo, Node.js with npm, and by npm the AssemblyScript compiler. Quick and silent when all are there. What is on PATH stays first:
# Debian's Rust is installed beside another one that lacks the target, and is used by its path.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
MILLWRIGHT_STEP=toolchains
. "$top/.ci/lib.sh"

target=wasm32-unknown-unknown

has() { command -v "$1" >/dev/null; }

# compiles_to_wasm RUSTC tells whether that compiler has the target's libraries.
compiles_to_wasm() {
	local libraries
	libraries=$("$1" --print target-libdir --target "$target" 2>/dev/null) && compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

packages=()
if ! has clang || ! has wasm-ld; then packages+=(clang lld); fi
if ! compiles_to_wasm rustc && ! compiles_to_wasm /usr/bin/rustc; then packages+=(rustc libstd-rust-dev-wasm32 lld); fi
# A test builds a module with cargo, whose compiler must have the target.
if ! has cargo || { ! compiles_to_wasm rustc && [ ! -x /usr/bin/cargo ]; }; then packages+=(cargo); fi
has node || packages+=(nodejs)
has npm || packages+=(npm)

if [ ${#packages[@]} -gt 0 ]; then
	on_debian || die "compilers for WebAssembly are missing; install ${packages[*]} (the names are Debian's), or run this as root on Debian or Ubuntu"
	apt_install "${packages[@]}"
fi

sdk=$top/sdk/assemblyscript
if [ ! -f "$sdk/node_modules/assemblyscript/bin/asc.js" ]; then
	say "installing the AssemblyScript compiler by npm"
	cd "$sdk"
	beat "npm ci" npm ci --no-progress
fi
