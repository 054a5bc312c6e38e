#!/bin/sh
# The first process of a host that is a container: makes it look like a Debian that boots, then becomes System V's init, which starts sshd.
set -eu

# An engine inside wants to write to its cgroups. Without full privileges they come read-only; a plain remount says busy.
writable() { mount -o remount,bind,rw "$1" 2>/dev/null || true; }

writable /sys
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # cgroup v2: the root group may not hold processes once it hands controllers down
	writable /sys/fs/cgroup
	mkdir -p /sys/fs/cgroup/init
	while read -r pid; do echo "$pid" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true; done </sys/fs/cgroup/cgroup.procs
	sed 's/^/+/; s/ / +/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
else
	mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	writable /sys/fs/cgroup
	for dir in /sys/fs/cgroup/*; do
		if mountpoint -q "$dir"; then writable "$dir"; fi
	done
fi
mount -t tmpfs -o mode=755 run /run # empty at each boot
mkdir -p /run/lock
mount --make-rshared /

in=/etc/millwright
install -d -m 0700 /root/.ssh
install -m 0600 $in/authorized_keys /root/.ssh/authorized_keys
install -m 0600 $in/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
exec /sbin/init
