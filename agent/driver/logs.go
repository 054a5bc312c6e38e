package driver

import (
	"context"
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Logger is a driver that can show what a machine wrote to its console, for people.
type Logger interface {
	// Logs returns the end of it, as the provider keeps it. It is ErrNoLogs when this driver, or its provider, has none to show.
	Logs(ctx context.Context, req abi.LogsRequest) (string, error)
}

// ErrNoLogs means that a driver can't show a machine's console.
var ErrNoLogs = errors.New("the driver shows no console of a machine")
