package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Driver is a module that speaks to a provider. It is safe for concurrent use, and closing the module is its owner's business.
type Driver struct {
	module   *module.Module
	describe abi.Describe
	options  map[string]abi.Option // by name
	powers   Powers
}

var _ driver.Driver = (*Driver)(nil)

// New makes a driver of a module. It refuses a module that is none, and one with options that no driver can have yet.
func New(m *module.Module) (*Driver, error) {
	d := &Driver{module: m, describe: m.Describe()}
	if d.describe.Kind != abi.KindDriver {
		return nil, fmt.Errorf("module %s: is a %s, not a driver; put it into policies.d", d.describe.Name, d.describe.Kind)
	}
	if !m.Builtin() {
		d.describe.Options = withoutEnv(d.describe.Options)
	}
	var err error
	if d.options, err = optionsOf(d.describe, m.Builtin()); err != nil {
		return nil, err
	}
	return d, nil
}

// withoutEnv returns options that the environment does not fill. A dropped-in driver would else name what it wants to read of the
// agent's environment, and be given it.
func withoutEnv(options []abi.Option) []abi.Option {
	options = slices.Clone(options)
	for i := range options {
		options[i].Env = ""
	}
	return options
}

// optionsOf returns the options of a description by name, and refuses those that can't be served.
func optionsOf(desc abi.Describe, builtin bool) (map[string]abi.Option, error) {
	byName := map[string]abi.Option{}
	for _, o := range desc.Options {
		switch {
		case o.Secret && !builtin:
			return nil, fmt.Errorf("driver %s: the option %s is secret, which only those of built-in drivers can be; "+
				"sign with a credential that the operator grants in millwright.toml", desc.Name, o.Name)
		case o.Role == abi.RoleFile && !builtin:
			return nil, fmt.Errorf("driver %s: the option %s names a file of the agent's host, which only built-in drivers may be given; "+
				"take the content as an option", desc.Name, o.Name)
		case o.Secret != (o.Credential != "" && o.Credential != abi.CredentialRegion) || o.Secret && o.Type != abi.OptionString:
			return nil, fmt.Errorf("driver %s: the option %s must be a string that names its key of the credential to be secret, and none but region to be open", desc.Name, o.Name)
		case o.Name == "" || !knownType(o.Type):
			return nil, fmt.Errorf("driver %s: the option %q has the type %q; an option needs a name and one of string, int, bool and list",
				desc.Name, o.Name, o.Type)
		}
		byName[o.Name] = o
	}
	return byName, nil
}

// Describe returns what the driver says of itself, its options among it.
func (d *Driver) Describe() abi.Describe { return d.describe }

// Hash is the SHA-256 of the module's bytes, in hex.
func (d *Driver) Hash() string { return d.module.Hash() }

// Validate asks the driver what is wrong with options, as ParseOptions returns them. It asks no provider.
func (d *Driver) Validate(ctx context.Context, options abi.Options) ([]abi.Problem, error) {
	given, problems := d.given(options, true)
	res, err := call[abi.ValidateResult](ctx, d, abi.ExportValidate, given, abi.ValidateRequest{ABI: abi.Version, Options: given})
	return append(problems, res.Problems...), err
}

// Create implements driver.Driver.
func (d *Driver) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	if d.describe.Group {
		return abi.Instance{}, d.groupsOnly(abi.ExportCreate)
	}
	var problems []abi.Problem
	req.ABI = abi.Version
	if req.Options, problems = d.given(req.Options, true); len(problems) > 0 {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Error{Kind: abi.Invalid, Message: problems[0].Option + ": " + problems[0].Message})
	}
	inst, err := call[abi.Instance](ctx, d, abi.ExportCreate, req.Options, req)
	if err != nil {
		return abi.Instance{}, err
	}
	if err := checkInstance(&inst); err != nil {
		return abi.Instance{}, d.fault(abi.ExportCreate, err.Error())
	}
	if inst.Name != req.Name {
		return abi.Instance{}, d.fault(abi.ExportCreate, fmt.Sprintf("asked for the machine %s, it returned %.80q", req.Name, inst.Name))
	}
	return inst, nil
}

// List implements driver.Driver. An instance that makes no sense, or that names another owner unasked, is left out, and then the list
// is not complete.
func (d *Driver) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	req.ABI = abi.Version
	req.Options, _ = d.given(req.Options, false)
	res, err := call[abi.ListResult](ctx, d, abi.ExportList, req.Options, req)
	if err != nil {
		return abi.ListResult{}, err
	}
	kept := make([]abi.Instance, 0, len(res.Instances))
	for _, inst := range res.Instances {
		foreign := inst.Owner != "" && inst.Owner != req.Owner.ID && !req.AllOwners
		if foreign || checkInstance(&inst) != nil {
			res.Complete = false
			continue
		}
		kept = append(kept, inst)
	}
	res.Instances = kept
	return res, nil
}

// Remove implements driver.Driver.
func (d *Driver) Remove(ctx context.Context, req abi.RemoveRequest) error {
	if d.describe.Group {
		return d.groupsOnly(abi.ExportRemove)
	}
	req.ABI = abi.Version
	req.Options, _ = d.given(req.Options, false)
	_, err := call[struct{}](ctx, d, abi.ExportRemove, req.Options, req)
	if errors.Is(err, driver.ErrNotFound) {
		return nil // gone is what was asked for
	}
	return err
}

// call sends one request and reads the answer out of its envelope.
func call[Res any](ctx context.Context, d *Driver, op string, options abi.Options, req any) (Res, error) {
	var res Res
	grants, err := d.grants(options)
	if err != nil {
		return res, d.failure(op, abi.Error{Kind: abi.Invalid, Message: err.Error()})
	}
	input, err := json.Marshal(req)
	if err != nil {
		return res, d.failure(op, abi.Error{Kind: abi.Invalid, Message: err.Error()})
	}
	out, _, err := d.module.Measure(ctx, op, input, grants)
	if err != nil {
		var fault *module.Error
		if errors.As(err, &fault) {
			return res, d.fault(op, fault.Text)
		}
		return res, err // the end of ctx, or of the module
	}
	var answer abi.Result
	if err := json.Unmarshal(out, &answer); err != nil {
		return res, d.fault(op, "it returned no result of the ABI: "+err.Error())
	}
	switch {
	case answer.Error != nil:
		return res, d.failure(op, checkError(*answer.Error))
	case len(answer.OK) == 0:
		return res, d.fault(op, "it returned a result with neither ok nor error")
	}
	if err := json.Unmarshal(answer.OK, &res); err != nil {
		var zero Res
		return zero, d.fault(op, "it returned no result of the ABI: "+err.Error())
	}
	return res, nil
}

// failure is what the driver reported.
func (d *Driver) failure(op string, info abi.Error) error {
	return &driver.Error{Driver: d.describe.Name, Op: op, Info: info}
}

// fault is a mistake of the driver itself, which another try may cure.
func (d *Driver) fault(op, text string) error {
	return d.failure(op, abi.Error{Kind: abi.Transient, Message: "the module failed: " + text})
}

func knownType(t abi.OptionType) bool {
	switch t {
	case abi.OptionString, abi.OptionInt, abi.OptionBool, abi.OptionList:
		return true
	}
	return false
}
