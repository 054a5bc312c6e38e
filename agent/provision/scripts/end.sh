# Makes the machine switch itself off after LEFT seconds, whatever becomes of the agent. Run again it counts anew.
set -eu
. ./env
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

if [ -d /run/systemd/system ]; then
	# Counted by the monotonic clock: a wall clock that is set after the boot ends nothing too early. A reboot counts anew.
	cat >/etc/systemd/system/millwright-end.service <<EOF
[Unit]
Description=Switch off: this machine's time is over
[Service]
Type=oneshot
ExecStart=$(command -v systemctl) poweroff
EOF
	cat >/etc/systemd/system/millwright-end.timer <<EOF
[Unit]
Description=The end of this machine
[Timer]
OnActiveSec=${LEFT}s
AccuracySec=10s
[Install]
WantedBy=timers.target
EOF
	systemctl daemon-reload
	systemctl enable millwright-end.timer >/dev/null 2>&1 || :
	systemctl restart millwright-end.timer
	exit 0
fi

# The last line is for a machine that is a container, where nothing can be powered off: its first process ends.
cat >/run/millwright-end <<'EOF'
sleep "$1"
poweroff || shutdown -h now || halt -p
sleep 10
kill -TERM 1
EOF
pid=$(cat /run/millwright-end.pid 2>/dev/null) || pid=
if [ -n "$pid" ] && grep -q /run/millwright-end "/proc/$pid/cmdline" 2>/dev/null; then
	kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null || :
fi
setsid sh -c 'echo $$ >/run/millwright-end.pid; exec sh /run/millwright-end "$0"' "$LEFT" </dev/null >/dev/null 2>&1 &
