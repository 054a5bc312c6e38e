# Exits 1, with the end of the engine's log, when the engine has died.
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ -d /run/systemd/system ]; then
	systemctl is-failed --quiet docker.service || exit 0
	journalctl -u docker.service -n 30 --no-pager -o cat
else
	pid=$(cat /run/millwright-engine.pid 2>/dev/null)
	if [ -n "$pid" ] && [ -d "/proc/$pid" ]; then exit 0; fi
	tail -n 30 /var/log/millwright-engine.log
fi
rm -f /run/millwright-engine.stamp
exit 1
