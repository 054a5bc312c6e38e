# Shared by the scripts that build images. Source it; it needs bash and the caller's `set -euo pipefail`.
# shellcheck shell=bash

# say prints one line of progress to standard error, with the seconds since the script began.
say() { printf '%s %3ds  %s\n' "${MILLWRIGHT_STEP:-millwright}:" "$SECONDS" "$*" >&2; }

# die says what is missing and what to do, and ends the script.
die() { say "$*"; exit 1; }

# beat COMMAND... runs a command whose own output goes to a log file, and says every 10 s that it still runs.
# When the command fails the end of its log is shown.
beat() {
	local what=$1 log pid status=0
	shift
	log=$(mktemp "${TMPDIR:-/tmp}/millwright-log.XXXXXX")
	"$@" >"$log" 2>&1 &
	pid=$!
	( while sleep 10; do say "$what: still at it ($(tail -n 1 "$log" | tr -d '\r' | cut -c 1-90))"; done ) &
	local heart=$!
	wait "$pid" || status=$?
	kill "$heart" 2>/dev/null; wait "$heart" 2>/dev/null || true
	if [ "$status" -ne 0 ]; then
		say "$what: ended with exit code $status; the end of its output:"
		tail -n 25 "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

# hash_of FILE... prints a short hash of the files' names and content, the key of a build cache.
hash_of() { sha256sum -- "$@" | sed 's,  .*/,  ,' | sha256sum | cut -c 1-16; }

# on_debian tells whether packages can be installed by apt here.
on_debian() { [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# apt_extract PACKAGE FILE TO puts one file of a package into place without installing the package: one that would start a daemon, say.
apt_extract() {
	local dir
	dir=$(mktemp -d "${TMPDIR:-/tmp}/millwright-apt.XXXXXX")
	say "taking ${2##*/} out of the package $1"
	(
		flock 9
		cd "$dir"
		compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null && beat "apt-get download" apt-get download "$1" && exit 0
		beat "apt-get update" apt-get update
		beat "apt-get download" apt-get download "$1"
	) 9>"${TMPDIR:-/tmp}/millwright-apt.lock"
	dpkg-deb -x "$dir"/*.deb "$dir/root"
	install -D "$dir/root/$2" "$3"
	rm -rf "$dir"
}

# apt_install PACKAGE... installs what is not there yet; safe to call from scripts that run at the same time.
apt_install() {
	local missing=() p
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]} by apt"
	(
		flock 9
		export DEBIAN_FRONTEND=noninteractive
		local options=(-y --no-install-recommends -o DPkg::Lock::Timeout=120)
		if compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then
			beat "apt-get install" apt-get install "${options[@]}" "${missing[@]}" && exit 0
			say "trying again with fresh package lists"
		fi
		beat "apt-get update" apt-get update
		beat "apt-get install" apt-get install "${options[@]}" "${missing[@]}"
	) 9>"${TMPDIR:-/tmp}/millwright-apt.lock"
}
