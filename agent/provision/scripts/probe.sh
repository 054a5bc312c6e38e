# Tells what kind of machine this is; changes nothing. MARK begins each section.
. ./env
. ./manager.sh
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
echo "$MARK os-release"
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null
echo
echo "$MARK arch"
uname -m
echo "$MARK dockerd"
command -v dockerd
echo "$MARK init"
manager
echo "$MARK daemon.json"
# What a former run of ours wrote is no wish of the image: the image's own file was kept beside it.
if [ -e /etc/docker/daemon.json.image ]; then cat /etc/docker/daemon.json.image
elif [ -e /etc/docker/daemon.json ]; then cat /etc/docker/daemon.json; fi
echo
echo "$MARK end"
exit 0
