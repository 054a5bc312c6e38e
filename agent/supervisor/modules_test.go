package supervisor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// tinyDriver is a driver without a cloud behind it.
func tinyDriver(version string) []byte {
	return moduletest.Tiny(map[string]string{
		"describe": `{"abi":1,"kind":"driver","name":"tiny","version":"` + version + `","options":[{"name":"tiny-zone","type":"string","env":"TINY_ZONE","default":"a","help":"where it is"}]}`,
		"validate": `{"ok":{"problems":[]}}`, "create": `{"error":{"kind":"quota","message":"there is no cloud"}}`,
		"list": `{"ok":{"instances":[],"complete":true}}`, "remove": `{"ok":{}}`,
	})
}

// folder is a folder of config.toml, millwright.toml, policies.d and drivers.d.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	for _, name := range []string{"policies.d", "drivers.d"} {
		if err := os.Mkdir(filepath.Join(f.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// drop puts a file in place as a careful deployer does.
func (f folder) drop(name string, data []byte) {
	f.t.Helper()
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	tmp := filepath.Join(filepath.Dir(path), ".tmp")
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) operator(o *Options) {
	o.Operator = func() (*config.Operator, error) {
		path := filepath.Join(f.dir, "config.toml")
		op, diagnostics, err := config.LoadOperator(path)
		if err != nil {
			return config.DefaultOperator(path), err
		}
		return op, config.Err(diagnostics)
	}
}

// tinyRunner is a runner whose machines are the tiny driver's.
func (w *world) tinyRunner(name string) config.Runner {
	r := w.another(name)
	r.Executor = executorMachine
	r.Machine = &config.Machine{MachineName: "m-%s", MachineDriver: "tiny", IdleCount: 0, IdleTime: 600}
	return r
}

func (w *world) get(path string, into any) {
	w.t.Helper()
	status, body := w.agent(http.MethodGet, path)
	if status != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		w.t.Fatal(err)
	}
}

// last returns what the last decision of the first runner is.
func (w *world) last() DecisionView {
	var all []Explanation
	w.get("/v1/policies/explain", &all)
	if len(all) == 0 || len(all[0].Decisions) == 0 {
		return DecisionView{}
	}
	return all[0].Decisions[len(all[0].Decisions)-1]
}

// Policies and a driver are dropped into a running agent, swapped, refused and rolled back, and all of it shows.
func TestDroppedInModules(t *testing.T) {
	w := newWorld(t)
	f := newFolder(t)
	f.drop("drivers.d/tiny.wasm", tinyDriver("1"))
	w.config.ListenAddress = "127.0.0.1:0"
	w.config.Runners = []config.Runner{w.tinyRunner("build")}
	modules := builtins(t)
	w.start(modules, f.operator)

	f.drop("policies.d/burst.wasm", moduletest.TinyPolicy("burst", `{"idle_target":3,"max_builds":9,"reason":"three"}`))
	w.until("three are wanted", func() bool { return w.last().IdleTarget == 3 })
	w.change(func(c *config.Config) {
		c.Runners[0].Limit, c.Runners[0].Machine = 2, &config.Machine{MachineName: "m-%s", MachineDriver: "tiny", MaxBuilds: 4}
	})
	if err := w.s.Reload(); err != nil {
		t.Fatal(err)
	}
	w.until("the guard rails show", func() bool {
		text := fmt.Sprintf("%+v", w.last().Rails)
		return strings.Contains(text, "Name:max_builds Cause:MaxBuilds Wanted:9 Got:4")
	})
	if d := w.last(); len(d.Steps) != 3 || d.Steps[2].Policy != "burst" || d.Steps[2].Proposal.Reason != "three" || d.Reason != "three" {
		t.Errorf("explained is %+v", d)
	}

	f.drop("policies.d/burst.toml", []byte("mode = \"shadow\"\n"))
	w.until("it is in shadow", func() bool { d := w.last(); return d.IdleTarget == 0 && len(d.Shadows) == 1 })
	f.drop("policies.d/burst.toml", []byte("mod = \"shadow\"\n"))
	w.until("a mistake is named", func() bool {
		var list ModuleList
		w.get("/v1/modules", &list)
		return strings.Contains(fmt.Sprint(list.Modules), "mod: unknown key")
	})
	if status, body := w.agent(http.MethodPost, "/v1/policies/burst/rollback"); status != http.StatusOK || !strings.Contains(body, `"generation":1`) {
		t.Errorf("rollback: %d %s", status, body)
	}
	w.until("three are wanted again", func() bool { return w.last().IdleTarget == 3 })
	if status, body := w.agent(http.MethodPost, "/v1/policies/none/rollback"); status != http.StatusNotFound {
		t.Errorf("rollback of nothing: %d %s", status, body)
	}
	if status, body := w.agent(http.MethodPost, "/v1/modules/reload"); status != http.StatusOK {
		t.Errorf("reload: %d %s", status, body)
	}

	page := w.page("/metrics")
	for _, want := range []string{
		`millwright_module_generation{kind="policy",name="burst"} 1`, `millwright_module_refused{kind="policy",name="burst"} 1`,
		`millwright_module_loaded{kind="driver",name="tiny"} 1`, `millwright_module_calls_total{export="decide",kind="policy",name="burst"}`,
		`millwright_module_info{abi="1",hash="`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}

	f.drop("drivers.d/tiny.wasm", tinyDriver("2"))
	w.until("the driver is swapped", func() bool {
		var list ModuleList
		w.get("/v1/modules", &list)
		for _, m := range list.Modules {
			if m.Name == "tiny" && m.Version == "2" {
				return true
			}
		}
		return false
	})
	if err := os.Remove(filepath.Join(f.dir, "drivers.d", "tiny.wasm")); err != nil {
		t.Fatal(err)
	}
	w.log.wait("driver stays loaded until its last machine is gone and no runner asks for it")
	w.stop(nil)
	if err := w.finish(); err != nil {
		t.Error(err)
	}
}
