package cli

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
)

// TestDockerMachineInACloud runs the real binary by the name of docker-machine, as testdata/clouds tells, with machines of the driver google: the
// cloud is a model of Compute Engine's API, its machines are whole. $ENDPOINT is the cloud's.
func TestDockerMachineInACloud(t *testing.T) {
	t.Parallel()
	hardware := boxes.Open(t, filepath.Join(repository, ".cache", "demo-images"))
	cloud, err := fakegce.Start(fakegce.Settings{OpTime: 100 * time.Millisecond, BootTime: 200 * time.Millisecond, Hardware: hardware})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range cloud.Wrong() {
			t.Errorf("Google would refuse this request: %s", wrong)
		}
	})
	bin := t.TempDir()
	if err := os.Symlink(millwright(t), filepath.Join(bin, dockerMachineName)); err != nil {
		t.Fatal(err)
	}
	account := fakegce.Account(t, "ya29.of-a-test")
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "clouds"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("ENDPOINT", cloud.URL())
			e.Setenv("GOOGLE_APPLICATION_CREDENTIALS", account)
			e.Setenv("MACHINE", "m-"+strings.ToLower(rand.Text()[:8]))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode, "keep": keepOutput},
	})
}
