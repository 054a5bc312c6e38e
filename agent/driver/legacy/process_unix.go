//go:build unix

package legacy

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the process a group of its own, so that its children end with it and no signal of the agent's terminal reaches it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the process and its children. The group is ours as long as one of them lives.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
