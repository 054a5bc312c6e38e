package cli

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// TestByHandBesideAPool has a machine made by hand in the state directory of a running agent, with the driver of its pool: the pool, which makes and
// removes machines of its own meanwhile, neither counts nor touches it.
func TestByHandBesideAPool(t *testing.T) {
	t.Parallel()
	need.Image(t, "millwright/machine:bookworm", "build it with .ci/images.sh")
	mark := "millwright.test=" + dockertest.Random()
	w := newAgentWorld(t)
	config := func(idle int) string {
		return machineConfig(w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), idle,
			`    MachineOptions = ["docker-image=millwright/machine:bookworm", "docker-label=`+mark+`"]`)
	}
	t.Cleanup(func() {
		for _, what := range dockertest.Left(t, mark) {
			t.Errorf("left on the engine: %s", what)
		}
	})
	w.write(config(1))
	p := w.run()
	if code, text := w.machine("create", "--driver", "docker", "--docker-image=millwright/machine:bookworm", "--docker-label="+mark, "mine"); code != 0 {
		t.Fatalf("create: exit code %d\n%s\n%s", code, text, p.text())
	}
	t.Cleanup(func() { _, _ = w.machine("rm", "-f", "mine") }) // when the test failed before it did
	w.untilMachines(p, "one machine is the agent's, one made by hand, and both are ready", func(pool, hand []supervisor.Machine) bool {
		ready := func(s fleet.State) bool { return s == fleet.Idle || s == fleet.Acquired } // the agent's is lent while it asks for a job
		return len(hand) == 1 && len(pool) == 1 && ready(pool[0].State) && hand[0].State == fleet.Idle && hand[0].Phase == ""
	})
	w.write(strings.Replace(config(0), "IdleTime = 600", "IdleTime = 1", 1))
	w.untilMachines(p, "the agent has removed its own machine, and no other", func(pool, hand []supervisor.Machine) bool { return len(pool) == 0 && len(hand) == 1 })
	if code, text := w.machine("status", "mine"); code != 0 || strings.TrimSpace(text) != "Running" {
		t.Errorf("status: %d %s", code, text)
	}
	if code, text := w.machine("rm", "--all"); code != 0 || strings.Contains(text, "mine") {
		t.Errorf("rm --all: %d %s", code, text)
	}
	if code, text := w.machine("rm", "mine"); code != 0 || !strings.Contains(text, "removed mine") {
		t.Errorf("rm: %d %s", code, text)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("the agent ended with %d\n%s", code, p.text())
	}
}

// untilMachines lists the machines until they are as they should be: the agent's, and those made by hand.
func (w *agentWorld) untilMachines(p *process, what string, ok func(pool, hand []supervisor.Machine) bool) {
	w.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; <-time.After(300 * time.Millisecond) {
		code, text := w.machine("ls", "--json")
		var all []supervisor.Machine
		if err := json.Unmarshal([]byte(text), &all); code != 0 || err != nil {
			w.t.Fatalf("machine ls: %d, %v\n%s", code, err, text)
		}
		var pool, hand []supervisor.Machine
		for _, m := range all {
			if m.ByHand {
				hand = append(hand, m)
			} else {
				pool = append(pool, m)
			}
		}
		if ok(pool, hand) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not yet: %s\n%s\n%s", what, text, p.text())
		}
	}
}
