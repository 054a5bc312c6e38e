# Puts the engine's certificates and configuration in place and (re)starts it, unless it runs with exactly these. STAMP stands for
# them all; it is written last, so that an interrupted run is done again. Files come beside this script. INIT is what manages services here
# (systemd, openrc, sysv, none), PORT where the engine listens, FIREWALL whether the image itself turns strangers away from it. NAME is what the
# machine is to be called, "" for what it is called already.
set -eu
. ./env
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
stamp=/run/millwright-engine.stamp
log=/var/log/millwright-engine.log
service=millwright-engine

# engine PID tells whether that process is an engine, and none that only waits to be reaped.
engine() {
	[ "$(cat "/proc/$1/comm" 2>/dev/null)" = dockerd ] && ! grep -q "^State:.*zombie" "/proc/$1/status" 2>/dev/null
}

# running prints the engine's process ids, where no systemd keeps them.
running() {
	for f in /run/millwright-engine.pid /var/run/docker.pid; do
		pid=$(cat "$f" 2>/dev/null) || continue
		if engine "$pid"; then echo "$pid"; fi
	done | sort -u
}

up() {
	if [ "$INIT" = systemd ]; then systemctl is-active --quiet docker.service; else [ -n "$(running)" ]; fi
}

# call NAME gives the machine its name, now and at the next boot. One that can't be changed is good enough.
call() {
	case $(uname -n) in "$1" | "$1".*) return 0 ;; esac
	(echo "$1" >/proc/sys/kernel/hostname && echo "$1" >/etc/hostname) 2>/dev/null || echo "the machine keeps the name $(uname -n)"
	grep -qE "[[:space:]]$1([[:space:]]|\$)" /etc/hosts 2>/dev/null || (echo "127.0.1.1 $1" >>/etc/hosts) 2>/dev/null || :
}
if [ -n "$NAME" ]; then call "$NAME"; fi

if [ "$(cat $stamp 2>/dev/null)" = "$STAMP" ] && up; then
	echo "the engine runs with this configuration already"
	exit 0
fi
rm -f $stamp

# put FILE TARGET MODE replaces TARGET as a whole.
put() {
	mkdir -p "$(dirname "$2")"
	cp "$1" "$2.new"
	chmod "$3" "$2.new"
	mv -f "$2.new" "$2"
}

mkdir -p /etc/docker
if [ -e /etc/docker/daemon.json ] && [ ! -e /etc/docker/daemon.json.image ]; then
	cp -p /etc/docker/daemon.json /etc/docker/daemon.json.image
elif [ ! -e /etc/docker/daemon.json.image ]; then
	echo '{}' >/etc/docker/daemon.json.image
fi
put ca.pem /etc/docker/ca.pem 644
put server.pem /etc/docker/server.pem 644
put server-key.pem /etc/docker/server-key.pem 600
put daemon.json /etc/docker/daemon.json 644

# Container-Optimized OS lets nobody in but SSH; where firewalld runs it does the same.
if [ "$FIREWALL" = closed ]; then
	iptables -w -C INPUT -p tcp --dport "$PORT" -j ACCEPT 2>/dev/null || iptables -w -A INPUT -p tcp --dport "$PORT" -j ACCEPT
fi
if command -v firewall-cmd >/dev/null 2>&1 && firewall-cmd --state >/dev/null 2>&1; then
	firewall-cmd --quiet --add-port="$PORT/tcp"
	firewall-cmd --quiet --permanent --add-port="$PORT/tcp" || :
fi

# stop ends an engine that no systemd keeps.
stop() {
	for pid in $(running); do
		kill "$pid" || :
		i=0
		while engine "$pid"; do
			i=$((i + 1))
			if [ $i -eq 300 ]; then kill -9 "$pid" || :; fi
			if [ $i -gt 350 ]; then
				echo "the engine that runs here (process $pid) does not end" >&2
				exit 1
			fi
			sleep 0.1
		done
	done
	rm -f /run/millwright-engine.pid /var/run/docker.pid
	# Where /run outlives a restart, the engine would wait for whoever has its containerd's process id now.
	pid=$(cat /var/run/docker/containerd/containerd.pid 2>/dev/null) || pid=
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != containerd ]; then
		rm -f /var/run/docker/containerd/containerd.pid
	fi
}

# started waits until the engine has noted its process id.
started() {
	i=0
	while [ ! -s /run/millwright-engine.pid ] && [ $i -lt 50 ]; do
		i=$((i + 1))
		sleep 0.1
	done
}

case $INIT in
systemd)
	put drop-in /etc/systemd/system/docker.service.d/zz-millwright.conf 600
	systemctl daemon-reload
	systemctl enable docker.service >/dev/null 2>&1 || :
	systemctl reset-failed docker.service 2>/dev/null || :
	systemctl restart docker.service || {
		journalctl -u docker.service -n 30 --no-pager -o cat 2>/dev/null || systemctl status docker.service --no-pager || :
		exit 1
	}
	;;
openrc)
	# The distribution's own service would start a second engine with the next boot.
	rc-service --ifstarted --quiet docker stop || :
	rc-update --quiet delete docker >/dev/null 2>&1 || :
	put start /etc/docker/millwright-engine 700
	put openrc /etc/init.d/$service 755
	rc-update --quiet add $service default >/dev/null 2>&1 || :
	rc-service --ifstarted --quiet $service stop || :
	stop
	rc-service --quiet $service zap 2>/dev/null || :
	rc-service --quiet $service start
	started
	;;
*)
	put start /etc/docker/millwright-engine 700
	stop
	if [ "$INIT" = sysv ]; then
		put sysv /etc/init.d/$service 755
		if command -v update-rc.d >/dev/null 2>&1; then
			update-rc.d docker disable >/dev/null 2>&1 || :
			update-rc.d $service defaults >/dev/null
		else
			chkconfig docker off >/dev/null 2>&1 || :
			chkconfig --add $service
		fi
	fi
	setsid sh /etc/docker/millwright-engine </dev/null >$log 2>&1 &
	started
	;;
esac
echo "$STAMP" >$stamp
