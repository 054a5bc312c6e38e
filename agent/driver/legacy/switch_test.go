package legacy

import (
	"errors"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSwitch switches a machine off and on, as people do.
func TestSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.driver(t, Options{})
	if _, err := d.Create(t.Context(), request("m", nil)); err != nil {
		t.Fatal(err)
	}
	find(t, d, "m", runs)
	ask := func(op, name string, o abi.Owner) error {
		return d.Switch(t.Context(), op, abi.SwitchRequest{ABI: abi.Version, Owner: o, Name: name})
	}
	for _, step := range []struct {
		op   string
		want abi.Status
	}{{abi.ExportStop, abi.StatusStopped}, {abi.ExportStart, abi.StatusRunning}, {abi.ExportKill, abi.StatusStopped}, {abi.ExportRestart, abi.StatusRunning}} {
		if err := ask(step.op, "m", owner); err != nil {
			t.Fatalf("%s: %v", step.op, err)
		}
		find(t, d, "m", func(i abi.Instance) bool { return i.Status == step.want })
	}
	if err := ask(abi.ExportStop, "none", owner); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("a machine that there is not: %v", err)
	}
	if err := ask(abi.ExportStop, "m", abi.Owner{ID: "somebodyelse0000"}); !errors.Is(err, driver.ErrNotFound) {
		t.Errorf("another owner's: %v", err)
	}
	w.Fail("broken")
	if err := ask(abi.ExportStop, "m", owner); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("a cloud that does not answer: %v", err)
	}
}
