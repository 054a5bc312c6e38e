// Package driver is what the author of a machine driver in Go calls. A driver is an ordinary package main:
//
//	func init() { driver.Register(mine{}) } // the exports of the module are made here
//	func main() {}                          // never called: the host calls the exports
//
// It builds, vets and tests on any machine, where Call runs an export on the very bytes that the host would send, and becomes a
// module with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o mine.wasm .
//
// A driver of groups of instances, such as a cloud's auto scaling groups, is a Group in the place of a Driver, and RegisterGroup registers it.
//
// A driver reaches its provider through host.HTTPSend alone. hostfuncs/ABI.md describes the payloads.
package driver

import (
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Driver speaks to one provider. Its calls are short and idempotent, with the machine's name as the key. It never sleeps, waits or
// retries: it asks once and says what became of it, and the host does the rest.
//
// An *abi.Error, wrapped or not, keeps its kind; any other error is transient.
type Driver interface {
	// Describe says who the driver is and which options it has. Its ABI and Kind are filled in by this package.
	Describe() abi.Describe
	// Validate lists what is wrong with the options as far as it can be known without asking the provider.
	Validate(abi.ValidateRequest) []abi.Problem
	// Create asks for a machine and returns at once, most often with an instance that is still creating. Called again with the same
	// name it returns the instance that there is.
	Create(abi.CreateRequest) (abi.Instance, error)
	// List returns every instance that bears the owner's tag. When a part could not be read the result is not Complete.
	List(abi.ListRequest) (abi.ListResult, error)
	// Remove deletes the machine and all that was made for it. A machine that is gone already is no error.
	Remove(abi.RemoveRequest) error
}

// Checker is a Driver that can tell what it needs to be allowed. It is optional.
type Checker interface {
	// Check tries what the driver needs to be allowed with the options, and makes, changes and removes nothing. What can't be told so is
	// unknown. An error is for a credential that is refused altogether and a provider that can't be reached.
	Check(abi.CheckRequest) ([]abi.Permission, error)
}

// Switcher is a Driver that can switch machines off and on, for people. It asks and returns; list shows what becomes of it.
type Switcher interface {
	// Switch does what export says: abi.ExportStart, ExportStop, ExportRestart or ExportKill, a stop that asks nothing of the machine. A
	// machine that is in the state already is no error.
	Switch(export string, req abi.SwitchRequest) error
}

// Logger is a Driver that can show what a machine wrote to its console, for people. It is optional.
type Logger interface {
	// Logs returns the end of it, as the provider keeps it: some 100 KB are enough. Nothing yet is no error.
	Logs(req abi.LogsRequest) (string, error)
}

// common is what all drivers have.
type common interface {
	Describe() abi.Describe
	Validate(abi.ValidateRequest) []abi.Problem
	List(abi.ListRequest) (abi.ListResult, error)
}

var registered common

// Register makes d the driver of this module. Call it once, in an init function.
func Register(d Driver) { registered = d }

// Call runs one export of d, such as abi.ExportCreate, on the bytes of its input and returns the bytes of its output, for all but
// describe an abi.Result. This is what the exports of the module do; tests use it to run the driver natively. A failure of the
// driver is inside the Result; the error is for input that is no JSON and for exports that there are not.
func Call(d Driver, export string, input []byte) ([]byte, error) {
	if d == nil {
		return call(nil, export, string(input))
	}
	return call(d, export, string(input))
}

func call(d common, export, input string) ([]byte, error) {
	if d == nil {
		return nil, errors.New("the module registers no driver; call driver.Register or driver.RegisterGroup in an init function")
	}
	switch export {
	case abi.ExportDescribe:
		desc := d.Describe()
		desc.ABI, desc.Kind = abi.Version, abi.KindDriver
		_, desc.Group = d.(Group)
		return desc.AppendJSON(nil)
	case abi.ExportValidate:
		var req abi.ValidateRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res := abi.ValidateResult{Problems: d.Validate(req)}
			return res.AppendJSON, nil
		})
	case abi.ExportList:
		var req abi.ListRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := d.List(req)
			return res.AppendJSON, err
		})
	case abi.ExportCheck:
		var req abi.CheckRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := check(d, req)
			return res.AppendJSON, err
		})
	}
	switch d := d.(type) {
	case Group:
		return callGroup(d, export, input)
	case Driver:
		return callDriver(d, export, input)
	}
	return nil, errors.New("a driver has no export " + export)
}

// callDriver runs an export that drivers of single machines have.
func callDriver(d Driver, export, input string) ([]byte, error) {
	switch export {
	case abi.ExportCreate:
		var req abi.CreateRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := d.Create(req)
			return res.AppendJSON, err
		})
	case abi.ExportRemove:
		var req abi.RemoveRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) { return emptyObject, d.Remove(req) })
	case abi.ExportStart, abi.ExportStop, abi.ExportRestart, abi.ExportKill:
		var req abi.SwitchRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) { return emptyObject, switchMachine(d, export, req) })
	case abi.ExportLogs:
		var req abi.LogsRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			text, err := logs(d, req)
			return func(dst []byte) ([]byte, error) { return abi.AppendString(dst, text), nil }, err
		})
	}
	return nil, errors.New("a driver has no export " + export)
}

// check asks a driver that is a Checker. Of any other there is nothing to show.
func check(d common, req abi.CheckRequest) (res abi.CheckResult, err error) {
	if c, ok := d.(Checker); ok {
		res.Permissions, err = c.Check(req)
	}
	return res, err
}

// switchMachine is Switch of a driver that may not have it.
func switchMachine(d Driver, export string, req abi.SwitchRequest) error {
	if s, ok := d.(Switcher); ok {
		return s.Switch(export, req)
	}
	return &abi.Error{Kind: abi.Invalid, Code: abi.CodeNoSwitch, Message: "this driver can't switch machines off and on"}
}

// logs is Logs of a driver that may not have it.
func logs(d Driver, req abi.LogsRequest) (string, error) {
	if l, ok := d.(Logger); ok {
		return l.Logs(req)
	}
	return "", &abi.Error{Kind: abi.Invalid, Code: abi.CodeNoLogs, Message: "this driver's provider keeps no console of a machine"}
}

// appender appends the JSON of a result.
type appender func(dst []byte) ([]byte, error)

func emptyObject(dst []byte) ([]byte, error) { return append(dst, "{}"...), nil }

// answer calls, unless the request could not be read, and puts the outcome into its envelope.
func answer(export string, unread error, call func() (appender, error)) ([]byte, error) {
	if unread != nil {
		return nil, errors.New(export + ": request: " + unread.Error())
	}
	result, err := call()
	if err != nil {
		return (&abi.Result{Error: asError(err)}).AppendJSON(nil)
	}
	ok, err := result(nil)
	if err != nil {
		return nil, errors.New(export + ": result: " + err.Error())
	}
	return (&abi.Result{OK: ok}).AppendJSON(nil)
}

// asError gives err a kind. The text of whatever wraps an *abi.Error is kept.
func asError(err error) *abi.Error {
	var e *abi.Error
	if !errors.As(err, &e) {
		return &abi.Error{Kind: abi.Transient, Message: err.Error()}
	}
	if err == error(e) {
		return e
	}
	wrapped := *e
	wrapped.Message, wrapped.Code = err.Error(), ""
	return &wrapped
}

// Registered returns the driver that an init function registered, nil when none did, for native tests of a package main.
func Registered() Driver {
	d, _ := registered.(Driver)
	return d
}
