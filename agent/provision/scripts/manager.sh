# manager prints what manages services now, not what is installed: systemd, openrc, sysv or none. Source this.
manager() {
	if [ -d /run/systemd/system ]; then echo systemd
	elif [ -e /run/openrc/softlevel ] && command -v rc-service >/dev/null 2>&1; then echo openrc
	elif [ "$(cat /proc/1/comm 2>/dev/null)" = init ] && [ -d /etc/init.d ] && { command -v update-rc.d || command -v chkconfig; } >/dev/null 2>&1; then echo sysv
	else echo none
	fi
}
