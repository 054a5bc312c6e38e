//go:build !unix

package cli

import "os"

var signalsOfRun = []os.Signal{os.Interrupt}

// meaning of a signal where there is but one: drain first, as gitlab-runner does on Windows, and stop when it comes again.
func meaning(_ os.Signal, draining bool) signalMeaning {
	if draining {
		return stopSignal
	}
	return drainSignal
}
