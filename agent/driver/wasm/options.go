package wasm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// ParseOptions reads MachineOptions by a driver's description: entries name=value, split at the first '=', or a bare name for a bool.
// An option given twice has its last value; a list option has all. What was not given takes the value of its environment variable,
// by env (nil reads none), else its default; lists are split at commas there, as docker-machine does.
//
// It returns every problem: unknown options with the nearest known name, values of the wrong type, what is required and missing. A
// secret value is never in a message. To accept the host's own options too, append them to the description's.
func ParseOptions(desc abi.Describe, list []string, env func(string) string) (abi.Options, []abi.Problem) {
	p := parser{known: map[string]abi.Option{}, out: abi.Options{}}
	for _, o := range desc.Options {
		p.known[o.Name] = o
	}
	for _, entry := range list {
		name, value, hasValue := strings.Cut(entry, "=")
		p.entry(name, value, hasValue)
	}
	for _, o := range desc.Options {
		p.fill(o, env)
	}
	return p.out, p.problems
}

type parser struct {
	known    map[string]abi.Option
	out      abi.Options
	problems []abi.Problem
}

func (p *parser) problem(option, format string, args ...any) {
	p.problems = append(p.problems, abi.Problem{Option: option, Message: fmt.Sprintf(format, args...)})
}

// entry reads one entry of the list.
func (p *parser) entry(name, value string, hasValue bool) {
	o, ok := p.known[name]
	switch {
	case !ok:
		hint := "see `millwright driver options`"
		if near := p.nearest(name); near != "" {
			hint = "did you mean " + near + "?"
		}
		p.problem(name, "is no option of this driver; %s", hint)
	case !hasValue && o.Type == abi.OptionBool:
		p.out[name] = []string{"true"}
	case !hasValue:
		p.problem(name, "has no value; write %s=VALUE", name)
	default:
		p.set(o, value, "")
	}
}

// fill gives an option that is not in the list its value from the environment or its default.
func (p *parser) fill(o abi.Option, env func(string) string) {
	if _, given := p.out[o.Name]; given {
		return
	}
	value, source := o.Default, " (the driver's default)"
	if o.Env != "" && env != nil {
		if v := env(o.Env); v != "" {
			value, source = v, " (from the environment: "+o.Env+")"
		}
	}
	if value == "" {
		if o.Required && !p.complained(o.Name) {
			p.problem(o.Name, "is required; write %s=VALUE", o.Name)
		}
		return
	}
	values := []string{value}
	if o.Type == abi.OptionList {
		values = strings.Split(value, ",")
	}
	for _, v := range values {
		p.set(o, strings.TrimSpace(v), source)
	}
}

// set checks a value's type and takes it.
func (p *parser) set(o abi.Option, value, source string) {
	found := strconv.Quote(value)
	if o.Secret {
		found = "the value"
	}
	switch o.Type {
	case abi.OptionInt:
		if _, err := strconv.Atoi(value); err != nil {
			p.problem(o.Name, "%s%s is no whole number", found, source)
			return
		}
	case abi.OptionBool:
		on, err := strconv.ParseBool(value)
		if err != nil {
			p.problem(o.Name, "%s%s is neither true nor false", found, source)
			return
		}
		value = strconv.FormatBool(on)
	case abi.OptionList:
		p.out[o.Name] = append(p.out[o.Name], value)
		return
	}
	p.out[o.Name] = []string{value}
}

func (p *parser) complained(name string) bool {
	for _, problem := range p.problems {
		if problem.Option == name {
			return true
		}
	}
	return false
}

// nearest returns the known option that is spelled most like name, "" when none is near.
func (p *parser) nearest(name string) string {
	best, distance := "", len(name)/3+2
	for known := range p.known {
		if d := editDistance(name, known); d < distance || d == distance && best != "" && known < best {
			best, distance = known, d
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace to get from a to b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
