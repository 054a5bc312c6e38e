package dropin_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestInstanceRunner has a runner with [runners.autoscaler] beside one of docker+machine: it has a built-in policy of its own, the dropped-in
// ones run after it, and one that takes the place of a policy of docker+machine does not concern it.
func TestInstanceRunner(t *testing.T) {
	w := newWorld(t)
	w.drop("idlescale.wasm", wants(9))
	w.drop("more.toml", []byte(`{"Runners":["build"]}`))
	w.drop("more.wasm", wants(4))
	w.start()
	r, err := w.m.Runner(t.Context(), "fleet/abc", "fleet", true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := abi.Snapshot{NowUnixMS: time.Now().UnixMilli(), Zones: []abi.Zone{{Name: "UTC"}}, Slots: &abi.Slots{}, Runner: abi.RunnerSettings{
		Name: "fleet", Instances: &abi.InstanceSettings{CapacityPerInstance: 5, MaxInstances: 10, Policy: []abi.InstancePolicy{
			{Periods: []string{"* * * * *"}, Timezone: "UTC", IdleCount: 7, IdleTimeS: 60, PreemptiveMode: true}}},
	}}
	chain := func() (names []string, target int) {
		d := r.Decide(t.Context(), s)
		for _, step := range d.Steps {
			names = append(names, step.Module)
		}
		return names, d.IdleTarget
	}
	if names, target := chain(); !slices.Equal(names, []string{"instances"}) || target != 7 {
		t.Errorf("%q want %d", names, target)
	}
	if d := w.decide(); d.IdleTarget != 4 || len(d.Steps) != 3 {
		t.Errorf("docker+machine: %d, %d steps", d.IdleTarget, len(d.Steps))
	}
	w.drop("more.toml", []byte(`{"Runners":["*"]}`))
	w.until("it serves both", func() bool {
		names, target := chain()
		return slices.Equal(names, []string{"instances", "more"}) && target == 4*5 // it counts machines, of five slots each
	})
	modules, _ := w.m.Status()
	var builtin []string
	for _, m := range modules {
		if m.Builtin {
			builtin = append(builtin, m.Name)
		}
	}
	if !slices.Equal(builtin, []string{"periods", "instances"}) {
		t.Errorf("the built-in policies are %q", builtin)
	}
}
