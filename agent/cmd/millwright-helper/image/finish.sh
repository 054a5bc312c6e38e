#!/bin/sh
# finish.sh ROOT: the helper image's file system, less what no stage of a job uses. HELPER and INIT are our binaries.
set -eu
root=$1
. "$(dirname "$0")/../../../../.ci/slim.sh"

base_files
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
ln -sf mawk "$root/usr/bin/awk"

# What ca-certificates' script would do: one file of all that Mozilla trusts.
mkdir -p "$root/etc/ssl/certs"
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root/usr/share/ca-certificates"

install -m 0755 "$HELPER" "$root/usr/bin/millwright-helper"
install -m 0755 "$INIT" "$root/usr/bin/millwright-init"
ln -s millwright-helper "$root/usr/bin/gitlab-runner-helper"
ln -s millwright-helper "$root/usr/bin/gitlab-runner-build"

# git of a job fetches, checks out and cleans: no servers, no mail, no Perl, no Python.
(
	cd "$root/usr/lib/git-core"
	rm -rf git-daemon git-http-backend git-http-push git-imap-send git-shell git-send-email git-svn git-cvs* git-archimport git-p4 git-instaweb \
		git-add--interactive scalar git-fast-import mergetools git-request-pull git-web--browse git-citool git-gui* git-difftool* git-mergetool*
	ln -sf ../../bin/git git # the same program twice
)
rm -rf "$root"/usr/share/git-core/contrib "$root"/usr/share/gitweb "$root"/usr/share/git-core/templates/hooks
find "$root"/usr/bin \( -name 'git-shell' -o -name 'git-receive-pack' -o -name 'scalar' -o -name 'openssl' -o -name 'c_rehash' \) -delete
# Of ssh what git and a hook need: a client, and keys for it.
rm -rf "$root"/usr/lib/openssh "$root"/usr/bin/scp "$root"/usr/bin/sftp "$root"/usr/bin/ssh-argv0 "$root"/usr/bin/ssh-copy-id "$root"/usr/bin/slogin
drop_common
rm -rf "$root"/usr/share/terminfo "$root"/usr/share/tabset "$root"/usr/share/X11 "$root"/usr/share/menu "$root"/usr/share/bash-completion
drop_unused_libraries
