package driver

import (
	"context"
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Switcher is a driver that can switch machines off and on, for people; the pool has no use for that. op is abi.ExportStart, ExportStop,
// ExportRestart or ExportKill. It asks and returns; list shows what becomes of it. A machine that is in the state already is no error.
// ErrNoSwitch means that this driver, or its provider, can't.
type Switcher interface {
	Switch(ctx context.Context, op string, req abi.SwitchRequest) error
}

// ErrNoSwitch means that a driver can't switch machines off and on.
var ErrNoSwitch = errors.New("the driver can't switch machines off and on")
