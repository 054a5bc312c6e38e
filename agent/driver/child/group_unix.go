//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// OwnGroup gives the process a group of its own, so that its children end with it and no signal of the agent's terminal reaches it.
func OwnGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// KillGroup kills the process and its children. The group is ours as long as one of them lives.
func KillGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
