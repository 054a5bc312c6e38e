// Package driver is the host's side of a provider: what the pool asks of a driver, and the kinds of error that decide what
// follows. Below it lie the implementations (wasm, fake) and drivertest, the suite that each of them passes.
package driver

import (
	"context"
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Driver speaks to one provider. Its calls are short and idempotent, with the machine's name as the key; whoever calls waits,
// retries and backs off. It is safe for concurrent use.
//
// A failure is an *Error with a kind, so that errors.Is(err, ErrQuota) holds. Everything else is a fault of the driver itself
// and counts as transient.
type Driver interface {
	// Create asks the provider for a machine and returns at once with its instance, most often still creating. Called again
	// with the same name it returns the instance that there is.
	Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error)
	// List returns every instance that bears the owner's tag. A denied or failed list is an error, a partial one is not
	// Complete; neither means that what is missing is gone.
	List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error)
	// Remove deletes the machine and all that was made for it. A machine that is gone already is no error.
	Remove(ctx context.Context, req abi.RemoveRequest) error
}

// Checker is a Driver that can tell what it is allowed.
type Checker interface {
	// Check tries what the driver needs to be allowed with the options, and makes nothing. It returns ErrNoCheck when it has no way to.
	Check(ctx context.Context, req abi.CheckRequest) ([]abi.Permission, error)
}

// ErrNoCheck means that a driver can't tell what it is allowed: an older module, or a docker-machine plug-in.
var ErrNoCheck = errors.New("this driver has no check")

// Error is a driver's failure.
type Error struct {
	Driver string
	Op     string // create, list, remove, validate, check
	Info   abi.Error
}

func (e *Error) Error() string { return e.Driver + ": " + e.Op + ": " + e.Info.Error() }

// Is makes errors.Is compare kinds.
func (e *Error) Is(target error) bool {
	k, ok := target.(kindError)
	return ok && e.Info.Kind == abi.ErrorKind(k)
}

type kindError abi.ErrorKind

func (k kindError) Error() string { return string(k) }

// The kinds of error, for errors.Is.
var (
	ErrNotFound    error = kindError(abi.NotFound)
	ErrConflict    error = kindError(abi.Conflict)
	ErrQuota       error = kindError(abi.Quota)
	ErrCapacity    error = kindError(abi.Capacity)
	ErrAuth        error = kindError(abi.Auth)
	ErrRateLimited error = kindError(abi.RateLimited)
	ErrInvalid     error = kindError(abi.Invalid)
	ErrTransient   error = kindError(abi.Transient)
)

// KindOf returns the kind of err; errors without one are transient.
func KindOf(err error) abi.ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Info.Kind
	}
	return abi.Transient
}
