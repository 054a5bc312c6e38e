package boxes

import (
	"context"
	"fmt"
	"io"
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
	ctx := context.Background()
	name := b.container(machine)
	exec, err := b.engine.ContainerExecCreate(ctx, name, container.ExecOptions{
		Cmd: []string{"sh", "-c", letIn, "sh", data.SSHUser, strings.TrimSpace(data.AuthorizedKey)}, AttachStdout: true, AttachStderr: true, Tty: true,
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
		err = fmt.Errorf("login %s of the machine %s: exit %d: %s", data.SSHUser, machine, done.ExitCode, said)
	}
	return err
}
