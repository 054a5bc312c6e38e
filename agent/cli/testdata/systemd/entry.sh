#!/bin/sh
# The first process of a host that is a container: makes it look like a booted Debian, then becomes systemd.
set -eu

# systemd wants to write to its own cgroups. Without full privileges they come read-only; a plain remount says busy.
writable() { mount -o remount,bind,rw "$1" 2>/dev/null || true; }

writable /sys
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # cgroup v2
	writable /sys/fs/cgroup
else
	mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	writable /sys/fs/cgroup
	mkdir -p /sys/fs/cgroup/systemd
	mountpoint -q /sys/fs/cgroup/systemd || mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
	writable /sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs tmp /tmp
export container=docker
exec /lib/systemd/systemd --log-target=console --show-status=no
