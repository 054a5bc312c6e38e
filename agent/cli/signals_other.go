//go:build !unix

package cli

import "os"

var signalsOfRun = []os.Signal{os.Interrupt}

// meaning of a signal where there is but one: drain first, as gitlab-runner does on Windows.
func meaning(os.Signal) signalMeaning { return drainSignal }
