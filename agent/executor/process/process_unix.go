//go:build unix

package process

import (
	"os"
	"syscall"
)

// attributes put a program into a session, and with that a process group, of its own: it has no terminal, and a signal to the group
// reaches its children.
func attributes(as *Account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if as != nil {
		a.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid, Groups: as.groups}
	}
	return a
}

func terminate(pid int, mark string) { signal(pid, mark, syscall.SIGTERM) }

func kill(pid int, mark string) { signal(pid, mark, syscall.SIGKILL) }

// signal reaches the program's group, then those that left it.
func signal(pid int, mark string, s syscall.Signal) {
	_ = syscall.Kill(-pid, s) // a group that is gone is what we want
	for _, stray := range marked(mark) {
		_ = syscall.Kill(stray, s)
	}
}

func killEach(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// alive tells whether anything of the program is left.
func alive(pid int, mark string) bool {
	return syscall.Kill(-pid, 0) != syscall.ESRCH || len(marked(mark)) > 0
}

// exitCode is what a shell would say: a program that was killed has 128 and the signal's number.
func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
