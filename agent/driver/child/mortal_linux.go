package child

import (
	"os/exec"
	"syscall"
)

// Mortal makes the process die with the agent, however that dies. The kernel ties it to the thread that starts it: start it in a goroutine that
// is locked to its thread, and stay there until the process has ended.
func Mortal(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
