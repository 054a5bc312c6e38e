package fleeting

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
)

// told is what the plug-in's newest process was told of how instances are reached.
func told(t *testing.T, c *fleetingtest.Cloud) (username string) {
	t.Helper()
	calls := c.Calls("init")
	var said struct {
		Settings struct {
			Username string `json:"username"`
		}
	}
	if err := json.Unmarshal(calls[len(calls)-1].Arg, &said); err != nil {
		t.Fatal(err)
	}
	return said.Settings.Username
}

// What a reload changes of a plug-in's start has it started anew, and nothing else does; its instances stay.
func TestChange(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	binary := fleetingtest.Binary(t)
	newer := filepath.Join(t.TempDir(), filepath.Base(binary))
	data, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(newer, data, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	g, log := open(t, c)
	if n, err := g.Increase(t.Context(), 2); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	options := func(plugin, path string, connector config.Connector) Options {
		return Options{Plugin: plugin, Config: c.Config(), Connector: connector, Find: func() (string, error) {
			if path == "" {
				return "", errors.New("it is not installed")
			}
			return path, nil
		}}
	}
	ec2 := config.Connector{Username: "ec2-user", Password: "pass-of-the-login"}
	for _, step := range []struct {
		name   string
		to     Options
		starts int
	}{
		{"nothing", options(fleetingtest.Name, binary, config.Connector{}), 1},
		{"another name of the same binary", options("mwtest:1", binary, config.Connector{}), 1},
		{"another version", options("mwtest:2", newer, config.Connector{}), 2},
		{"one that is not there", options("mwtest:3", "", config.Connector{}), 2},
		{"another login", options("mwtest:2", newer, ec2), 3},
		{"the same once more", options("mwtest:2", newer, ec2), 3},
	} {
		g.Change(step.to)
		if step.starts > 1 { // else it would be by the next call
			until(t, step.name+": the starts", func() bool {
				_, err := g.List(t.Context())
				return err == nil && len(c.Calls("init")) >= step.starts
			})
		}
		list, err := g.List(t.Context())
		if n := len(c.Calls("init")); len(list) != 2 || err != nil || n != step.starts {
			t.Errorf("%s: %d starts, want %d; %v, %v", step.name, n, step.starts, list, err)
		}
	}
	if got := told(t, c); got != "ec2-user" {
		t.Errorf("the login is %q", got)
	}
	if n := len(c.Calls("shutdown")); n != 2 {
		t.Errorf("%d farewells, want one before each new start", n)
	}
	c.Fail("list", fleetingtest.Fault{Error: "no entry with pass-of-the-login"})
	if _, err := g.List(t.Context()); err == nil || strings.Contains(err.Error(), "pass-of-the-login") {
		t.Errorf("the new password is not hidden: %v", err)
	}
	if !strings.Contains(log.String(), "the one that runs goes on") {
		t.Error("nothing is said of the plug-in that is not there")
	}
}

// A change while the plug-in cannot be started is taken in by the next start, which comes without the pause of failures.
func TestChangeOfBroken(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	binary := fleetingtest.Binary(t)
	g, _ := open(t, c, func(o *Options) {
		o.Limits.Pause = maxPause
		o.Find = func() (string, error) { return "", errors.New("it is not installed") }
	})
	if _, err := g.Info(t.Context()); err == nil {
		t.Fatal("it starts")
	}
	if _, err := g.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "next try in") {
		t.Fatalf("no pause: %v", err)
	}
	g.Change(Options{Plugin: "mwtest:2", Config: c.Config(), Find: func() (string, error) { return binary, nil }})
	until(t, "the start", func() bool {
		_, err := g.Info(t.Context())
		return err == nil
	})
}
