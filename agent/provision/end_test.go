package provision

import (
	"context"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// A machine whose time is over switches itself off, though nobody tells it to. Provisioned again, it counts anew.
func TestOwnEnd(t *testing.T) {
	local := localEngine(t)
	p := newTest(t, Options{Debug: testLog{t}})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	m := startMachine(t, local, p, "root")
	running := func() bool {
		info, err := local.ContainerInspect(ctx, m.Name)
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Running
	}
	provision := func(m fleet.Machine) {
		if _, err := p.Provision(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
	}
	m.ExpiresAt = time.Now().Add(time.Hour)
	provision(m)
	if !running() {
		t.Fatal("the machine is off")
	}
	m.ExpiresAt = time.Now().Add(20 * time.Second)
	provision(m)
	for running() {
		select {
		case <-ctx.Done():
			t.Fatal("the machine stays")
		case <-time.After(500 * time.Millisecond):
		}
	}
	if early := time.Until(m.ExpiresAt); early > 2*time.Second {
		t.Errorf("it went off %s too early", early)
	}
}
