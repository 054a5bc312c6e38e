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
// A driver reaches its provider through host.HTTPSend alone. hostfuncs/ABI.md describes the payloads.
package driver

import (
	"encoding/json"
	"errors"
	"fmt"

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

var registered Driver

// Register makes d the driver of this module. Call it once, in an init function.
func Register(d Driver) { registered = d }

// Call runs one export of d, such as abi.ExportCreate, on the bytes of its input and returns the bytes of its output, for all but
// describe an abi.Result. This is what the exports of the module do; tests use it to run the driver natively. A failure of the
// driver is inside the Result; the error is for input that is no JSON and for exports that there are not.
func Call(d Driver, export string, input []byte) ([]byte, error) {
	if d == nil {
		return nil, errors.New("the module registers no driver; call driver.Register in an init function")
	}
	switch export {
	case abi.ExportDescribe:
		desc := d.Describe()
		desc.ABI, desc.Kind = abi.Version, abi.KindDriver
		return json.Marshal(desc)
	case abi.ExportValidate:
		return answer(export, input, func(req abi.ValidateRequest) (abi.ValidateResult, error) {
			return abi.ValidateResult{Problems: append([]abi.Problem{}, d.Validate(req)...)}, nil
		})
	case abi.ExportCreate:
		return answer(export, input, d.Create)
	case abi.ExportList:
		return answer(export, input, func(req abi.ListRequest) (abi.ListResult, error) {
			res, err := d.List(req)
			res.Instances = append([]abi.Instance{}, res.Instances...)
			return res, err
		})
	case abi.ExportRemove:
		return answer(export, input, func(req abi.RemoveRequest) (struct{}, error) {
			return struct{}{}, d.Remove(req)
		})
	}
	return nil, fmt.Errorf("a driver has no export %q", export)
}

// answer reads the request, calls and puts the outcome into its envelope.
func answer[Req, Res any](export string, input []byte, call func(Req) (Res, error)) ([]byte, error) {
	var req Req
	if err := json.Unmarshal(input, &req); err != nil {
		return nil, fmt.Errorf("%s: request: %w", export, err)
	}
	res, err := call(req)
	if err != nil {
		return json.Marshal(abi.Result{Error: asError(err)})
	}
	ok, err := json.Marshal(res)
	if err != nil {
		return nil, fmt.Errorf("%s: result: %w", export, err)
	}
	return json.Marshal(abi.Result{OK: ok})
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
func Registered() Driver { return registered }
