package cloudtrial

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
)

// TestCreationsFail has a cloud that fails each creation: three machines are asked for and no more, also by a trial that follows, and nothing of them is
// left. What holds the agent back is not the driver's matter, so one stands for both.
func TestCreationsFail(t *testing.T) {
	t.Parallel()
	cloud := google(t, fakegce.Settings{Token: token})
	if err := cloud.Fail("half-made"); err != nil { // disks are made, and their VMs are not
		t.Fatal(err)
	}
	asked := func() int { return cloud.Record()["compute.instances.insert"] }
	trial, out := newTrial(t, "google", Settings{setProject: "project-1", setZone: "us-central1-b"}, cloud.URL())
	err := trial.Run(t.Context())
	t.Logf("%s%v", out, err)
	owner := out.owner()
	for _, want := range []string{"Internal error. Please try again", "nothing of the owner " + owner + " is left"} {
		if err == nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v; %q is not said", err, want)
		}
	}
	if n := asked(); n != maxCreates {
		t.Errorf("%d machines were asked for, want %d", n, maxCreates)
	}
	if err := trial.Run(t.Context()); !errors.Is(err, errSpent) {
		t.Errorf("the next trial: %v, want %v", err, errSpent)
	}
	if n := asked(); n != maxCreates {
		t.Errorf("with the next trial %d machines were asked for, want %d", n, maxCreates)
	}
	for _, what := range cloud.Leftovers(owner) {
		t.Errorf("left in the cloud: %s", what)
	}
}

// TestNeverReady has a machine that nobody can log in to. It ends by itself in an hour at the latest; the trial that is cut short removes it, and then
// names what turns up in the account although nobody knows it.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	cloud := google(t, fakegce.Settings{Token: token})
	trial, out := newTrial(t, "google", Settings{setProject: "project-1", setZone: "us-central1-b"}, cloud.URL())
	errCut := errors.New("cut short by the test")
	ctx, cut := context.WithCancelCause(t.Context())
	defer cut(nil)
	var ends []string // of machines, as the cloud was told
	out.heard = func(line string) {
		if !strings.Contains(line, "creating, ssh") {
			return
		}
		for _, vm := range cloud.Instances("project-1") {
			scheduling, _ := vm["scheduling"].(map[string]any)
			end, _ := scheduling["terminationTime"].(string)
			ends = append(ends, end)
		}
		cut(errCut)
	}
	look, late := trial.Left, sync.OnceFunc(func() {
		insert(t, Account{Driver: "google", Endpoint: cloud.URL(), Project: "project-1", Store: newStore(t)}, "late", out.owner())
	})
	trial.Patience = 2 * time.Second
	trial.Left = func(ctx context.Context, owner string) ([]string, error) {
		late()                                         // when the agent is no more
		return look(context.WithoutCancel(ctx), owner) // however busy the machine is
	}
	began := time.Now()
	err := trial.Run(ctx)
	t.Logf("%s%v", out, err)
	const left = "left in the account, and paid for: disk late-disk in zones/us-central1-a, instance late in zones/us-central1-a; remove it by hand"
	if !errors.Is(err, errCut) || !strings.Contains(err.Error(), left) {
		t.Errorf("got %v, want %v and %s", err, errCut, left)
	}
	if n := cloud.Record()["compute.instances.insert"]; n != 2 { // the late one is the test's
		t.Errorf("%d machines were made", n-1)
	}
	for _, text := range ends {
		if end, err := time.Parse(time.RFC3339, text); err != nil || end.Before(began) || end.After(time.Now().Add(time.Hour)) {
			t.Errorf("a machine ends at %q, %v; want an hour after it was made", text, err)
		}
	}
	if len(ends) == 0 {
		t.Error("no machine was there")
	}

	trial.Limit, trial.Left = time.Nanosecond, look
	if err := cloud.Put("late", ""); err != nil {
		t.Fatal(err)
	}
	if err := trial.Run(t.Context()); !errors.Is(err, errLate) || strings.Contains(err.Error(), "left in the account") {
		t.Errorf("without time: %v, want %v and nothing left", err, errLate)
	}
}
