#!/usr/bin/env bash
# Builds .cache/vm: the disk of a virtual machine (Debian bookworm with systemd, cloud-init, sshd and a Docker engine that is not started), its
# kernel and its initial ramdisk. It does nothing when there is one made by this very recipe. Needs root on Debian or Ubuntu: it installs QEMU
# and mmdebstrap by apt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../../.." && pwd)
MILLWRIGHT_STEP=vm-image
. "$top/.ci/lib.sh"
. "$top/.ci/bootstrap.sh"

out=$top/.cache/vm
recipe=$(hash_of "$here/build.sh" "$top/.ci/bootstrap.sh")
on_debian || die "the virtual machine is made of Debian's packages: run this as root on Debian or Ubuntu"
apt_install qemu-system-x86 qemu-utils e2fsprogs
tools
if [ "$(cat "$out/recipe" 2>/dev/null)" = "$recipe" ]; then
	say "$out is there already"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/millwright-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT

# before runs when the essential packages are there, and the kernel is not.
cat >"$work/before.sh" <<'HOOK'
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=gzip\nFSTYPE=ext4\nRESUME=none\n' >"$1/etc/initramfs-tools/conf.d/small"
printf 'virtio_pci\nvirtio_blk\next4\n' >"$1/etc/initramfs-tools/modules"
HOOK
cat >"$work/after.sh" <<'HOOK'
set -eu
root=$1
cp "$root"/boot/vmlinuz-* "$WORK/vmlinuz"
cp "$root"/boot/initrd.img-* "$WORK/initrd"
rm -rf "$root"/boot/* "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id"
: >"$root/etc/machine-id"
echo vm >"$root/etc/hostname"
printf '/dev/vda / ext4 defaults,noatime 0 0\n' >"$root/etc/fstab"
printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf"
# The network is QEMU's own: 10.0.2.15 behind 10.0.2.2.
printf '[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\n' >"$root/etc/systemd/network/vm.network"
mkdir -p "$root/etc/cloud/cloud.cfg.d" "$root/etc/systemd/system/multi-user.target.wants"
# Each stage of cloud-init is Python that starts anew; two of them have nothing to do here.
cat >"$root/etc/cloud/cloud.cfg.d/90-vm.cfg" <<'CLOUD'
network: {config: disabled}
datasource_list: [NoCloud]
cloud_init_modules: [users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: []
CLOUD
# The engine without the parts of containerd that it never uses.
mkdir -p "$root/etc/containerd"
printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]\n' >"$root/etc/containerd/config.toml"
ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
# The engine is the provisioner's to start; the rest has no use here and costs seconds on an emulated processor.
for unit in docker.service docker.socket containerd.service; do rm -f "$root"/etc/systemd/system/*.wants/"$unit"; done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer logrotate.timer man-db.timer \
	systemd-networkd-wait-online.service getty@tty1.service getty-static.service serial-getty@ttyS0.service e2scrub_reap.service cloud-config.service cloud-final.service \
	cloud-init-hotplugd.socket systemd-journal-flush.service systemd-timesyncd.service systemd-pstore.service systemd-machine-id-commit.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
HOOK
say "bootstrapping Debian bookworm with a kernel, systemd, cloud-init and an engine (two minutes)"
beat mmdebstrap bootstrap "$work/root.tar" minbase \
	systemd,systemd-sysv,udev,linux-image-cloud-amd64,initramfs-tools,cloud-init,python3-cffi-backend,openssh-server,sudo,docker.io,iptables,ca-certificates,iproute2,procps,kmod \
	--essential-hook="sh '$work/before.sh' \"\$1\"" --customize-hook="WORK='$work' sh '$work/after.sh' \"\$1\""
say "making its disk"
mkdir "$work/root"
tar -C "$work/root" -xpf "$work/root.tar" --numeric-owner
mkdir -p "$work/root/dev" # where the kernel's own is mounted
mke2fs -q -t ext4 -O '^metadata_csum,^has_journal' -d "$work/root" "$work/root.ext4" 4G
mkdir -p "$out"
qemu-img convert -f raw -O qcow2 "$work/root.ext4" "$out/base.qcow2"
cp "$work/vmlinuz" "$work/initrd" "$out/"
echo "$recipe" >"$out/recipe"
say "$out is ready: $(du -sh "$out" | cut -f 1)"
