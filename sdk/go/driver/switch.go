package driver

import "github.com/millwright-ci/millwright/sdk/go/abi"

// Switched tells whether a machine of this status is already as a Switch by that export wants it. One that its provider takes back is off.
func Switched(export string, status abi.Status) bool {
	switch export {
	case abi.ExportStart:
		return status == abi.StatusRunning
	case abi.ExportStop, abi.ExportKill:
		return status == abi.StatusStopped || status == abi.StatusInterrupted
	}
	return false
}

// Missing is the error of a Switch or of Logs for a machine that the provider does not have, or that is another owner's.
func Missing(name string) error {
	return &abi.Error{Kind: abi.NotFound, Message: "there is no machine " + name + " of this owner"}
}
