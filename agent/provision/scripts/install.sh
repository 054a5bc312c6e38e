# Installs the engine by the script at URL. Its output and its exit code are ours.
set -eu
. ./env
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# The first boot may still hold the package manager's lock. Exit code 2 is cloud-init's "done, with warnings".
if command -v cloud-init >/dev/null 2>&1; then
	cloud-init status --wait >/dev/null 2>&1 || :
fi
if command -v curl >/dev/null 2>&1; then
	curl -fsSL --retry 3 --connect-timeout 10 -o ./install "$URL"
elif command -v wget >/dev/null 2>&1; then
	wget -q -T 30 -O ./install "$URL"
else
	echo "neither curl nor wget is there to fetch $URL" >&2
	exit 1
fi
sh ./install </dev/null
command -v dockerd >/dev/null 2>&1 || {
	echo "the script at $URL ended well, but there is no dockerd" >&2
	exit 1
}
