package process

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// attributes put a program into a process group of its own, so that a Ctrl-C to the agent does not reach it.
func attributes(*Account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminate asks the windows of the program and its children to close; programs without one are ended by kill.
func terminate(pid int, _ string) {
	_ = exec.Command("taskkill", "/T", "/PID", strconv.Itoa(pid)).Run()
}

func kill(pid int, _ string) {
	_ = exec.Command("taskkill", "/F", "/T", "/PID", strconv.Itoa(pid)).Run()
}

// alive is what can be told of the program itself.
func alive(pid int, _ string) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}

// since is not known, so that Clear kills nothing.
func since(int) string { return "" }

func boot() string { return "" }

func exitCode(s *os.ProcessState) int { return s.ExitCode() }

// marked finds nobody: the environment of others can't be read here.
func marked(string) []int { return nil }

func killEach([]int) {}
