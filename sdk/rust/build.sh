#!/usr/bin/env bash
# Builds a policy or driver in Rust: build.sh FOLDER OUT.wasm. FOLDER holds a Cargo.toml and src/lib.rs.
#
# It takes the first of these that can build for wasm32-unknown-unknown: cargo, when the rustc on PATH has that target (rustup target add
# wasm32-unknown-unknown); the rustc on PATH or /usr/bin/rustc, Debian's; and where neither can, Debian's after installing it by apt, as root.
# rustc alone builds a module that depends on this SDK and nothing else. With MILLWRIGHT_INSTALL=no nothing is installed; a missing toolchain is
# exit code 69.
set -euo pipefail
target=wasm32-unknown-unknown
sdk=$(cd "$(dirname "$0")" && pwd)

die() { echo "build.sh: $*" >&2; exit 1; }

[ $# = 2 ] || die "usage: build.sh FOLDER OUT.wasm"
folder=$(cd "$1" && pwd)
[ -f "$folder/Cargo.toml" ] && [ -f "$folder/src/lib.rs" ] || die "$folder holds no Cargo.toml and src/lib.rs"
mkdir -p "$(dirname "$2")"
out=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")

# able RUSTC tells whether that compiler has the target's libraries.
able() {
	local libraries
	libraries=$("$1" --print target-libdir --target "$target" 2>/dev/null) && compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

# debian installs Debian's compiler beside whatever is on PATH.
debian() {
	if [ "${MILLWRIGHT_INSTALL:-yes}" = no ] || [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "build.sh: no Rust for $target is here; rustup target add $target, or install rustc, libstd-rust-dev-wasm32 and lld on Debian or Ubuntu" >&2
		exit 69
	fi
	echo "build.sh: installing rustc, libstd-rust-dev-wasm32 and lld by apt" >&2
	local options=(-qq -y --no-install-recommends -o DPkg::Lock::Timeout=120) packages=(rustc libstd-rust-dev-wasm32 lld)
	export DEBIAN_FRONTEND=noninteractive
	apt-get install "${options[@]}" "${packages[@]}" >&2 2>/dev/null || { apt-get -qq update >&2 && apt-get install "${options[@]}" "${packages[@]}" >&2; }
}

work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-rust.XXXXXX")
trap 'rm -rf "$work"' EXIT

# with_rustc RUSTC builds the SDK and then the module. Optimizing across both would take five times as long for a sixth of the size;
# optimizing for size would save a tenth of it and make decisions a tenth slower.
with_rustc() {
	local flags=(--edition 2021 --target "$target" -C opt-level=2 -C panic=abort)
	"$1" "${flags[@]}" --crate-type rlib --crate-name millwright -o "$work/libmillwright.rlib" "$sdk/src/lib.rs"
	"$1" "${flags[@]}" -C strip=symbols --crate-type cdylib --crate-name module --extern millwright="$work/libmillwright.rlib" \
		-o "$work/module.wasm" "$folder/src/lib.rs"
}

if command -v rustc >/dev/null && able rustc; then
	if command -v cargo >/dev/null; then
		(cd "$folder" && CARGO_TARGET_DIR="$work" cargo build --quiet --release --target "$target")
		mv "$work/$target"/release/*.wasm "$work/module.wasm"
	else
		with_rustc rustc
	fi
else
	able /usr/bin/rustc || debian
	with_rustc /usr/bin/rustc
fi
mv "$work/module.wasm" "$out"
