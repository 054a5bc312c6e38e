package supervisor

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
)

const tinyCeilings = `
max_machines = 7
max_creates_per_hour = 400
[runners.tiny]
max_machine_age = "8h"
alternatives = [["tiny-zone=b"], ["tiny-zone=c"], ["tiny-zoen=d"]]
[drivers.tiny]
calls_per_second = 100
`

// TestOperatorsHand has a provider without machines, and an operator who changes millwright.toml, freezes and starts the agent again.
func TestOperatorsHand(t *testing.T) {
	t.Parallel()
	w, f := newWorld(t), newFolder(t)
	f.drop("drivers.d/tiny.wasm", tinyDriver("1"))
	f.drop("millwright.toml", []byte(tinyCeilings))
	w.config.ListenAddress = "127.0.0.1:0"
	r := w.tinyRunner("tiny")
	r.Machine.IdleCount = 1
	w.config.Runners = []config.Runner{r}
	modules := builtins(t)
	w.start(modules, f.operator)

	var s Scaling
	w.until("all alternatives were tried", func() bool {
		s = w.scaling()
		return len(s.Runners) == 1 && len(s.Runners[0].PassedOver) == 3 && s.Runners[0].Breaker != pool.BreakerClosed
	})
	own := s.Runners[0]
	if _, ok := own.PassedOver["tiny-zone=c"]; !ok || own.Ceilings.MaxMachineAgeS != 8*3600 || own.Backoffs[0].Kind != "quota" {
		t.Errorf("%+v", own)
	}
	if s.Ceilings.MaxMachines != 7 || s.Ceilings.Creates < 3 || s.Frozen != nil {
		t.Errorf("%+v, frozen %v", s.Ceilings, s.Frozen)
	}
	if len(s.Accounts) != 1 || s.Accounts[0].Name != "tiny" || s.Accounts[0].Calls["create"] < 3 {
		t.Errorf("%+v", s.Accounts)
	}
	w.log.wait("An alternative of millwright.toml is left out")

	// What the file says now is in force within seconds; a broken file changes nothing.
	f.drop("millwright.toml", []byte(strings.Replace(strings.Replace(tinyCeilings, "7", "5", 1), "8h", "4h", 1)))
	w.until("the changed ceilings are in force", func() bool {
		s = w.scaling()
		return s.Ceilings.MaxMachines == 5 && s.Runners[0].Ceilings.MaxMachineAgeS == 4*3600
	})
	f.drop("millwright.toml", []byte("max_machines = -1\n"))
	w.log.wait("Ceilings of millwright.toml are ignored; those before stay in force")
	if s = w.scaling(); s.Ceilings.MaxMachines != 5 {
		t.Errorf("%+v after a broken file", s.Ceilings)
	}
	f.drop("millwright.toml", []byte(tinyCeilings))

	// A freeze outlives the agent.
	if status, body := w.agent(http.MethodPost, "/v1/freeze?for=x"); status != http.StatusBadRequest || !strings.Contains(body, "30m") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := w.agent(http.MethodPost, "/v1/freeze?for=2h&reason=an+incident"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	frozen := w.scaling()
	if frozen.Frozen == nil || frozen.Frozen.Reason != "an incident" || time.Until(frozen.Frozen.Until) < time.Hour {
		t.Errorf("%+v", frozen.Frozen)
	}
	page := w.page("/metrics")
	for _, line := range []string{
		"millwright_frozen 1", `millwright_ceiling{ceiling="max_machines",runner_name=""}`, `millwright_guard_rail_cut{cause="frozen",rail="create",runner_name="tiny"} 1`,
		`millwright_alternatives_passed_over{runner_name="tiny"}`, `millwright_provider_calls_total{account="tiny",operation="create"}`,
	} {
		if !strings.Contains(page, line) {
			t.Errorf("the page lacks %s", line)
		}
	}
	w.s.Drain()
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	asked := noted(t, w.stateDir)
	w.start(modules, f.operator)
	w.log.wait("The agent is frozen: nothing is created or removed")
	w.until("the agent listens", func() bool {
		_, err := os.Stat(SocketPath(w.stateDir))
		return err == nil
	})
	w.until("the freeze is back", func() bool {
		s = w.scaling()
		return s.Frozen != nil && s.Ceilings.Creates == asked
	})
	for name, path := range map[string]string{"hold": "/v1/machines/nobody/hold?for=1h", "cordon": "/v1/machines/nobody/cordon", "release": "/v1/machines/nobody/release"} {
		if status, body := w.agent(http.MethodPost, path); status != http.StatusNotFound || !strings.Contains(body, "machine ls") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _ := w.agent(http.MethodPost, "/v1/machines/nobody/hold"); status != http.StatusBadRequest {
		t.Errorf("a hold without an end: %d", status)
	}
	if status, body := w.agent(http.MethodDelete, "/v1/freeze"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	w.until("machines are asked for again", func() bool {
		s = w.scaling()
		return s.Frozen == nil && s.Ceilings.Creates > asked
	})
}

func (w *world) scaling() (s Scaling) {
	w.t.Helper()
	w.get("/v1/scaling", &s)
	return s
}

// noted returns how many creations the log of a state directory has.
func noted(t *testing.T, dir string) int {
	t.Helper()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	n := 0
	if err := j.Creates(time.Now(), func(string, time.Time) { n++ }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCeilingsUnknown has a millwright.toml that can't be read: an agent that does not know its ceilings does not start.
func TestCeilingsUnknown(t *testing.T) {
	t.Parallel()
	w, f := newWorld(t), newFolder(t)
	f.drop("millwright.toml", []byte("max_machines = \"ten\"\n"))
	o := w.options()
	f.operator(&o)
	s, err := New(o)
	if err == nil {
		s.Close()
		t.Fatal("it starts")
	}
	if !strings.Contains(err.Error(), "ceilings are not known") || !strings.Contains(err.Error(), "millwright.toml:1: max_machines") {
		t.Errorf("error %v", err)
	}
}

// TestScalingIsJSON has no null where the command line expects a list.
func TestScalingIsJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(builtins(t))
	data, err := json.Marshal(w.s.Scaling())
	if err != nil || strings.Contains(string(data), "null") {
		t.Errorf("%s, %v", data, err)
	}
}
