package child

import "os/exec"

// OwnGroup does nothing: Windows has no groups of processes to signal.
func OwnGroup(*exec.Cmd) {}

// KillGroup kills the process alone.
func KillGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
