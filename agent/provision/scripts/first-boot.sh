# What the host would do over SSH, done by the machine itself when it boots: the engine is installed where there is none, configured and started.
# Run again, at every boot say, it restarts nothing that runs as it should. What it can't do it leaves to the host, which logs in then.
# DAEMON, the configuration, is that of an image without one. HOWS are words ID=HOW: how install.sh installs on which system. LEFT is how long
# the machine lives, in seconds, "" for ever. NAME is what it is to be called.
set -eu
. ./env
. ./manager.sh
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

if [ -n "$LEFT" ]; then
	sh ./end.sh || echo "no timer that switches the machine off"
fi
own=$(cat /etc/docker/daemon.json.image 2>/dev/null || cat /etc/docker/daemon.json 2>/dev/null || :)
case $own in
'' | '{}') ;;
*)
	echo "the image has a daemon.json of its own; the host will merge it with ours"
	exit 0
	;;
esac

ID='' ID_LIKE=''
eval "$( (cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release) | grep -E '^(ID|ID_LIKE)=')"
HOW=''
for id in $ID $ID_LIKE; do
	for h in $HOWS; do
		case $h in "$id="*)
			HOW=${h#*=}
			break 2
			;;
		esac
	done
done
FIREWALL=open
if [ "$ID" = cos ]; then FIREWALL=closed; fi
printf "HOW='%s'\nFIREWALL='%s'\nINIT='%s'\n" "$HOW" "$FIREWALL" "$(manager)" >>env
command -v dockerd >/dev/null 2>&1 || sh ./install.sh
dockerd=$(command -v dockerd)
for f in drop-in start; do
	sed "s|@DOCKERD@|$dockerd|" $f >$f.new && mv $f.new $f
done
sh ./engine.sh
