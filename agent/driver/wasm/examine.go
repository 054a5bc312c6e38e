package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Finding is what became of one thing that Examine looked at.
type Finding struct {
	Check    string
	Problems []string // none: all is well
	Detail   string   // numbers, for people
	Took     time.Duration
}

// fuelShare is what part of the fuel of one call a driver may take before it is told to take less.
const fuelShare = 4

// Examine looks at what can be known of a driver without its provider: what it says of itself, what it makes of options, that it answers the
// same thing each time, and that a provider which it can't reach is an error of a kind and never an answer. m must have been loaded with
// nothing granted. options are as ParseOptions returns them. drivertest looks at the rest.
func Examine(ctx context.Context, m *module.Module, options abi.Options) []Finding {
	e := &examination{m: m, options: options}
	for _, c := range []struct {
		name string
		look func(context.Context)
	}{
		{"it says who it is", e.introduction},
		{"its options make sense", e.optionList},
		{"validate takes good options and refuses junk", e.validation},
		{"it gives the same answers each time", e.sameness},
		{"a provider that can't be reached is an error of a known kind", e.unreached},
		{"its calls are in fuel and in memory", e.frugality},
	} {
		began := time.Now()
		e.found = Finding{Check: c.name}
		c.look(ctx)
		e.found.Took = time.Since(began)
		e.all = append(e.all, e.found)
	}
	return e.all
}

// examination is one run of it.
type examination struct {
	m       *module.Module
	options abi.Options
	found   Finding // the present one
	all     []Finding
	most    module.Usage // of all calls, each number by itself
}

func (e *examination) problem(format string, args ...any) {
	e.found.Problems = append(e.found.Problems, fmt.Sprintf(format, args...))
}

// call runs an export with nothing granted and returns its bytes. A module that breaks is a problem, and returns nil.
func (e *examination) call(ctx context.Context, export string, req any) []byte {
	input, err := json.Marshal(req)
	if err != nil {
		e.problem("%s: %v", export, err)
		return nil
	}
	out, used, err := e.m.Measure(ctx, export, input, module.Grants{})
	e.most.Fuel, e.most.Memory = max(e.most.Fuel, used.Fuel), max(e.most.Memory, used.Memory)
	if err != nil {
		e.problem("%v", err)
		return nil
	}
	return out
}

func (e *examination) introduction(context.Context) {
	d := e.m.Describe()
	e.found.Detail = strings.TrimSpace(d.Name + " " + d.Version)
	if d.Summary == "" {
		e.problem("describe gives no summary; say in one line what its machines are")
	}
	if len(d.Hostnames) == 0 {
		e.problem("describe names no hostnames: nothing tells the operator what to grant; templates over options will do: {%s-endpoint}", d.Name)
	}
	for _, template := range d.Hostnames {
		if _, err := (&Driver{describe: d, options: byName(d)}).expand(template, e.options); err != nil {
			e.problem("%v", err)
		}
	}
}

func (e *examination) optionList(context.Context) {
	d := e.m.Describe()
	e.found.Detail = fmt.Sprintf("%d options", len(d.Options))
	if _, err := optionsOf(d, e.m.Builtin()); err != nil {
		e.problem("%v", err)
	}
	seen := map[string]bool{}
	for _, o := range d.Options {
		switch {
		case seen[o.Name]:
			e.problem("%s: is there twice", o.Name)
		case !d.Group && !strings.HasPrefix(o.Name, d.Name+"-"):
			e.problem("%s: options begin with the driver's name: %s-...", o.Name, d.Name)
		case o.Help == "":
			e.problem("%s: has no help; say in one line what it does", o.Name)
		case o.Required && o.Default != "":
			e.problem("%s: is required and has a default", o.Name)
		case o.Secret && o.Default != "":
			e.problem("%s: is secret and has a default", o.Name)
		}
		seen[o.Name] = true
		o.Required, o.Env = false, ""
		if _, problems := ParseOptions(abi.Describe{Options: []abi.Option{o}}, nil, nil); len(problems) > 0 {
			e.problem("%s: %s", o.Name, problems[0].Message)
		}
	}
}

// validation holds validate to its problems. Which values are bad is the driver's to know, but no provider has names like this one.
func (e *examination) validation(ctx context.Context) {
	for _, p := range e.validate(ctx, e.options) {
		if !p.Warning {
			e.problem("the given options: %s: %s", p.Option, p.Message)
		}
	}
	junk, known := abi.Options{}, byName(e.m.Describe())
	for name, o := range known {
		if o.Type == abi.OptionString || o.Type == abi.OptionList {
			junk[name] = []string{"\x01 no such\n" + strings.Repeat("x", 5000)}
		} else {
			junk[name] = e.options[name]
		}
	}
	problems := e.validate(ctx, junk)
	if len(problems) == 0 && len(known) > 0 && len(e.found.Problems) == 0 {
		e.problem("control characters and 5,000 letters in every option are fine by validate")
	}
	for _, p := range problems {
		if _, ok := known[p.Option]; !ok && p.Option != "" {
			e.problem("validate complains of %q, which is no option", p.Option)
		}
		if p.Message == "" {
			e.problem("validate refuses %s without a word; say what was found and what is allowed", p.Option)
		}
	}
	e.found.Detail = fmt.Sprintf("%d problems in junk", len(problems))
}

func (e *examination) validate(ctx context.Context, o abi.Options) []abi.Problem {
	out := e.call(ctx, abi.ExportValidate, abi.ValidateRequest{ABI: abi.Version, Options: o})
	if out == nil {
		return nil
	}
	var res abi.ValidateResult
	if answer, ok := e.envelope(abi.ExportValidate, out); ok && answer.Error == nil {
		if err := json.Unmarshal(answer.OK, &res); err != nil {
			e.problem("validate: %v", err)
		}
	} else if ok {
		e.problem("validate: %v; what is wrong with options belongs into its problems", answer.Error)
	}
	return res.Problems
}

// envelope reads an answer; false when it is none.
func (e *examination) envelope(export string, out []byte) (answer abi.Result, ok bool) {
	err := json.Unmarshal(out, &answer)
	if err == nil && (answer.Error == nil) == (len(answer.OK) == 0) {
		err = errors.New("one of ok and error must be set")
	}
	if err != nil {
		e.problem("%s: returned no result of the ABI: %v", export, err)
	}
	return answer, err == nil
}

func (e *examination) sameness(ctx context.Context) {
	const times = 5
	for export, req := range map[string]any{
		abi.ExportDescribe: struct{}{}, abi.ExportValidate: abi.ValidateRequest{ABI: abi.Version, Options: e.options},
		abi.ExportList: e.listing(),
	} {
		var first []byte
		for range times {
			out := e.call(ctx, export, req)
			if out == nil {
				break
			}
			if first == nil {
				first = out
			}
			if !bytes.Equal(first, out) {
				e.problem("%s: answered %.200s, and before %.200s", export, out, first)
				break
			}
		}
	}
	e.found.Detail = fmt.Sprintf("describe, validate and list, %d times each", times)
}

func (e *examination) listing() abi.ListRequest {
	return abi.ListRequest{ABI: abi.Version, Owner: abi.Owner{ID: "examination00000", Runner: "examination"}, Options: e.options}
}

// unreached asks for machines while nothing is granted: every request is denied, so that nothing can be known or done.
func (e *examination) unreached(ctx context.Context) {
	if len(e.m.Describe().Hostnames) == 0 {
		e.found.Detail = "it has no provider"
		return
	}
	for export, req := range e.changes() {
		out := e.call(ctx, export, req)
		if out == nil {
			continue
		}
		answer, ok := e.envelope(export, out)
		var list abi.ListResult
		var left abi.DecreaseResult
		switch {
		case !ok:
		case answer.Error != nil:
			if checkError(*answer.Error).Kind != answer.Error.Kind {
				e.problem("%s: the kind %q is none of the ABI's", export, answer.Error.Kind)
			}
			if answer.Error.Message == "" {
				e.problem("%s: the error has no message; say what failed and what to do", export)
			}
		case export == abi.ExportList && json.Unmarshal(answer.OK, &list) == nil && !list.Complete:
		case export == abi.ExportDecrease && json.Unmarshal(answer.OK, &left) == nil && left.Error != nil && len(left.Instances) == 0:
		default:
			e.problem("%s: succeeded, and its provider was never reached: %.200s", export, answer.OK)
		}
	}
	e.found.Detail = "create, list and remove with nothing granted"
	if e.m.Describe().Group {
		e.found.Detail = "all verbs of groups with nothing granted"
	}
}

// changes are calls that need the provider.
func (e *examination) changes() map[string]any {
	l := e.listing()
	if !e.m.Describe().Group {
		return map[string]any{
			abi.ExportList:   l,
			abi.ExportCreate: abi.CreateRequest{ABI: abi.Version, Owner: l.Owner, Name: "examination-1", Options: e.options},
			abi.ExportRemove: abi.RemoveRequest{ABI: abi.Version, Owner: l.Owner, Name: "examination-1", Options: e.options},
		}
	}
	return map[string]any{
		abi.ExportList:        l,
		abi.ExportGroupInfo:   abi.GroupRequest{ABI: abi.Version, Owner: l.Owner, Options: e.options},
		abi.ExportIncrease:    abi.IncreaseRequest{ABI: abi.Version, Owner: l.Owner, Options: e.options, Count: 1},
		abi.ExportDecrease:    abi.DecreaseRequest{ABI: abi.Version, Owner: l.Owner, Options: e.options, Instances: []string{"examination-1"}},
		abi.ExportConnectInfo: abi.ConnectRequest{ABI: abi.Version, Owner: l.Owner, Options: e.options, Instance: "examination-1"},
	}
}

func (e *examination) frugality(context.Context) {
	e.found.Detail = fmt.Sprintf("at most %d of fuel and %d KB", e.most.Fuel, e.most.Memory>>10)
	if limit := int64(1_000_000_000 / fuelShare); e.most.Fuel > limit {
		e.problem("a call used %d of fuel; keep it under %d, a quarter of what there is", e.most.Fuel, limit)
	}
}

// Grant grants src what a driver with that description asks for when it has these options, private addresses too: what the operator who gave
// the options on the command line wants it to reach.
func Grant(src *module.Source, d abi.Describe, options abi.Options) error {
	asking := &Driver{describe: d, options: byName(d)}
	src.Hostnames = nil
	for _, template := range d.Hostnames {
		pattern, err := asking.expand(template, options)
		if err != nil {
			return err
		}
		if pattern != "" {
			src.Hostnames = append(src.Hostnames, pattern)
		}
	}
	src.Private = append([]netip.Prefix(nil), httpsend.Everywhere...)
	return nil
}

func byName(d abi.Describe) map[string]abi.Option {
	options := map[string]abi.Option{}
	for _, o := range d.Options {
		options[o.Name] = o
	}
	return options
}
