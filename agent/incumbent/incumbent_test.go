package incumbent_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/incumbent"
)

const figures = `# a server between may have taken the types away
# HELP gitlab_runner_jobs The current number of running builds
gitlab_runner_jobs{executor_stage="idle",runner="Abcdefghi",stage="idle",state="idle"} 0
gitlab_runner_jobs{executor_stage="docker_run",runner="Abcdefghi",stage="step_script",state="running"} 1
gitlab_runner_jobs{executor_stage="prepare_executor",runner="Abcdefghi",stage="prepare_executor",state="running"} 1
gitlab_runner_jobs{executor_stage="docker_run",runner="zyxwvutsr",stage="step_script",state="running"} 7
`

// store is docker-machine's folder with the given machines; those with an address are ready.
func store(t *testing.T, machines map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, address := range machines {
		folder := filepath.Join(dir, "machines", name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if address == "none" { // its folder is there before its file
			continue
		}
		config := fmt.Sprintf(`{"ConfigVersion":3,"DriverName":"google","Name":%q,"Driver":{"IPAddress":%q}}`, name, address)
		if address == "half" {
			config = config[:40]
		}
		if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var runner = incumbent.Runner{Key: "build/Abcdefghi", ShortToken: "Abcdefghi", Driver: "google"}

func TestMachines(t *testing.T) {
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, figures) }))
	defer metrics.Close()
	dir := store(t, map[string]string{
		"runner-abcdefghi-ci-1795277750-00000001": "10.0.0.1",
		"runner-abcdefghi-ci-1795277751-00000002": "10.0.0.2",
		"runner-abcdefghi-ci-1795277752-00000003": "10.0.0.3",
		"runner-abcdefghi-ci-1795277753-00000004": "none",
		"runner-abcdefghi-ci-1795277754-00000005": "half",
		"runner-zyxwvutsr-ci-1795277755-00000006": "10.0.0.6",
		"by-hand": "10.0.0.7",
	})
	i := incumbent.New(incumbent.Options{Store: dir, Metrics: metrics.URL})
	states := func(used map[string]bool) string {
		t.Helper()
		machines, err := i.Machines(t.Context(), runner, used)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range machines {
			out = append(out, m.Name[len(m.Name)-1:]+" "+string(m.State))
			if m.Runner != runner.Key || m.Driver != "google" || m.CreatedAt.Unix()-1795277750 > 4 {
				t.Errorf("read %+v", m)
			}
		}
		return strings.Join(out, ", ")
	}
	if got := states(nil); got != "1 used, 2 used, 3 idle, 4 creating, 5 creating" {
		t.Errorf("got %s", got)
	}
	if got := states(map[string]bool{"runner-abcdefghi-ci-1795277752-00000003": true}); got != "1 used, 2 idle, 3 used, 4 creating, 5 creating" {
		t.Errorf("with the third in use before: %s", got)
	}
}

func TestBlind(t *testing.T) {
	var log strings.Builder
	dir := store(t, map[string]string{"runner-abcdefghi-ci-1795277750-00000001": "10.0.0.1"})
	for name, url := range map[string]string{"no metrics": "", "nobody answers": "http://127.0.0.1:1/metrics"} {
		log.Reset()
		i := incumbent.New(incumbent.Options{Store: dir, Metrics: url, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for range 2 {
			machines, err := i.Machines(t.Context(), runner, nil)
			if err != nil || len(machines) != 1 || machines[0].State != fleet.Idle {
				t.Errorf("%s: got %v, %v", name, machines, err)
			}
		}
		if n := strings.Count(log.String(), "Machines in use are not known"); n != 1 {
			t.Errorf("%s: the log says it %d times: %s", name, n, log.String())
		}
	}
}

func TestNoStore(t *testing.T) {
	machines, err := incumbent.New(incumbent.Options{Store: filepath.Join(t.TempDir(), "none")}).Machines(t.Context(), runner, nil)
	if err != nil || len(machines) > 0 {
		t.Errorf("got %v, %v", machines, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := incumbent.New(incumbent.Options{Store: file}).Machines(t.Context(), runner, nil); err == nil || errors.Is(err, incumbent.ErrBlind) {
		t.Errorf("a file for a store: %v", err)
	}
}
