package legacy

import "os/exec"

// ownGroup does nothing: Windows has no groups of processes to signal.
func ownGroup(*exec.Cmd) {}

// killGroup kills the process alone.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
