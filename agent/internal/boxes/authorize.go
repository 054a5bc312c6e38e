package boxes

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// letIn makes a login with sudo, unless it is there, and lets a key in. It is called with the two.
const letIn = `set -eu
user=$1 key=$2
if ! id "$user" >/dev/null 2>&1; then
	useradd --create-home --shell /bin/bash --password '*' "$user"
	printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$user" >"/etc/sudoers.d/$user"
	chmod 0440 "/etc/sudoers.d/$user"
fi
home=$(getent passwd "$user" | cut -d : -f 6)
install -d -m 0700 -o "$user" "$home/.ssh"
touch "$home/.ssh/authorized_keys"
grep -qxF -e "$key" "$home/.ssh/authorized_keys" || printf '%s\n' "$key" >>"$home/.ssh/authorized_keys"
chown "$user" "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
`

// Authorize implements fakecloud.Keyring.
func (b *Boxes) Authorize(machine string, data fakecloud.UserData) error {
	if err := b.Run(machine, letIn, data.SSHUser, strings.TrimSpace(data.AuthorizedKey)); err != nil {
		return fmt.Errorf("login %s: %w", data.SSHUser, err)
	}
	return nil
}

// Run runs a script for sh on a machine, as root.
func (b *Boxes) Run(machine, script string, args ...string) error {
	ctx := context.Background()
	exec, err := b.engine.ContainerExecCreate(ctx, b.container(machine), container.ExecOptions{
		Cmd: append([]string{"sh", "-c", script, "sh"}, args...), AttachStdout: true, AttachStderr: true, Tty: true,
	})
	if err != nil {
		return err
	}
	out, err := b.engine.ContainerExecAttach(ctx, exec.ID, container.ExecAttachOptions{Tty: true})
	if err != nil {
		return err
	}
	defer out.Close()
	said, err := io.ReadAll(out.Reader)
	if err != nil {
		return err
	}
	done, err := b.engine.ContainerExecInspect(ctx, exec.ID)
	if err == nil && done.ExitCode != 0 {
		err = fmt.Errorf("the machine %s: exit %d: %s", machine, done.ExitCode, said)
	}
	return err
}

// Put puts a program onto a machine, into a folder that is there.
func (b *Boxes) Put(machine, file string, program []byte) error {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: path.Base(file), Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return b.engine.CopyToContainer(context.Background(), b.container(machine), path.Dir(file), &files, container.CopyToContainerOptions{})
}
