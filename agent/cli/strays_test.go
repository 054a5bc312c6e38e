package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// instance makes what the docker driver would have made for an owner, but for the keys, and returns its name.
func instance(t *testing.T, owner string) string {
	t.Helper()
	api := dockertest.Engine(t)
	name := "stray-" + dockertest.Random()
	made, err := api.ContainerCreate(t.Context(), &container.Config{
		Image: dockertest.Busybox(t), Cmd: []string{"true"}, Labels: map[string]string{ownerLabel: owner, "io.millwright.machine": name},
	}, nil, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = api.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}) // mostly it is gone
	})
	return name
}

// there tells whether a container exists.
func there(t *testing.T, name string) bool {
	t.Helper()
	_, err := dockertest.Engine(t).ContainerInspect(t.Context(), name)
	return err == nil
}

// strayWorld has a state directory and a configuration that names the docker driver.
type strayWorld struct {
	*agentWorld
	owner string
}

func newStrayWorld(t *testing.T) *strayWorld {
	t.Helper()
	w := newAgentWorld(t)
	w.write(machineConfig(w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), 0))
	if code, text := w.machine("ls", "--orphans", "--config", w.config); code != 0 {
		t.Fatalf("%d\n%s", code, text)
	}
	owner, err := os.ReadFile(filepath.Join(w.state, "owner"))
	if err != nil {
		t.Fatal(err)
	}
	return &strayWorld{w, strings.TrimSpace(string(owner))}
}

// list returns what ls --orphans --json shows.
func (w *strayWorld) list() supervisor.Strays {
	w.t.Helper()
	code, text := w.machine("ls", "--orphans", "--json", "--config", w.config)
	var found supervisor.Strays
	if err := json.Unmarshal([]byte(text), &found); err != nil || code != 0 {
		w.t.Fatalf("%d %v\n%s", code, err, text)
	}
	return found
}

// says runs a command and checks its exit code and words of its output.
func (w *strayWorld) says(code int, words string, args ...string) {
	w.t.Helper()
	got, text := w.machine(append(args, "--config", w.config)...)
	if got != code || !strings.Contains(text, words) {
		w.t.Errorf("machine %s: exit code %d, want %d and %q in\n%s", strings.Join(args, " "), got, code, words, text)
	}
}

// Without an agent, orphans are those of the configuration's providers that the journal does not know; they go when that is said twice.
func TestReapOffline(t *testing.T) {
	t.Parallel()
	w := newStrayWorld(t)
	orphan, other := instance(t, w.owner), instance(t, strings.ToLower(dockertest.Random() + dockertest.Random())[:16])
	found := w.list()
	if len(found.Orphans) != 1 || found.Orphans[0].Name != orphan || found.Orphans[0].Driver != "docker" || found.Owner != w.owner {
		t.Errorf("%+v", found)
	}
	w.says(0, "would remove "+orphan, "reap")
	w.says(0, "nothing is removed without --yes", "reap", orphan)
	w.says(1, other+" is no orphan", "reap", other)
	if !there(t, orphan) {
		t.Fatal("a dry run removed it")
	}
	freeze := func(args ...string) {
		t.Helper()
		if code, text := run(t, w.binary, append(args, "--state-dir", w.state)...); code != 0 {
			t.Fatalf("%s: %d\n%s", args[0], code, text)
		}
	}
	freeze("freeze", "--reason", "an incident")
	w.says(1, "frozen", "reap", "--yes")
	freeze("unfreeze")
	if !there(t, orphan) {
		t.Fatal("it was removed while all removing was stopped")
	}
	w.says(0, "removed "+orphan, "reap", "--yes")
	if there(t, orphan) || !there(t, other) {
		t.Errorf("the orphan is there: %t, another owner's instance: %t", there(t, orphan), there(t, other))
	}
	w.says(0, "nothing to remove", "reap", "--yes")
	if found = w.list(); len(found.Orphans) != 0 {
		t.Errorf("%+v", found.Orphans)
	}
}

// A state directory that was lost has its machines show up as another owner's, until they are taken over. A running agent then
// suspects them.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newStrayWorld(t)
	lostOwner := strings.ToLower(dockertest.Random() + dockertest.Random())[:16]
	lost, second := instance(t, lostOwner), instance(t, lostOwner)
	seen := 0
	for _, s := range w.list().Others {
		if s.Owner == lostOwner {
			seen++
		}
	}
	if seen != 2 {
		t.Errorf("%d machines of the lost owner are shown", seen)
	}
	w.says(0, "would remove "+lost, "reap", "--owner", lostOwner, lost)
	w.says(0, "removed "+lost, "reap", "--owner", lostOwner, lost, "--yes")
	if there(t, lost) || !there(t, second) {
		t.Error("not the one that was named is gone")
	}
	w.says(1, "16 characters of 0-9 and a-z", "take-over", "x")

	p := w.run()
	w.says(1, "in use by another process", "take-over", lostOwner)
	p.signal(syscall.SIGTERM)
	p.wait()
	w.says(0, "is "+lostOwner, "take-over", lostOwner)

	p = w.run()
	p.until("Instance bears our owner tag and is in no journal")
	found := w.list()
	if len(found.Orphans) != 1 || found.Orphans[0].Name != second || found.Orphans[0].RemovalAt.Before(time.Now()) {
		t.Errorf("%+v", found.Orphans)
	}
	w.says(0, "would remove "+second, "reap")
	w.says(0, "removed "+second, "reap", "--yes")
	if there(t, second) {
		t.Error("the orphan is still there")
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
}

func TestStrayTable(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var text, errs bytes.Buffer
	a := newApp("millwright", &text, &errs)
	if err := a.printStrays(supervisor.Strays{
		Owner: "0123456789abcdef",
		Orphans: []supervisor.Stray{
			{Name: "auto-1", ID: "i-1", Driver: "docker", Status: abi.StatusRunning, Address: "10.0.0.7", CreatedAt: "2026-11-21T11:00:00Z", RemovalAt: now.Add(90 * time.Second)},
			{Name: "auto-2", Driver: "docker", Status: abi.StatusStopped, RemovalAt: now.Add(-time.Second)},
			{Name: "auto-3", Driver: "docker", Status: abi.StatusRunning, Note: "its journal entry can't be read"},
		},
		Ledger: []supervisor.Machine{{Name: "auto-4", Runner: "r", Driver: "docker", State: fleet.Removing, CreatedAt: now.Add(-time.Hour), Reason: "Too many builds",
			Tries: 7, Error: "docker: remove: a disk is in use"}},
		Others: []supervisor.Stray{{Name: "auto-5", Driver: "docker", Owner: "fedcba9876543210", Status: abi.StatusRunning}},
		Errors: []string{"google: list: denied"},
	}, now); err != nil {
		t.Fatal(err)
	}
	if err := a.printStrays(supervisor.Strays{Owner: "0123456789abcdef"}, now); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "strays.txt", text.String())
	if !strings.Contains(errs.String(), "google: list: denied") {
		t.Errorf("told %q", errs.String())
	}
}
