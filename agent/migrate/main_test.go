package migrate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/journal"
)

func TestMain(m *testing.M) {
	code := m.Run()
	legacytest.Clean()
	os.Exit(code)
}

// theirs is a store that docker-machine itself has written, with engines of its CA.
type theirs struct {
	t      *testing.T
	binary string
	store  string
}

func newTheirs(t *testing.T) *theirs {
	t.Helper()
	return &theirs{t, legacytest.DockerMachine(t), t.TempDir()}
}

// run runs docker-machine and returns its stdout.
func (d *theirs) run(args ...string) (string, error) {
	d.t.Helper()
	c := exec.Command(d.binary, append([]string{"--bugsnag-api-token=no-report"}, args...)...)
	c.Env = append(os.Environ(), "MACHINE_STORAGE_PATH="+d.store, "PATH="+filepath.Dir(d.binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("docker-machine %s: %w: %s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (d *theirs) must(args ...string) string {
	d.t.Helper()
	out, err := d.run(args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func openJournal(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// plan returns the rows as texts: name, whether it is taken, why.
func plan(t *testing.T, m interface {
	Plan(context.Context) ([]Row, error)
}) ([]Row, string) {
	t.Helper()
	rows, err := m.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%s %t %s", r.Name, r.Take, r.Why))
	}
	return rows, strings.Join(lines, "\n")
}

// do does all rows that can be done.
func do(t *testing.T, rows []Row) {
	t.Helper()
	for _, r := range rows {
		if !r.Take {
			continue
		}
		if err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
