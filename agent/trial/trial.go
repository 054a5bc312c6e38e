package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/cases"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// Options are what a policy is tried with. The zero value works.
type Options struct {
	Config   abi.Raw // the module's own configuration
	Observed abi.Raw // as if observe had returned it a minute ago
	Vectors  string  // a folder of cases, as package cases reads them; "" is none
}

// Check is one thing that was looked at.
type Check struct {
	What   string `json:"what"`
	Failed string `json:"failed,omitempty"` // why; "" when all is well
	Detail string `json:"detail,omitempty"`
}

// Report is what became of a trial.
type Report struct {
	Checks   []Check   `json:"checks"`
	Outcomes []Outcome `json:"outcomes"` // on the ordinary snapshots
}

// Failed tells whether a check did.
func (r Report) Failed() bool {
	for _, c := range r.Checks {
		if c.Failed != "" {
			return true
		}
	}
	return false
}

// trial is one run of it.
type trial struct {
	m      *module.Module
	o      Options
	report Report
	most   module.Usage // of all calls, each number by itself
}

// Policy tries a policy. The error is that of a vectors' folder that can't be read, or of ctx; what is wrong with the policy is in the report.
func Policy(ctx context.Context, m *module.Module, o Options) (Report, error) {
	var vectors []cases.Case
	if o.Vectors != "" {
		var err error
		if vectors, err = cases.Read(o.Vectors); err != nil {
			return Report{}, err
		}
	}
	t := &trial{m: m, o: o}
	d := m.Describe()
	t.passed("describes itself", fmt.Sprintf("%s %s, ABI %d", d.Name, d.Version, d.ABI))
	t.configuration(ctx)
	samples := sample.All(d)
	for i := range samples {
		t.fill(&samples[i].Snapshot)
	}
	if t.valid(ctx, samples) {
		t.same(ctx, samples)
		t.remembers(ctx, samples[0].Snapshot)
		t.inTime(ctx, samples)
		t.inBounds()
	}
	if vectors != nil {
		t.vectors(ctx, vectors)
	}
	return t.report, ctx.Err()
}

// fill adds what the author gave.
func (t *trial) fill(s *abi.Snapshot) {
	s.Config = t.o.Config
	if len(t.o.Observed) > 0 {
		s.Observed, s.ObservedAgeS = t.o.Observed, 60
	}
}

func (t *trial) passed(what, detail string) {
	t.report.Checks = append(t.report.Checks, Check{What: what, Detail: detail})
}

func (t *trial) failed(what string, err error) {
	t.report.Checks = append(t.report.Checks, Check{What: what, Failed: err.Error()})
}

// call runs an export and minds what it took.
func (t *trial) call(ctx context.Context, export string, input []byte) ([]byte, module.Usage, error) {
	out, u, err := t.m.Measure(ctx, export, input, t.m.Grants())
	t.most.Fuel, t.most.Memory, t.most.Time = max(t.most.Fuel, u.Fuel), max(t.most.Memory, u.Memory), max(t.most.Time, u.Time)
	return out, u, err
}

// crashed tells a call that broke from one that the policy reports as failed by itself.
func crashed(err error) bool {
	var e *module.Error
	return err != nil && (!errors.As(err, &e) || e.Cause != module.CauseReported)
}

// configuration has the policy check what it was given.
func (t *trial) configuration(ctx context.Context) {
	const what = "accepts its configuration"
	problems, err := module.Validate(ctx, t.m, t.o.Config)
	if err != nil {
		t.failed(what, err)
		return
	}
	warnings, ok := "", true
	for _, p := range problems {
		text := p.Message
		if p.Option != "" {
			text = p.Option + ": " + text
		}
		if p.Warning {
			warnings = "warning: " + text
			continue
		}
		ok = false
		t.failed(what, errors.New(text))
	}
	if ok {
		t.passed(what, warnings)
	}
}

// vectors runs what the author, or the ABI, demands.
func (t *trial) vectors(ctx context.Context, all []cases.Case) {
	name, good, others := t.m.Describe().Name, 0, 0
	call := func(export string, input []byte) ([]byte, error) {
		out, _, err := t.call(ctx, export, input)
		return out, err
	}
	for _, c := range all {
		if !c.For(name) {
			others++
			continue
		}
		if err := c.Run(call); err != nil {
			t.failed(c.File+": "+c.Title(), err)
			continue
		}
		good++
	}
	detail := fmt.Sprintf("%d of %d", good, len(all)-others)
	if others > 0 {
		detail += fmt.Sprintf("; %d are for others", others)
	}
	if good == 0 && others == len(all) {
		t.failed("vectors", fmt.Errorf("none is for the policy %s", name))
		return
	}
	t.passed("vectors", detail)
}

// inBounds says how near the policy came to what it may have.
func (t *trial) inBounds() {
	const mb = 1 << 20
	t.passed("in memory", fmt.Sprintf("%.1f MB at most, of %d", float64(t.most.Memory)/mb, t.m.MemoryLimit()/mb))
	t.passed("in fuel", fmt.Sprintf("%.2f million at most in a call, of %d", float64(t.most.Fuel)/1e6, t.m.Limits().Fuel/1_000_000))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
