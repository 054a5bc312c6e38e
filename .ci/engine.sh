#!/usr/bin/env bash
# Finds a Docker engine, or on Debian and Ubuntu as root installs and starts one. Quick when there is one. An engine that it started goes on
# running: `kill $(cat /var/run/docker.pid)` ends it.
set -euo pipefail
MILLWRIGHT_STEP=engine
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

log=/var/log/millwright-dockerd.log

answers() { timeout 10 docker version >/dev/null 2>&1; }

# describe says in one line which engine it is.
describe() { docker version --format '{{.Server.Version}} (API {{.Server.APIVersion}}, {{.Server.Os}}/{{.Server.Arch}})'; }

if command -v docker >/dev/null && answers; then
	say "found a Docker engine: $(describe)"
	exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
	die "DOCKER_HOST is $DOCKER_HOST, and no engine answers there; start it, or unset DOCKER_HOST to use a local one"
fi
case $(uname -s) in
Linux) ;;
Darwin) die "no Docker engine answers; install Docker Desktop, Colima or Rancher Desktop, start it, and run this again" ;;
*) die "no Docker engine answers; install Docker Desktop, start it, and run this again (on Windows in WSL)" ;;
esac
if [ -S /var/run/docker.sock ] && command -v docker >/dev/null && [ "$(id -u)" != 0 ]; then
	die "an engine is there but you may not use it; join the group docker (sudo usermod -aG docker $(id -un), then log in again) or run this as root"
fi
if ! on_debian; then
	die "no Docker engine answers; install Docker (https://docs.docker.com/engine/install/) and start it, or run this as root on Debian or Ubuntu"
fi

packages=(iptables)
command -v dockerd >/dev/null || packages+=(docker.io)
if ! command -v docker >/dev/null; then
	[[ " ${packages[*]} " == *" docker.io "* ]] || packages+=(docker.io)
	# Newer releases have the command line in a package of its own.
	if apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
fi
apt_install "${packages[@]}"

if ! answers; then
	if [ -d /run/systemd/system ]; then
		say "starting the engine by systemd"
		systemctl start docker || die "systemctl start docker: no success; journalctl -u docker says why"
	else
		say "starting the engine; its log is $log"
		setsid dockerd </dev/null >>"$log" 2>&1 &
	fi
fi
for _ in $(seq 60); do
	if answers; then
		say "the Docker engine is ready: $(describe)"
		exit 0
	fi
	[ $((SECONDS % 10)) -ne 0 ] || say "waiting for the engine to answer"
	sleep 1
done
say "the engine does not answer after a minute; the end of its log:"
tail -n 25 "$log" >&2 2>/dev/null || journalctl -u docker -n 25 --no-pager >&2 || true
exit 1
