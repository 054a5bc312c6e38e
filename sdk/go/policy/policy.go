// Package policy is what the author of a scaling policy in Go calls. A policy is an ordinary package main:
//
//	func init() { policy.Register(mine{}) } // the exports of the module are made here
//	func main() {}                          // never called: the host calls the exports
//
// It builds, vets and tests on any machine, where Call runs an export on the very bytes that the host would send, and becomes a
// module with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o mine.wasm .
//
// hostfuncs/ABI.md describes the payloads.
package policy

import (
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Policy proposes how a runner's fleet should scale.
type Policy interface {
	// Describe says who the policy is. Its ABI and Kind are filled in by this package.
	Describe() abi.Describe
	// Decide is pure: what it returns depends on the snapshot alone, and so the same snapshot gives the same bytes. It may log. An
	// error makes the host skip the policy this time, and is shown to people as the reason.
	Decide(abi.Snapshot) (abi.Proposal, error)
}

// Validator is a policy that checks its configuration when it is loaded.
type Validator interface {
	// Validate lists what is wrong with the request's Config. No problems means that all is well.
	Validate(abi.ValidateRequest) []abi.Problem
}

// Observer is a policy that looks at the world outside.
type Observer interface {
	// Observe is called on a schedule and may use host.HTTPSend. What it returns, JSON of at most 64 KB, becomes Observed in the
	// next snapshots; nil leaves what was observed before.
	Observe(abi.ObserveRequest) (abi.Raw, error)
}

var registered Policy

// Register makes p the policy of this module. Call it once, in an init function.
func Register(p Policy) { registered = p }

// Call runs one export of p, such as abi.ExportDecide, on the bytes of its input and returns the bytes of its output. This is what
// the exports of the module do; tests use it to run the policy natively. A policy that is no Observer answers observe with no
// bytes at all. An error is what the host sees as the failure of the call.
func Call(p Policy, export string, input []byte) ([]byte, error) {
	return call(p, export, string(input))
}

func call(p Policy, export, input string) ([]byte, error) {
	if p == nil {
		return nil, errors.New("the module registers no policy; call policy.Register in an init function")
	}
	switch export {
	case abi.ExportDescribe:
		d := p.Describe()
		d.ABI, d.Kind = abi.Version, abi.KindPolicy
		return encode(export, d.AppendJSON)
	case abi.ExportDecide:
		return decide(p, input)
	case abi.ExportValidate:
		return validate(p, input)
	case abi.ExportObserve:
		return observe(p, input)
	}
	return nil, errors.New("a policy has no export " + export)
}

func decide(p Policy, input string) ([]byte, error) {
	var s abi.Snapshot
	if err := s.DecodeJSON(input); err != nil {
		return nil, within("decide: snapshot", err)
	}
	proposal, err := p.Decide(s)
	if err != nil {
		return nil, err
	}
	return encode("decide: proposal", proposal.AppendJSON)
}

func validate(p Policy, input string) ([]byte, error) {
	var req abi.ValidateRequest
	if err := req.DecodeJSON(input); err != nil {
		return nil, within("validate: request", err)
	}
	var res abi.ValidateResult
	if v, ok := p.(Validator); ok {
		res.Problems = v.Validate(req)
	}
	return encode("validate: result", res.AppendJSON)
}

func observe(p Policy, input string) ([]byte, error) {
	o, ok := p.(Observer)
	if !ok {
		return nil, nil
	}
	var req abi.ObserveRequest
	if err := req.DecodeJSON(input); err != nil {
		return nil, within("observe: request", err)
	}
	return o.Observe(req)
}

// encode returns the JSON that appendJSON, a method of a payload, appends.
func encode(what string, appendJSON func([]byte) ([]byte, error)) ([]byte, error) {
	out, err := appendJSON(make([]byte, 0, 512))
	if err != nil {
		return nil, within(what, err)
	}
	return out, nil
}

// within says where err came from; fmt stays out of guests.
func within(what string, err error) error { return errors.New(what + ": " + err.Error()) }

// Registered returns the policy that an init function registered, nil when none did, for native tests of a package main.
func Registered() Policy { return registered }
