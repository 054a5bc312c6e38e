//go:build unix

package cli

import (
	"os"
	"syscall"
)

var signalsOfRun = []os.Signal{syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

func meaning(s os.Signal, _ bool) signalMeaning {
	switch s {
	case syscall.SIGQUIT:
		return drainSignal
	case syscall.SIGHUP:
		return reloadSignal
	}
	return stopSignal
}
