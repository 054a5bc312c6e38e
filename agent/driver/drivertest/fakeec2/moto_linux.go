package fakeec2

import (
	"os/exec"
	"syscall"
)

// inRoot is a program of a root file system. It ends with us.
func inRoot(root, program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Path, c.Err = program, nil
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	return c
}
