# Shared by the scripts that trim a root file system; POSIX shell, sourced. $root is the file system.
# shellcheck shell=sh

# base_files writes what Debian's maintainer scripts would have put into /etc.
base_files() {
	mkdir -p "$root/etc" "$root/root" "$root/tmp"
	chmod 1777 "$root/tmp"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	# Without it glibc does not look into /etc/hosts, and a static wget crashes.
	printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
}

# drop_common removes what no container needs, the package manager included.
drop_common() {
	rm -rf "$root"/etc/apt "$root"/etc/dpkg "$root"/etc/fstab "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/etc/cron* "$root"/etc/init.d "$root"/etc/rc* "$root"/etc/alternatives/README \
		"$root"/var/lib/apt "$root"/var/lib/dpkg "$root"/var/cache/* "$root"/var/log/* "$root"/tmp/* \
		"$root"/usr/share/doc "$root"/usr/share/common-licenses "$root"/usr/share/i18n "$root"/usr/share/perl* "$root"/usr/share/bug \
		"$root"/usr/share/initramfs-tools "$root"/usr/share/polkit-1 "$root"/usr/lib/*/gconv "$root"/usr/lib/*/audit "$root"/usr/lib/*/perl* \
		"$root"/usr/lib/systemd "$root"/lib/systemd "$root"/usr/lib/apt "$root"/usr/lib/dpkg "$root"/usr/lib/tmpfiles.d
	find "$root"/usr/bin "$root"/usr/sbin "$root"/bin "$root"/sbin \( -name 'perl*' -o -name 'dpkg*' -o -name 'apt*' -o -name 'debconf*' \) -delete 2>/dev/null || true
}

# programs lists the programs of the file system.
programs() { find "$root"/bin "$root"/sbin "$root"/usr/bin "$root"/usr/sbin "$root"/usr/lib/git-core -type f -perm /111 2>/dev/null; }

# libraries_by_name prints the libraries that programs need, and those that these need, by what their headers say: for an architecture whose
# loader does not run here.
libraries_by_name() {
	todo=$(mktemp) next=$(mktemp) known=$(mktemp)
	programs >"$todo"
	while [ -s "$todo" ]; do
		tr '\n' '\0' <"$todo" | xargs -0 readelf -d 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u | while read -r name; do
			find "$root"/lib/*/ "$root"/usr/lib/*/ -name "$name" 2>/dev/null | while read -r file; do realpath "$file"; done
		done | sort -u | grep -vxFf "$known" >"$next" || true
		cat "$next" >>"$known"
		cat "$next" >"$todo"
	done
	sed "s,^$(realpath "$root"),," "$known" | while read -r library; do chroot_realpath "$library"; done
	rm -f "$todo" "$next" "$known"
}

# libraries_by_loader prints the same by asking the loader.
libraries_by_loader() {
	loader=$(cd "$root" && ls -d lib64/ld-linux-* lib/ld-linux-* 2>/dev/null | head -n 1)
	programs | while read -r program; do
		# A static program, our own, makes the loader crash, which the shell would tell on the terminal.
		(chroot "$root" "/$loader" --list "${program#"$root"}" || true) 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p'
	done | sort -u | while read -r library; do
		chroot_realpath "$library"
	done
}

# drop_unused_libraries removes each shared library that no program left in the file system links against. Those that the C
# library opens by name (name services, character sets, thread cancellation) stay. FOREIGN=yes is for another architecture than this machine's.
drop_unused_libraries() {
	used=$(mktemp)
	if [ "${FOREIGN:-}" = yes ]; then libraries_by_name; else libraries_by_loader; fi >"$used"
	find "$root"/lib/*/ "$root"/usr/lib/*/ -name '*.so*' -type f 2>/dev/null | while read -r file; do
		inside=/${file#"$root"/}
		case ${inside##*/} in ld-linux* | libnss_* | libresolv* | libgcc_s* | libmvec*) continue ;; esac
		[ "$(head -c 4 "$file" | tail -c 3)" = ELF ] || continue # libc.so and libm.so are scripts of the linker
		grep -qxF "$(chroot_realpath "$inside")" "$used" || rm -f "$file"
	done
	find "$root"/lib/*/ "$root"/usr/lib/*/ -xtype l -name '*.so*' -delete 2>/dev/null || true
	rm -f "$used"
}

# chroot_realpath PATH prints where a path inside the file system ends, links followed.
chroot_realpath() { realpath -m "$root/$(realpath -m --relative-to=/ "$1")" | sed "s,^$(realpath "$root"),,"; }
