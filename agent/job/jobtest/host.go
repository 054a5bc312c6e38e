package jobtest

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
)

// NewHost returns a bench without an engine, for an executor that runs stages on a host. Builds and caches lie in a folder of the test.
func NewHost(t *testing.T, executor string, change ...func(*embedded.Options)) *Bench {
	t.Helper()
	need.Command(t, "git")
	s := &Site{Gateway: "127.0.0.1"}
	b := s.Bench(t, change...)
	dir := t.TempDir()
	b.Runner.Executor = executor
	b.Runner.BuildsDir, b.Runner.CacheDir = filepath.Join(dir, "builds"), filepath.Join(dir, "cache")
	return b
}

// Helper builds the helper binary of this tree, and tells where it is as job.Params want it.
func Helper(t *testing.T) job.OnHost {
	t.Helper()
	need.Command(t, "go")
	path := filepath.Join(t.TempDir(), "millwright-helper")
	cmd := exec.Command("go", "build", "-o", path, "./agent/cmd/millwright-helper")
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the helper: %v\n%s", err, out)
	}
	return job.OnHost{Helper: func(system, arch string) string {
		if system == runtime.GOOS && arch == runtime.GOARCH {
			return path
		}
		return ""
	}}
}
