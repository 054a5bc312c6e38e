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
	for dir in /sys/fs/cgroup/*; do
		if mountpoint -q "$dir"; then writable "$dir"; fi
	done
	mkdir -p /sys/fs/cgroup/systemd
	mountpoint -q /sys/fs/cgroup/systemd || mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
	writable /sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs tmp /tmp
mount --make-rshared /

# What the driver of a machine puts into /etc/millwright: with it sshd is started too. first-boot runs once the host is up, as cloud-init would.
in=/etc/millwright
wants=/etc/systemd/system/multi-user.target.wants
if [ -s $in/authorized_keys ]; then
	install -d -m 0700 /root/.ssh
	install -m 0600 $in/authorized_keys /root/.ssh/authorized_keys
	install -m 0600 $in/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
	mkdir -p $wants
	ln -sf /lib/systemd/system/ssh.service $wants/ssh.service
fi
if [ -s $in/first-boot ]; then
	mkdir -p $wants
	printf '[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/bin/sh %s\n' $in/first-boot >/etc/systemd/system/first-boot.service
	ln -sf ../first-boot.service $wants/first-boot.service
fi
export container=docker
# The last word lets a systemd of 2024 and later start where the host has the cgroups of old.
exec /lib/systemd/systemd --log-target=console --show-status=no SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
