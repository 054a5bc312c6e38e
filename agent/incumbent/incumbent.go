// Package incumbent looks over the shoulder of a gitlab-runner with docker+machine executor: which machines it has, by docker-machine's
// store, and how many of them run a job, by its metrics. It only reads.
package incumbent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Options say where an incumbent's traces are.
type Options struct {
	Store   string // docker-machine's folder: MACHINE_STORAGE_PATH, or .docker/machine in the home of gitlab-runner's user
	Metrics string // URL of its metrics, such as http://127.0.0.1:9252/metrics; "" when it serves none
	Log     *slog.Logger
}

// Incumbent is a gitlab-runner that is watched. Its methods are safe for concurrent use.
type Incumbent struct {
	o    Options
	http *http.Client

	mu     sync.Mutex // guards what follows
	jobs   map[string]int
	readAt time.Time
	blind  bool // the metrics could not be read the last time, and the log was told
}

// ErrBlind means that nobody can say how many machines are in use.
var ErrBlind = errors.New("gitlab-runner's metrics can't be read, so that machines in use look idle")

// metricsAge is how long the metrics serve all runners that ask.
const metricsAge = time.Second

// New looks nowhere yet.
func New(o Options) *Incumbent {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Incumbent{o: o, http: &http.Client{Timeout: 10 * time.Second}}
}

// DefaultStore is docker-machine's folder as the environment has it.
func DefaultStore() string {
	if path := os.Getenv("MACHINE_STORAGE_PATH"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = string(filepath.Separator)
	}
	return filepath.Join(home, ".docker", "machine")
}

// Runner is one [[runners]] entry of the incumbent's.
type Runner struct {
	Key        string // as the machines returned bear it
	ShortToken string // as machines' names and metrics hold it
	Driver     string
}

// Machines returns the runner's machines, by name. A machine without an address counts as being created; of the others, as many are
// in use as the metrics count jobs. Which ones nobody tells: those that were named so before (used) come first, then the oldest.
func (i *Incumbent) Machines(ctx context.Context, r Runner, used map[string]bool) ([]fleet.Machine, error) {
	machines, err := i.store(r)
	if err != nil {
		return nil, err
	}
	jobs, err := i.jobsOf(ctx, r.ShortToken)
	if err != nil {
		i.tellBlind(err)
	}
	order := make([]*fleet.Machine, 0, len(machines))
	for n := range machines {
		if machines[n].State == fleet.Idle {
			order = append(order, &machines[n])
		}
	}
	slices.SortStableFunc(order, func(a, b *fleet.Machine) int {
		if used[a.Name] != used[b.Name] {
			return map[bool]int{true: -1, false: 1}[used[a.Name]]
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	for _, m := range order[:min(jobs, len(order))] {
		m.State = fleet.Used
	}
	return machines, nil
}

// record is what we read of docker-machine's config.json.
type record struct {
	DriverName string
	Driver     struct{ IPAddress string }
}

// store reads the machines' folders. One that appears or goes meanwhile is passed over.
func (i *Incumbent) store(r Runner) ([]fleet.Machine, error) {
	folder := filepath.Join(i.o.Store, "machines")
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has made none yet
	}
	if err != nil {
		return nil, fmt.Errorf("docker-machine's store: %w; run as the user of gitlab-runner, or as root", err)
	}
	prefix := "runner-" + strings.ToLower(r.ShortToken) + "-"
	var machines []fleet.Machine
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(strings.ToLower(e.Name()), prefix) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		m := fleet.Machine{Name: e.Name(), Runner: r.Key, Driver: r.Driver, State: fleet.Creating, CreatedAt: info.ModTime()}
		path := filepath.Join(folder, e.Name(), "config.json")
		data, err := os.ReadFile(path)
		var c record
		if err == nil && json.Unmarshal(data, &c) == nil { // it is written in place: half of it is none
			m.Driver = cmp.Or(c.DriverName, m.Driver)
			if m.Instance.Address = c.Driver.IPAddress; m.Instance.Address != "" {
				m.State = fleet.Idle
			}
		}
		if at, ok := createdAt(e.Name()); ok {
			m.CreatedAt = at
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// createdAt reads the time out of a machine's name, which ends in <unix seconds>-<8 hex digits> or has that before a suffix.
func createdAt(name string) (time.Time, bool) {
	for part := range strings.SplitSeq(name, "-") {
		var seconds int64
		if n, err := fmt.Sscanf(part, "%d", &seconds); n == 1 && err == nil && len(part) == 10 && fmt.Sprint(seconds) == part {
			return time.Unix(seconds, 0), true
		}
	}
	return time.Time{}, false
}
