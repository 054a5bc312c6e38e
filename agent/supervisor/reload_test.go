package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
)

// A changed file is read, once it has stopped changing; a link that is put elsewhere counts as a change.
func TestReloadOnChange(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first", "1")
	write("second", "22")
	if err := os.Symlink("first", path); err != nil {
		t.Fatal(err)
	}
	w.start(func(o *Options) { o.ConfigPath = path })
	if _, err := os.Stat(filepath.Join(dir, ".runner_system_id")); err != nil {
		t.Errorf("the system id is not beside config.toml: %v", err)
	}

	w.change(func(c *config.Config) { c.Runners = []config.Runner{w.runner("late")} })
	write("first", "changed")
	if got := w.log.wait("Configuration loaded")["runners"]; got != "1" {
		t.Errorf("%s runners", got)
	}
	w.await(w.coordinator.Enqueue(hopeless()))

	if err := os.Symlink("second", path+".new"); err != nil {
		t.Fatal(err)
	}
	w.change(func(c *config.Config) { c.Runners = nil })
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if got := w.log.wait("Configuration loaded")["runners"]; got != "0" {
		t.Errorf("%s runners", got)
	}
}

// Whatever is wrong with a new configuration, the one before stays in force as a whole: nothing of the new one is seen.
func TestBadReload(t *testing.T) {
	w := newWorld(t)
	w.config.ListenAddress = "127.0.0.1:0"
	w.config.Runners = []config.Runner{w.runner("good")}
	modules := builtins(t)
	applied := 0
	w.start(modules, func(o *Options) { o.Applied = func(*config.Config) { applied++ } })
	added := w.another("added")
	machine := func(change func(*config.Machine)) config.Runner {
		r := w.another("machines")
		r.Executor = executorMachine
		r.Machine = &config.Machine{MachineName: "m-%s", MachineDriver: "docker"}
		change(r.Machine)
		return r
	}
	for _, tt := range []struct {
		name, want string
		change     func(*config.Config)
	}{
		{"two with one name and token", "runner good: there are two with this name and token",
			func(c *config.Config) { c.Runners = append(c.Runners, c.Runners[0]) }},
		{"bad url of a runner that stays", "runner good: ",
			func(c *config.Config) { c.Runners[0].URL = "ftp://nowhere" }},
		{"no [runners.machine]", "runner added: executor docker+machine needs a [runners.machine] section",
			func(c *config.Config) { c.Runners[1].Executor = executorMachine }},
		{"no %s in the name", `runner machines: MachineName "fixed" must hold %s exactly once`,
			func(c *config.Config) {
				c.Runners = append(c.Runners, machine(func(m *config.Machine) { m.MachineName = "fixed" }))
			}},
		{"unknown driver", `runner machines: driver "nosuch": `,
			func(c *config.Config) {
				c.Runners = append(c.Runners, machine(func(m *config.Machine) { m.MachineDriver = "nosuch" }))
			}},
		{"unknown option", "docker-imago",
			func(c *config.Config) {
				c.Runners = append(c.Runners, machine(func(m *config.Machine) { m.MachineOptions = []string{"docker-imago=x"} }))
			}},
		{"unknown zone", "Nowhere/Land",
			func(c *config.Config) {
				c.Runners = append(c.Runners, machine(func(m *config.Machine) {
					m.Autoscaling = []config.Autoscaling{{Periods: []string{"* * * * *"}, Timezone: "Nowhere/Land"}}
				}))
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := w.s.currentConfig()
			good := w.config
			w.change(func(c *config.Config) { // what is good in the file must not be taken either
				c.Concurrent = 99
				c.Runners = append(c.Runners, added)
				tt.change(c)
			})
			if err := w.s.Reload(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if w.s.currentConfig() != before || len(w.s.allWorkers()) != 1 {
				t.Error("a part of it is in force")
			}
			w.config = good
		})
	}
	w.spoil(errors.New("config.toml: line 3: nonsense"))
	if err := w.s.Reload(); err == nil {
		t.Error("an unreadable file was taken")
	}
	if applied != 1 {
		t.Errorf("%d configurations were said to be in force", applied)
	}
	page := w.page("/metrics")
	for _, want := range []string{"gitlab_runner_concurrent 4\n", "gitlab_runner_configuration_loading_error_total 8\n", "gitlab_runner_configuration_loaded_total 1\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	w.await(w.coordinator.Enqueue(hopeless())) // and it goes on working
}

// Runners come, go and come back; each is asked for jobs while it is there, and forgotten on the metrics page when it is gone.
func TestRunnersComeAndGo(t *testing.T) {
	w := newWorld(t)
	w.config.ListenAddress = "127.0.0.1:0"
	one, two := w.runner("one"), w.another("two")
	w.config.Runners = []config.Runner{one}
	w.start()
	if got := w.await(w.coordinator.Enqueue(hopeless())).Runner; got != "default" {
		t.Errorf("the job ran on %q", got)
	}
	// A runner is on the page until its last request has ended, which may bring one more job.
	shows := func(there []config.Runner) func() bool {
		return func() bool {
			page := w.page("/metrics")
			return !slices.ContainsFunc([]config.Runner{one, two}, func(r config.Runner) bool {
				shown := strings.Contains(page, `gitlab_runner_limit{runner="`+config.ShortToken(r.Token))
				return shown != slices.ContainsFunc(there, func(o config.Runner) bool { return o.Token == r.Token })
			})
		}
	}
	for _, tt := range []struct {
		name    string
		runners []config.Runner
		serves  string
	}{
		{"another", []config.Runner{two}, "two"},
		{"back again", []config.Runner{one}, "default"},
		{"no token", []config.Runner{one, {Name: "blank"}}, "default"},
		{"not supported", []config.Runner{one, {Name: "odd", Token: "x", Executor: "parallels"}}, "default"},
		{"shared connection settings", []config.Runner{func() config.Runner { r := one; r.TLSCAFile = "/nosuch.pem"; return r }()}, "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.reload(func(c *config.Config) { c.Runners = tt.runners })
			w.until("the metrics show the runners that there are", shows(tt.runners))
			if got := w.await(w.coordinator.Enqueue(hopeless())).Runner; got != tt.serves {
				t.Errorf("the job ran on %q, want %q", got, tt.serves)
			}
		})
	}
	w.s.Drain()
	if err := w.finish(); err != nil {
		t.Error(err)
	}
}

// What did not change keeps its connections.
func TestReloadKeepsClients(t *testing.T) {
	w := newWorld(t)
	w.config.Runners = []config.Runner{w.runner("one")}
	w.start()
	before := w.s.worker(w.config.Runners[0].Key()).api()
	w.reload(func(c *config.Config) { c.Runners[0].Limit = 7 })
	if w.s.worker(w.config.Runners[0].Key()).api() != before {
		t.Error("another client for a changed limit")
	}
	w.reload(func(c *config.Config) { c.Runners[0].Shell = "sh" })
	if w.s.worker(w.config.Runners[0].Key()).api() == before {
		t.Error("the same client, although what it announces changed")
	}
}

// A reload says by key what changed, never with values, and what waits for a restart, as long as it does.
func TestReloadTellsWhatChanged(t *testing.T) {
	w := newWorld(t)
	w.config.Runners = []config.Runner{w.runner("one")}
	w.start()
	w.reload(func(c *config.Config) {
		c.Concurrent, c.ListenAddress = 9, "127.0.0.1:9252"
		c.SessionServer.SessionTimeout = 7
		c.Runners[0].Limit = 3
		c.Runners[0].Cache.S3.SecretKey = "s3cr3t"
	})
	if got, want := w.log.wait("Configuration loaded")["changed"],
		"concurrent listen_address runners[one].cache.s3.SecretKey runners[one].limit session_server.session_timeout"; got != want {
		t.Errorf("changed: %s\nwant %s", got, want)
	}
	const restart = "Some changes take effect after a restart only"
	if got := w.log.wait(restart)["keys"]; got != "listen_address session_server.session_timeout" {
		t.Errorf("after a restart: %s", got)
	}
	w.reload(func(c *config.Config) { c.CheckInterval = 2 }) // the others still wait
	if got := w.log.wait("Configuration loaded")["changed"]; got != "check_interval" {
		t.Errorf("changed: %s", got)
	}
	if got := w.log.wait(restart)["keys"]; got != "listen_address session_server.session_timeout" {
		t.Errorf("after a restart: %s", got)
	}
	if strings.Contains(w.log.text(), "s3cr3t") {
		t.Error("the log has a secret")
	}
}
