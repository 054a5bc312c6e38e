// Package original makes machines by the drivers that docker-machine itself has, for tests that compare ours with them.
package original

import (
	"context"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// patience is how long a test waits for what a plug-in does. Its libraries sleep for seconds between two looks.
const patience = 3 * time.Minute

// Driver is docker-machine's own driver google or amazonec2, in a plug-in that has env besides. Close it, or let the test do so at its end.
func Driver(t testing.TB, name string, env ...string) *legacy.Driver {
	t.Helper()
	path := legacytest.Original(t, name, env...)
	d := legacy.New(legacy.Options{
		Name: name, Store: t.TempDir(), Find: func() (string, error) { return path, nil }, KeepEvery: 100 * time.Millisecond, InspectEvery: time.Nanosecond,
	})
	t.Cleanup(d.Close)
	return d
}

// Make makes a machine with MachineOptions, and waits until it runs.
func Make(t testing.TB, d *legacy.Driver, owner abi.Owner, machine string, list []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	desc, err := d.Describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	options, problems := wasm.ParseOptions(desc, list, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if _, err := d.Create(ctx, abi.CreateRequest{ABI: abi.Version, Owner: owner, Name: machine, Options: options}); err != nil {
		t.Fatal(err)
	}
	for {
		res, err := d.List(ctx, abi.ListRequest{ABI: abi.Version, Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range res.Instances {
			switch {
			case i.Name != machine:
			case i.Status == abi.StatusRunning:
				return
			case i.Error != nil:
				t.Fatalf("docker-machine could not make it: %v", i.Error)
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("docker-machine did not make it in time: %+v", res.Instances)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Remove removes a machine, and waits until it is gone.
func Remove(t testing.TB, d *legacy.Driver, owner abi.Owner, machine string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	for {
		err := d.Remove(ctx, abi.RemoveRequest{ABI: abi.Version, Owner: owner, Name: machine})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("docker-machine did not remove it: %v", err)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
