#!/usr/bin/env bash
# Builds a policy or driver in AssemblyScript: build.sh FOLDER OUT.wasm. FOLDER holds assembly/index.ts, which imports "millwright/assembly".
#
# It wants node. The compiler is the one in FOLDER/node_modules or in this SDK's; where neither is there, npm installs the latter from package-lock.json.
# With MILLWRIGHT_INSTALL=no nothing is installed; a missing toolchain is exit code 69.
set -euo pipefail
sdk=$(cd "$(dirname "$0")" && pwd)

die() { echo "build.sh: $*" >&2; exit 1; }
missing() { echo "build.sh: $*" >&2; exit 69; }

[ $# = 2 ] || die "usage: build.sh FOLDER OUT.wasm"
folder=$(cd "$1" && pwd)
[ -f "$folder/assembly/index.ts" ] || die "$folder holds no assembly/index.ts"
mkdir -p "$(dirname "$2")"
out=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")

command -v node >/dev/null || missing "node is missing; install Node.js 18 or newer with npm (apt-get install nodejs npm)"
asc=$folder/node_modules/assemblyscript/bin/asc.js
[ -f "$asc" ] || asc=$sdk/node_modules/assemblyscript/bin/asc.js

# install puts the compiler into the SDK's node_modules, once however many builds want it.
install() {
	[ "${MILLWRIGHT_INSTALL:-yes}" != no ] && command -v npm >/dev/null || missing "the AssemblyScript compiler is missing; run npm ci in $sdk"
	(
		if command -v flock >/dev/null; then flock 9; fi
		[ ! -f "$asc" ] || exit 0
		cd "$sdk"
		npm ci --silent --no-progress >&2
	) 9>"${TMPDIR:-/tmp}/millwright-npm.lock"
}
[ -f "$asc" ] || install

# The compiler looks for the package by its name in a folder of packages.
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-assemblyscript.XXXXXX")
trap 'rm -rf "$work"' EXIT
ln -s "$sdk" "$work/millwright"
cd "$folder"
node "$asc" assembly/index.ts --config "$sdk/asconfig.json" --path "$work" --outFile "$work/module.wasm"
mv "$work/module.wasm" "$out"
