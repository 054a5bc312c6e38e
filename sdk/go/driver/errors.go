package driver

import (
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Is tells whether err is of one of the kinds.
func Is(err error, kinds ...abi.ErrorKind) bool {
	var e *abi.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, k := range kinds {
		if e.Kind == k {
			return true
		}
	}
	return false
}

// About puts what was being done before err's message and keeps its kind. An error without one counts as transient; no error stays none.
func About(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *abi.Error
	if !errors.As(err, &e) {
		return &abi.Error{Kind: abi.Transient, Message: what + ": " + err.Error()}
	}
	with := *e
	with.Message = what + ": " + e.Message
	return &with
}
