#!/bin/sh
# finish.sh IMAGE ROOT: what Debian's maintainer scripts would have done, less what a job image does not need.
set -eu
image=$1 root=$2
. "$(dirname "$0")/../../../.ci/slim.sh"

base_files
drop_common
case $image in
busybox)
	for name in $("$root/bin/busybox" --list); do
		[ -e "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"
	done
	;;
redis) # the service needs its program and libraries only
	find "$root"/usr/bin "$root"/usr/sbin "$root"/bin "$root"/sbin -mindepth 1 ! -name 'redis-server' ! -name 'redis-check-rdb' ! -name 'redis-cli' -delete
	drop_unused_libraries
	;;
cc)
	[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
	ln -sf mawk "$root/usr/bin/awk"
	ln -sf tcc "$root/usr/bin/cc"
	find "$root"/usr/bin -name '*-tcc' -delete
	find "$root"/usr/lib -name '*.a' ! -name libc_nonshared.a ! -name libtcc1.a -delete # programs are linked dynamically
	drop_unused_libraries
	;;
esac
