# Installs the engine: by the script at URL, or where there is none by HOW, the distribution's package. Its output and its exit code are ours.
set -eu
. ./env
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# The first boot may still hold the package manager's lock. Exit code 2 is cloud-init's "done, with warnings".
# At the first boot it is cloud-init itself that waits for us.
if [ -z "${FIRST_BOOT:-}" ] && command -v cloud-init >/dev/null 2>&1; then
	cloud-init status --wait >/dev/null 2>&1 || :
fi

# fetch URL FILE
fetch() {
	if command -v curl >/dev/null 2>&1; then
		curl -fsSL --retry 3 --connect-timeout 10 -o "$2" "$1"
	elif command -v wget >/dev/null 2>&1; then
		wget -q -T 30 -O "$2" "$1"
	else
		echo "neither curl nor wget is there to fetch $1" >&2
		exit 1
	fi
}

# apt waits for whoever holds one of its locks, in whatever words it tells of it, for five minutes. Apt before 1.9.11 knows no time-out of its own.
apt() {
	i=0
	while :; do
		code=0
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >./apt 2>&1 </dev/null || code=$?
		cat ./apt
		if [ $code -eq 0 ]; then return 0; fi
		i=$((i + 1))
		if [ $i -gt 100 ] || ! grep -qiE 'could not (get|open) lock|unable to (acquire|lock)|resource temporarily unavailable' ./apt; then return $code; fi
		sleep 3
	done
}

# dnf or yum, whichever there is.
rpm_tool() { if command -v dnf >/dev/null 2>&1; then dnf -y "$@"; else yum -y "$@"; fi }

# docker_repo NAME takes Docker's own packages, where the distribution has none. They are signed.
docker_repo() {
	fetch "https://download.docker.com/linux/$1/docker-ce.repo" /etc/yum.repos.d/docker-ce.repo
	rpm_tool install docker-ce docker-ce-cli containerd.io
}

by_package() {
	case $HOW in
	apt)
		apt update || apt update
		extra=
		if apt-cache show docker-cli >/dev/null 2>&1; then extra=docker-cli; fi # of its own since Debian 13
		apt install -y --no-install-recommends docker.io $extra iptables ca-certificates
		;;
	dnf-moby) rpm_tool install moby-engine ;;
	amazon)
		if command -v amazon-linux-extras >/dev/null 2>&1; then amazon-linux-extras install -y docker; else rpm_tool install docker; fi
		;;
	docker-rhel) docker_repo rhel ;;
	docker-centos) docker_repo centos ;;
	zypper)
		. /etc/os-release
		if command -v SUSEConnect >/dev/null 2>&1; then SUSEConnect -p "sle-module-containers/$VERSION_ID/$(uname -m)" || :; fi
		zypper --non-interactive install docker
		;;
	apk) apk add --no-cache docker ;;
	pacman) pacman -Sy --noconfirm --needed docker ;;
	*)
		echo "nobody knows how to install by $HOW" >&2
		exit 1
		;;
	esac
}

if [ -n "$URL" ]; then
	fetch "$URL" ./install
	sh ./install </dev/null
else
	by_package </dev/null
fi
command -v dockerd >/dev/null 2>&1 || {
	echo "the installation ended well, but there is no dockerd" >&2
	exit 1
}
