#!/bin/sh
# The first process of a machine that is a container: makes it look like a fresh VM, then becomes sshd.
#
# It starts no Docker engine: the provisioner does that over SSH, as on any other machine. What belongs to this one machine lies in
# /etc/millwright, put there by the driver between create and start:
#
#   authorized_keys            who may log in (required)
#   ssh_host_ed25519_key[.pub] the machine's host key; without it a new one is made, which nobody can check
#   first-boot                 a script that root runs once the machine is up
#   ssh_user                   the login, root if absent; another one is made, with sudo
#   resolv.conf                replaces /etc/resolv.conf (a machine whose resolver is silent waits 20 s for each image pull)
set -eu
in=/etc/millwright

# warn keeps going: one thing less that works inside, and a line in `docker logs` that says so.
warn() { echo "millwright machine: $*" >&2; }

# The engine inside needs to write to cgroups and /sys. Without full privileges they come read-only; a plain remount says busy.
writable() { mount -o remount,bind,rw "$1" 2>/dev/null || warn "$1 stays read-only"; }

prepare_cgroups() {
	writable /sys
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # cgroup v2
		writable /sys/fs/cgroup
		# The root group may not hold processes once it hands controllers down.
		mkdir -p /sys/fs/cgroup/init
		while read -r pid; do echo "$pid" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true; done </sys/fs/cgroup/cgroup.procs
		sed 's/^/+/; s/ / +/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
		return 0
	fi
	mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup || warn "no /sys/fs/cgroup"
	writable /sys/fs/cgroup
	# /proc/cgroups: name, hierarchy, number of groups, enabled.
	awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups | while read -r name; do
		dir=/sys/fs/cgroup/$name
		if mountpoint -q "$dir"; then
			writable "$dir"
		elif [ ! -L "$dir" ]; then
			mkdir -p "$dir" && mount -t cgroup -o "$name" cgroup "$dir" 2>/dev/null || rmdir "$dir" 2>/dev/null || true
		fi
	done
	dir=/sys/fs/cgroup/systemd # runc looks for a named hierarchy too
	if mountpoint -q "$dir"; then writable "$dir"; fi
}

prepare_login() {
	user=root home=/root
	if [ -s "$in/ssh_user" ]; then user=$(tr -d ' \n' <"$in/ssh_user"); fi
	if [ "$user" != root ]; then
		id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --password '*' "$user"
		home=$(getent passwd "$user" | cut -d : -f 6)
		printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$user" >/etc/sudoers.d/millwright
		chmod 0440 /etc/sudoers.d/millwright
	fi
	install -d -m 0700 -o "$user" "$home/.ssh"
	install -m 0600 -o "$user" "$in/authorized_keys" "$home/.ssh/authorized_keys"
}

prepare_host_key() {
	key=/etc/ssh/ssh_host_ed25519_key
	if [ -s "$in/ssh_host_ed25519_key" ]; then
		install -m 0600 "$in/ssh_host_ed25519_key" "$key"
		rm -f "$in/ssh_host_ed25519_key" # one copy is enough
	elif [ ! -s "$key" ]; then
		warn "no host key was given; making one"
		ssh-keygen -q -t ed25519 -N '' -f "$key"
	fi
}

if [ ! -s "$in/authorized_keys" ]; then
	warn "$in/authorized_keys is missing: nobody could log in; the driver puts it there before start"
	exit 1
fi
prepare_cgroups
mount --make-rshared / || warn "/ stays private: bind propagation will not work inside"
if [ -s "$in/resolv.conf" ]; then cat "$in/resolv.conf" >/etc/resolv.conf; fi
prepare_login
prepare_host_key
rm -f /var/run/docker.pid /run/docker.sock # left by an engine that was running when the machine stopped
mkdir -p /run/sshd
# What a cloud's user data would be: it makes an engine of the machine, beside sshd.
if [ -s "$in/first-boot" ]; then setsid sh "$in/first-boot" </dev/null >/var/log/first-boot.log 2>&1 & fi
# sshd reaps what is orphaned and ends at once on SIGTERM; everything else ends with it, being in its PID namespace.
exec /usr/sbin/sshd -D -e
