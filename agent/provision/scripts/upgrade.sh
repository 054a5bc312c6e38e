# Brings the engine's packages up to date with the machine's package manager, and restarts the engine where it changed.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH DEBIAN_FRONTEND=noninteractive
before=$(dockerd --version 2>/dev/null || :)
if command -v apt-get >/dev/null 2>&1; then
	apt-get -o DPkg::Lock::Timeout=300 update -qq
	for p in docker-ce docker-ce-cli containerd.io docker.io; do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ]; then set -- "$@" "$p"; fi
	done
	if [ $# -gt 0 ]; then apt-get -o DPkg::Lock::Timeout=300 install -y -qq --only-upgrade -o Dpkg::Options::=--force-confold "$@" </dev/null; fi
elif command -v rpm >/dev/null 2>&1; then
	for p in docker-ce docker-ce-cli containerd.io docker moby-engine; do
		if rpm -q "$p" >/dev/null 2>&1; then set -- "$@" "$p"; fi
	done
	if [ $# -gt 0 ]; then
		if command -v dnf >/dev/null 2>&1; then dnf -y upgrade "$@"
		elif command -v yum >/dev/null 2>&1; then yum -y update "$@"
		else zypper --non-interactive update "$@"; fi </dev/null
	fi
elif command -v apk >/dev/null 2>&1; then
	apk add -U -u docker-engine || apk add -U -u docker
	set -- docker
fi
if [ $# -eq 0 ]; then
	echo "no package that is known brought the engine here; upgrade the image that machines are made of" >&2
	exit 1
fi
after=$(dockerd --version 2>/dev/null || :)
echo "$after"
if [ "$before" != "$after" ]; then rm -f /run/millwright-engine.stamp; fi
