//go:build !linux

package fakeec2

import "os/exec"

// inRoot is for Linux alone: see Usable.
func inRoot(_, program string, args ...string) *exec.Cmd { return exec.Command(program, args...) }
