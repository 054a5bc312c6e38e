package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Ceilings are what the operator allows at most, whatever config.toml and policies say. 0 sets no limit.
type Ceilings struct {
	MaxMachines       int
	MaxCreatesPerHour int
	MaxMachineAge     Duration
}

// OperatorRunner is one [runners.NAME] section of millwright.toml, for the runners of that name.
type OperatorRunner struct {
	MaxMachines       int      `toml:"max_machines"`
	MaxCreatesPerHour int      `toml:"max_creates_per_hour"`
	MaxMachineAge     Duration `toml:"max_machine_age"`

	// Alternatives are tried in order when the provider has none of what MachineOptions say: lists of options as MachineOptions has them,
	// which replace those of the same names.
	Alternatives   [][]string `toml:"alternatives"`
	CapacityMemory Duration   `toml:"capacity_memory"` // how long one that failed is passed over; default 3m
	// Overridable are options that policies may set by next_machine, beside those of the driver's roles zone, type and spot.
	Overridable []string `toml:"overridable"`

	// FirstBoot has machines make an engine of themselves at their first boot, by the user data that the driver gives them, without a login.
	FirstBoot bool `toml:"first_boot"`
	// Preload are images that machines have before a job asks for them: names, and absolute paths of archives as docker save writes them.
	Preload []string `toml:"preload"`
}

// OperatorDriver is one [drivers.NAME] section of millwright.toml: where the driver's provider is, and how fast each account of it may be
// called. 0 leaves the default.
type OperatorDriver struct {
	// Endpoint is the address of the provider's API, as scheme://host[:port], for private endpoints; "" is the provider's own.
	Endpoint string `toml:"endpoint"`

	CallsPerSecond   float64 `toml:"calls_per_second"`   // default 10
	CallsBurst       int     `toml:"calls_burst"`        // default 30
	RemovesPerSecond float64 `toml:"removes_per_second"` // default 5
	RemovesBurst     int     `toml:"removes_burst"`      // default 10
}

// Ceilings returns those of the agent as a whole.
func (o *Operator) Ceilings() Ceilings {
	return Ceilings{o.MaxMachines, o.MaxCreatesPerHour, o.MaxMachineAge}
}

// RunnerCeilings returns those of a runner alone.
func (o *Operator) RunnerCeilings(name string) Ceilings {
	r := o.Runners[name]
	return Ceilings{r.MaxMachines, r.MaxCreatesPerHour, r.MaxMachineAge}
}

// longestMemory bounds capacity_memory.
const longestMemory = 24 * time.Hour

// checkCeilings notes what makes no sense in ceilings, alternatives and budgets. Options are held against the driver elsewhere.
func (d *decoder) checkCeilings(o Operator) {
	d.checkNumbers("", o.MaxMachines, o.MaxCreatesPerHour, o.MaxMachineAge)
	for _, name := range slices.Sorted(maps.Keys(o.Runners)) {
		section, r := "runners."+name, o.Runners[name]
		d.checkNumbers(section, r.MaxMachines, r.MaxCreatesPerHour, r.MaxMachineAge)
		if m := time.Duration(r.CapacityMemory); m < 0 || m > longestMemory {
			d.bad(section, "capacity_memory", "%s is out of range; use up to %s", m, longestMemory)
		}
		for _, image := range r.Preload {
			if image == "" || strings.ContainsAny(image, " \t\n") || strings.HasPrefix(image, ".") {
				d.bad(section, "preload", "%q is no image; write its name, or the absolute path of an archive", image)
			}
		}
		for i, options := range r.Alternatives {
			if len(options) == 0 {
				d.bad(section, "alternatives", "the list number %d is empty; MachineOptions as they are come first anyway", i+1)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Drivers)) {
		section, b := "drivers."+name, o.Drivers[name]
		if u, err := url.Parse(b.Endpoint); b.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || b.Endpoint != u.Scheme+"://"+u.Host) {
			d.bad(section, "endpoint", "%q is no address of an API; write https://host or https://host:port", b.Endpoint)
		}
		for _, n := range []struct {
			key   string
			value float64
		}{
			{"calls_per_second", b.CallsPerSecond}, {"calls_burst", float64(b.CallsBurst)},
			{"removes_per_second", b.RemovesPerSecond}, {"removes_burst", float64(b.RemovesBurst)},
		} {
			if n.value < 0 || n.value > 10_000 || n.value > 0 && n.value < 0.001 {
				d.bad(section, n.key, "%g is out of range; use 0.001 to 10000, or leave it out", n.value)
			}
		}
	}
}

func (d *decoder) checkNumbers(section string, machines, creates int, age Duration) {
	for _, n := range []struct {
		key   string
		value int
	}{{"max_machines", machines}, {"max_creates_per_hour", creates}} {
		if n.value < 0 {
			d.bad(section, n.key, "%d is negative; use 1 or more, or leave it out for no limit", n.value)
		}
	}
	if t := time.Duration(age); t < 0 || t > 0 && t < time.Minute {
		d.bad(section, "max_machine_age", "%s is too short; use a minute or more, or leave it out for no limit", t)
	}
}

// ceilingsErr returns what keeps the ceilings from being known, of what is wrong with the file; nil when nothing does.
func ceilingsErr(diagnostics []Diagnostic) error {
	var errs []error
	for _, d := range diagnostics {
		if d.Severity != SeverityError {
			continue
		}
		if d.Section == "" && (d.Key == "" || strings.HasPrefix(d.Key, "max_") || d.Key == "runners" || d.Key == "drivers") ||
			strings.HasPrefix(d.Section, "runners") || strings.HasPrefix(d.Section, "drivers") {
			errs = append(errs, errors.New(d.String()))
		}
	}
	return errors.Join(errs...)
}

// CheckOperator holds millwright.toml against config.toml: sections of runners that there are not, alternatives and overridable
// options that the runner's driver does not take. driver is Options.Driver. What it finds belongs to the file of o.
func CheckOperator(o *Operator, c *Config, driver func(name string, options []string) []Problem) []Diagnostic {
	var out []Diagnostic
	add := func(severity Severity, name, key, format string, args ...any) {
		section := "runners." + name
		out = append(out, Diagnostic{Severity: severity, File: o.Path, Line: o.lines[join(section, key)], Section: section, Key: key,
			Message: fmt.Sprintf(format, args...), Runner: -1})
	}
	for _, name := range slices.Sorted(maps.Keys(o.Runners)) {
		i := slices.IndexFunc(c.Runners, func(r Runner) bool { return r.Name == name })
		switch {
		case i < 0:
			add(SeverityWarning, name, "", "config.toml has no runner of that name; the section has no effect")
			continue
		case c.Runners[i].Machine == nil:
			continue
		}
		m := c.Runners[i].Machine
		for k, override := range o.Runners[name].Alternatives {
			key := fmt.Sprintf("alternatives[%d]", k)
			for _, p := range driver(m.MachineDriver, ReplaceOptions(plainOptions(m), override)) {
				if names := OptionNames(override); p.Option != "" && !slices.Contains(names, p.Option) {
					continue // of MachineOptions, and named there
				}
				severity := SeverityError
				if p.Warning {
					severity = SeverityWarning
				}
				add(severity, name, key, "%s %s", p.Option, p.Message)
			}
		}
	}
	return out
}

// plainOptions are all options of a machine, with %s of MachineOptionsWithName replaced by what a name looks like.
func plainOptions(m *Machine) []string {
	options := slices.Clone(m.MachineOptions)
	for _, o := range m.MachineOptionsWithName {
		options = append(options, strings.ReplaceAll(o, "%s", "runner-name"))
	}
	return options
}

// ReplaceOptions returns options, as MachineOptions has them, with those of override in the place of all of the same names.
func ReplaceOptions(options, override []string) []string {
	return append(WithoutOptions(options, override), override...)
}

// WithoutOptions returns options without those that override names.
func WithoutOptions(options, override []string) []string {
	names := OptionNames(override)
	return slices.DeleteFunc(slices.Clone(options), func(o string) bool {
		name, _, _ := strings.Cut(o, "=")
		return slices.Contains(names, name)
	})
}

// OptionNames returns the names of options as MachineOptions has them.
func OptionNames(options []string) []string {
	names := make([]string, 0, len(options))
	for _, o := range options {
		name, _, _ := strings.Cut(o, "=")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
