package main

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// TestLife has groups of a zone and of a region grow and shrink, those that are there already among them, in pages too.
func TestLife(t *testing.T) {
	t.Parallel()
	inPages := func(g *fakegce.Group) {
		regional(g)
		g.Manager = map[string]any{"listManagedInstancesResults": "PAGINATED"}
	}
	paged := slow
	paged.PageSize = 2
	for name, tc := range map[string]struct {
		settings fakegce.Settings
		group    func(*fakegce.Group)
		options  func(*fakegce.Cloud) abi.Options
		location string
	}{
		"in a zone":             {slow, func(*fakegce.Group) {}, func(c *fakegce.Cloud) abi.Options { return options(c) }, "zones/us-central1-a"},
		"in a region":           {slow, regional, inRegion, "regions/us-central1"},
		"in a region, in pages": {paged, inPages, inRegion, "regions/us-central1"},
		"a region in zone":      {slow, regional, func(c *fakegce.Cloud) abi.Options { return options(c, optZone, "us-central1") }, "regions/us-central1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tc.settings, tc.group, func(g *fakegce.Group) { g.Size = 2 })
			o := tc.options(c)
			if all := list(t, o); len(all) != 2 {
				t.Errorf("at first there are %v", all)
			}
			increase(t, o, 3)
			names := awaitRunning(t, o, 5)
			decrease(t, o, names[1], names[3])
			left := await(t, o, "two that are gone", func(all map[string]abi.Instance) bool { return len(all) == 3 })
			if left[0] != names[0] || left[1] != names[2] || left[2] != names[4] {
				t.Errorf("of %v there are left %v", names, left)
			}
			decrease(t, o, names[1], left[0], "builders-none", "No.Name") // what is gone goes
			await(t, o, "a third that is gone", func(all map[string]abi.Instance) bool { return len(all) == 2 })
			if _, target := c.Members(testProject, tc.location, testGroup); target != 2 {
				t.Errorf("the group is to have %d, want 2", target)
			}
			decrease(t, o, left[1:]...)
			await(t, o, "an empty group", func(all map[string]abi.Instance) bool { return len(all) == 0 })
		})
	}
}

// TestStates has each action of the group and each state of a VM in the host's words.
func TestStates(t *testing.T) {
	for _, tc := range []struct {
		action, status string
		want           abi.Status
	}{
		{"CREATING", "", abi.StatusCreating}, {"CREATING_WITHOUT_RETRIES", "STAGING", abi.StatusCreating}, {"RESUMING", "SUSPENDED", abi.StatusCreating},
		{"NONE", "RUNNING", abi.StatusRunning}, {"VERIFYING", "RUNNING", abi.StatusRunning}, {"REFRESHING", "RUNNING", abi.StatusRunning}, {"VERIFYING", "STAGING", abi.StatusCreating},
		{"NONE", "TERMINATED", abi.StatusInterrupted}, {"NONE", "STOPPING", abi.StatusInterrupted}, {"NONE", "SUSPENDED", abi.StatusStopped},
		{"RECREATING", "RUNNING", abi.StatusInterrupted}, {"RESTARTING", "RUNNING", abi.StatusInterrupted},
		{"DELETING", "RUNNING", abi.StatusGone}, {"ABANDONING", "RUNNING", abi.StatusGone},
		{"NONE", "REPAIRING", abi.StatusUnknown}, {"DANCING", "RUNNING", abi.StatusUnknown},
	} {
		if got := (member{Action: tc.action, Status: tc.status}).status(); got != tc.want {
			t.Errorf("%s of a VM that is %q: %s, want %s", tc.action, tc.status, got, tc.want)
		}
	}
}

// TestShortage shows why Google does not make what was granted, and that it comes when there is some again.
func TestShortage(t *testing.T) {
	t.Parallel()
	for fault, says := range map[string]string{"stock-out": "does not have enough resources", "quota": "Quota 'CPUS' exceeded"} {
		c := start(t, slow)
		o := options(c)
		fail(t, c, fault)
		increase(t, o, 1)
		await(t, o, "the reason", func(all map[string]abi.Instance) bool {
			for _, i := range all {
				return i.Status == abi.StatusCreating && strings.Contains(i.Message, says)
			}
			return false
		})
		g, _ := read(o)
		if all, _, err := g.members(); err != nil {
			t.Error(err)
		} else if vm, why := g.shortage(all); vm == "" || !strings.Contains(why, says) {
			t.Errorf("the log has %q of %q, want %s", why, vm, says)
		}
		fail(t, c, "")
		awaitRunning(t, o, 1)
		if all, _, _ := g.members(); len(all) != 1 {
			t.Errorf("there are %v", all)
		} else if _, why := g.shortage(all); why != "" {
			t.Errorf("the log has %q of a VM that runs", why)
		}
	}
}

// TestRefusals gives each call what Google answers in trouble, with the kind that must follow and what people must read. Nothing comes of it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for fault, tc := range map[string]struct {
		kind abi.ErrorKind
		says string
	}{
		"rate limit": {abi.RateLimited, "Queries per minute"}, "rate limit by 403": {abi.RateLimited, "Rate Limit Exceeded"},
		"auth":     {abi.Auth, "GOOGLE_APPLICATION_CREDENTIALS or [credentials.googlecompute] in millwright.toml"},
		"no right": {abi.Auth, "give the agent's service account the role"}, "api off": {abi.Auth, "enable the Compute Engine API"},
		"trouble": {abi.Transient, "Backend Error"}, "junk": {abi.Transient, "makes no sense"},
		"other kind": {abi.Transient, "what was asked for is not in it"}, "proxy page": {abi.Transient, "makes no sense"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			c := start(t, fakegce.Settings{}, func(g *fakegce.Group) { g.Size = 2 })
			o := options(c)
			names := awaitRunning(t, o, 2)
			fail(t, c, fault)
			for verb, call := range map[string]func() error{
				"info": func() error { _, err := googlecompute{}.Info(abi.GroupRequest{Options: o}); return err },
				"list": func() error { _, err := googlecompute{}.List(abi.ListRequest{Options: o}); return err },
				"increase": func() error {
					_, err := googlecompute{}.Increase(abi.IncreaseRequest{Options: o, Count: 1})
					return err
				},
				"decrease": func() error {
					_, err := googlecompute{}.Decrease(abi.DecreaseRequest{Options: o, Instances: names})
					return err
				},
				"connect":   func() error { _, err := googlecompute{}.Connect(request(o, names[0])); return err },
				"heartbeat": func() error { return googlecompute{}.Heartbeat(request(o, names[0])) },
			} {
				if err := call(); !driver.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%s: %v; want the kind %s and %q", verb, err, tc.kind, tc.says)
				}
			}
			fail(t, c, "")
			if got := awaitRunning(t, o, 2); got[0] != names[0] || got[1] != names[1] {
				t.Errorf("of %v there are left %v", names, got)
			}
		})
	}
}

// TestLostAnswers has the group do what nobody heard of: the host can't know, and looks.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	c := start(t, slow)
	o := options(c)
	fail(t, c, "lost answer")
	if _, err := (googlecompute{}).Increase(abi.IncreaseRequest{Options: o, Count: 2}); !driver.Is(err, abi.Transient) {
		t.Errorf("increase: %v", err)
	}
	fail(t, c, "lost removal")
	names := awaitRunning(t, o, 2)
	if _, err := (googlecompute{}).Decrease(abi.DecreaseRequest{Options: o, Instances: names[:1]}); !driver.Is(err, abi.Transient) {
		t.Errorf("decrease: %v", err)
	}
	fail(t, c, "")
	decrease(t, o, names[:1]...)
	await(t, o, "one that is left", func(all map[string]abi.Instance) bool { return len(all) == 1 })
	if _, target := c.Members(testProject, "zones/"+testZone, testGroup); target != 1 {
		t.Errorf("the group is to have %d, want 1", target)
	}
}

// TestPartialList is an error where a page lacks, and not complete where the group says that it has more than an empty list.
func TestPartialList(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{PageSize: 2}, regional, func(g *fakegce.Group) {
		g.Size, g.Manager = 5, map[string]any{"listManagedInstancesResults": "PAGINATED"}
	})
	o := inRegion(c)
	names := awaitRunning(t, o, 5)
	fail(t, c, "partial list")
	if _, err := (googlecompute{}).List(abi.ListRequest{Options: o}); !driver.Is(err, abi.Transient) {
		t.Errorf("list: %v", err)
	}
	if _, err := (googlecompute{}).Decrease(abi.DecreaseRequest{Options: o, Instances: names[4:]}); !driver.Is(err, abi.Transient) {
		t.Errorf("decrease: %v", err)
	}
	fail(t, c, "empty list")
	if res, err := (googlecompute{}).List(abi.ListRequest{Options: o}); err != nil || res.Complete || len(res.Instances) > 0 {
		t.Errorf("an empty list of a group with VMs: %+v, %v", res, err)
	}
	if _, err := (googlecompute{}).Decrease(abi.DecreaseRequest{Options: o, Instances: names[4:]}); !driver.Is(err, abi.Transient) {
		t.Errorf("decrease by an empty list: %v", err)
	}
}

// TestMaximum has Google's own bound refused by its kind.
func TestMaximum(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	_, err := googlecompute{}.Increase(abi.IncreaseRequest{Options: options(c), Count: 1001})
	if !driver.Is(err, abi.Quota) {
		t.Errorf("got %v", err)
	}
	if all := list(t, options(c)); len(all) != 0 {
		t.Errorf("there are %d", len(all))
	}
}

// TestCalls counts what a round takes, whatever there is in the group.
func TestCalls(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{}, func(g *fakegce.Group) { g.Size = 200 })
	o := options(c)
	names := awaitRunning(t, o, 200)
	before := c.Calls()
	decrease(t, o, names[:100]...)
	list(t, o)
	increase(t, o, 50)
	if n := c.Calls() - before; n != 4 {
		t.Errorf("a round took %d calls, want 4: a deletion, a list, a look and a resize", n)
	}
}
