package drivertest_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

const (
	optToken = "fake-token" // secret, and of no use to the cloud
	token    = "token-of-the-operator"
)

// twisted is a good driver with some calls bent.
type twisted struct {
	*fake.Cloud
	log    *slog.Logger
	create func(*fake.Cloud, abi.CreateRequest) (abi.Instance, error)
	list   func(abi.ListRequest, abi.ListResult) abi.ListResult
	each   bool // a list asks for each machine again
	remove func(*fake.Cloud, abi.RemoveRequest) error
	// What a driver need not have; nil is that it says so.
	turn  func(*fake.Cloud, string, abi.SwitchRequest) error
	logs  func(*fake.Cloud, abi.LogsRequest) (string, error)
	check func(*fake.Cloud, abi.CheckRequest) ([]abi.Permission, error)
	// says is logged at each creation; nil: nothing.
	says func(abi.CreateRequest) string
}

// Describe says what the suite must know of the options.
func (d twisted) Describe() abi.Describe {
	return abi.Describe{Name: "bad", Options: []abi.Option{{Name: optToken, Type: abi.OptionString, Secret: true}}}
}

func (d twisted) Switch(_ context.Context, op string, req abi.SwitchRequest) error {
	if d.turn == nil {
		return driver.ErrNoSwitch
	}
	if i := slices.IndexFunc(d.Machines(), func(m fake.Machine) bool { return m.Name == req.Name && m.Owner == req.Owner.ID }); i < 0 {
		return &driver.Error{Driver: "bad", Op: op, Info: abi.Error{Kind: abi.NotFound, Message: "no"}}
	}
	return d.turn(d.Cloud, op, req)
}

func (d twisted) Logs(_ context.Context, req abi.LogsRequest) (string, error) {
	if d.logs == nil {
		return "", driver.ErrNoLogs
	}
	return d.logs(d.Cloud, req)
}

func (d twisted) Check(_ context.Context, req abi.CheckRequest) ([]abi.Permission, error) {
	if d.check == nil {
		return nil, driver.ErrNoCheck
	}
	return d.check(d.Cloud, req)
}

// switched turns a machine on or off in truth.
func switched(c *fake.Cloud, op string, req abi.SwitchRequest) error {
	status := abi.StatusRunning
	if op == abi.ExportStop || op == abi.ExportKill {
		status = abi.StatusStopped
	}
	c.SetStatus(req.Name, status)
	return nil
}

func (d twisted) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	if d.says != nil {
		d.log.Debug("making a machine", slog.Group("guest", slog.String("with", d.says(req))))
	}
	if d.create != nil {
		return d.create(d.Cloud, req)
	}
	return d.Cloud.Create(ctx, req)
}

func (d twisted) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	res, err := d.Cloud.List(ctx, req)
	if d.list != nil && err == nil {
		res = d.list(req, res)
	}
	if d.each {
		for range res.Instances {
			d.Cloud.List(ctx, req)
		}
	}
	return res, err
}

func (d twisted) Remove(ctx context.Context, req abi.RemoveRequest) error {
	if d.remove != nil {
		return d.remove(d.Cloud, req)
	}
	return d.Cloud.Remove(ctx, req)
}

// TestExamineFindsFaults holds the suite to its purpose: each mistake that authors make is found, by a check that is named for it.
func TestExamineFindsFaults(t *testing.T) {
	all := context.Background()
	for name, tc := range map[string]struct {
		driver twisted
		check  string // that must fail; "" is none
	}{
		"good": {twisted{}, ""},
		"a second machine for a second create": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			again := req
			if len(c.Machines()) > 0 {
				again.Name += "-b"
			}
			i, err := c.Create(all, again)
			i.Name = req.Name
			return i, err
		}}, "create twice gives one machine"},
		"ignores its context": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			return c.Create(all, req)
		}}, "an ended context makes nothing that stays"},
		"lists what is another's": {twisted{list: func(req abi.ListRequest, res abi.ListResult) abi.ListResult {
			if !req.AllOwners && len(res.Instances) == 0 {
				res.Instances = []abi.Instance{{Name: "mw-suite-other", ID: "x", Status: abi.StatusRunning}}
			}
			return res
		}}, "another owner's machine is neither seen nor touched"},
		"calls a part the whole": {twisted{list: func(_ abi.ListRequest, res abi.ListResult) abi.ListResult {
			res.Complete = true
			return res
		}}, "a list that lacks a part is not complete"},
		"has one kind for all": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			i, err := c.Create(all, req)
			if err != nil {
				err = &driver.Error{Driver: "bad", Op: "create", Info: abi.Error{Kind: abi.Transient, Message: "no"}}
			}
			return i, err
		}}, "refusals have their kind"},
		"asks for each machine": {twisted{each: true}, "a list costs no more for more machines"},
		"calls all that is there running": {twisted{list: func(_ abi.ListRequest, res abi.ListResult) abi.ListResult {
			for i := range res.Instances {
				res.Instances[i].Status = abi.StatusRunning
			}
			return res
		}}, "each state has its word"},
		"shows the host key": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			i, err := c.Create(all, req)
			i.Message = "made with " + req.Bootstrap.HostKeyPrivate
			return i, err
		}}, "a machine comes to life and goes"},
		"shows a secret option": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			i, err := c.Create(all, req)
			i.Message = "made with " + req.Options.Get(optToken)
			return i, err
		}}, "a machine comes to life and goes"},
		"logs":                           {twisted{says: func(req abi.CreateRequest) string { return req.Name }}, ""},
		"logs the host key":              {twisted{says: func(req abi.CreateRequest) string { return req.Bootstrap.HostKeyPrivate }}, "a machine comes to life and goes"},
		"logs a secret option":           {twisted{says: func(req abi.CreateRequest) string { return req.Options.Get(optToken) }}, "create twice gives one machine"},
		"logs the operator's credential": {twisted{says: func(abi.CreateRequest) string { return "Bearer " + token }}, "several machines at once"},
		"tells of a right by its credential": {twisted{check: func(*fake.Cloud, abi.CheckRequest) ([]abi.Permission, error) {
			return []abi.Permission{{Name: "make", Result: abi.PermissionUnknown, Purpose: "make machines", Message: token + " is not known"}}, nil
		}}, "what it may do is told, and nothing is made"},
		"fails when its answer was lost": {twisted{remove: func(c *fake.Cloud, req abi.RemoveRequest) error {
			if err := c.Remove(all, req); err != nil {
				return &driver.Error{Driver: "bad", Op: "remove", Info: abi.Error{Kind: abi.Invalid, Message: "no"}}
			}
			return nil
		}}, "a removal whose answer is lost is done once"},
		"has words of its own": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			i, err := c.Create(all, req)
			var e *driver.Error
			if errors.As(err, &e) {
				e.Info.Message = "it did not work"
			}
			return i, err
		}}, "refusals have their kind"},
		"has a code of its own": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			i, err := c.Create(all, req)
			var e *driver.Error
			if errors.As(err, &e) {
				e.Info.Code = "E17"
			}
			return i, err
		}}, "refusals have their kind"},
		"hides the provider's code": {twisted{create: func(c *fake.Cloud, req abi.CreateRequest) (abi.Instance, error) {
			i, err := c.Create(all, req)
			var e *driver.Error
			if errors.As(err, &e) {
				e.Info.Code = ""
			}
			return i, err
		}}, "refusals have their kind"},
		"switches": {twisted{turn: switched}, ""},
		"switches in words alone": {twisted{turn: func(*fake.Cloud, string, abi.SwitchRequest) error { return nil }},
			"a machine is switched off and on"},
		"shows anybody's console": {twisted{logs: func(*fake.Cloud, abi.LogsRequest) (string, error) { return "Linux", nil }}, "a machine's console is shown"},
		"makes something to find out": {twisted{check: func(c *fake.Cloud, req abi.CheckRequest) ([]abi.Permission, error) {
			_, err := c.Create(all, abi.CreateRequest{Owner: req.Owner, Name: "trial"})
			return []abi.Permission{{Name: "make", Result: abi.PermissionGranted, Purpose: "make machines"}}, err
		}}, "what it may do is told, and nothing is made"},
		"tells of nothing to do": {twisted{check: func(*fake.Cloud, abi.CheckRequest) ([]abi.Permission, error) {
			return []abi.Permission{{Name: "make", Result: abi.PermissionDenied, Purpose: "make machines"}}, nil
		}}, "what it may do is told, and nothing is made"},
		"does not remove": {twisted{remove: func(*fake.Cloud, abi.RemoveRequest) error { return nil }}, "a machine comes to life and goes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed []string
			settle := 300 * time.Millisecond
			if tc.check == "" {
				settle = time.Minute // it is not to fail, however slow the machine is
			}
			drivertest.Examine(t.Context(), func() drivertest.Subject {
				cloud := fake.New(fake.Config{Zones: []string{"a"}})
				d, ear := tc.driver, drivertest.NewEar(slog.DiscardHandler)
				d.Cloud, d.log = cloud, slog.New(ear).With("module", "bad")
				return drivertest.Subject{
					Driver: d, Options: abi.Options{fake.OptZone: {"a"}}, Invalid: abi.Options{fake.OptZone: {"z"}}, Settle: settle,
					Inject: func(f drivertest.Fault) error { return cloud.Fail(string(f)) }, Faults: []drivertest.Fault{drivertest.LostRemove},
					Put:    func(name string, s abi.Status) error { cloud.SetStatus(name, s); return nil },
					States: []abi.Status{abi.StatusInterrupted},
					Calls:  func() int { return cloud.Calls(fake.OpList) },
					Says:   map[drivertest.Fault]drivertest.Said{drivertest.StockOut: {Code: fake.StockOut().Code, Words: fake.StockOut().Message}},
					Heard:  ear.Heard, Secrets: []string{token},
				}
			}, func(o drivertest.Outcome) {
				optional := strings.HasPrefix(o.Skipped, "the driver ") // can't do what none need
				if o.Skipped != "" && !optional && !strings.Contains(o.Skipped, "made to fail by") {
					t.Errorf("%s: skipped: %s", o.Check, o.Skipped)
				}
				if len(o.Problems) > 0 {
					failed = append(failed, o.Check)
				}
			})
			if text := strings.Join(failed, "; "); tc.check == "" && len(failed) > 0 || !strings.Contains(text, tc.check) {
				t.Errorf("failed: %s; want %q", text, tc.check)
			}
		})
	}
}

// A subject that can't fail on demand skips those checks, and an end of the context ends the suite early.
func TestExamineSkipsAndEnds(t *testing.T) {
	cloud := fake.New(fake.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var skipped, ran int
	examine := func() {
		drivertest.Examine(ctx, func() drivertest.Subject { return drivertest.Subject{Driver: cloud, Settle: time.Minute} }, func(o drivertest.Outcome) {
			ran++
			if o.Skipped != "" {
				skipped++
			} else if len(o.Problems) > 0 {
				t.Errorf("%s: %v", o.Check, o.Problems)
			}
		})
	}
	examine()
	if skipped != 13 { // invalid options, states, counts, permissions, switches, consoles, and seven with faults
		t.Errorf("%d of %d were skipped", skipped, ran)
	}
	cancel()
	ran = 0
	if examine(); ran != 0 {
		t.Errorf("%d checks ran after the end", ran)
	}
}

// TestListen hears what a guest logs natively, of every level and of its fields too.
func TestListen(t *testing.T) {
	heard := drivertest.Listen(t)
	host.Log(host.LevelDebug, "a line", map[string]string{"field": "of a guest"})
	slog.With("module", "m").WithGroup("g").Info("another", slog.Group("guest", slog.String("key", "two\nlines")))
	if got, want := heard(), "a line field=of a guest\nanother guest=[key=two\nlines]\n"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}
