//go:build !linux

package child

import "os/exec"

// Mortal does nothing: only Linux ends a process with its parent.
func Mortal(*exec.Cmd) {}
