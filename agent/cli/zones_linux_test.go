package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// TestZonesWithoutFiles runs the binary where there is no file but itself and its configuration: it knows the zones all the same, and
// names the one that is none.
func TestZonesWithoutFiles(t *testing.T) {
	need.Root(t) // for chroot
	binary, root := millwright(t), t.TempDir()
	data, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "millwright"), data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := `
[[runners]]
  name = "r"
  token = "glrt-zones"
  url = "https://gitlab.example.com"
  executor = "docker+machine"
  [runners.docker]
    image = "busybox"
  [runners.machine]
    MachineDriver = "docker"
    MachineName = "auto-%s"
`
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Local", "Mars/Olympus"} {
		text += `
    [[runners.machine.autoscaling]]
      Periods = ["* * 22-6 * * * *"]
      Timezone = "` + zone + `"
      IdleCount = 1
      IdleTime = 60
`
	}
	if err := os.WriteFile(filepath.Join(root, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/millwright", "config", "check", "--config", "/config.toml", "--state-dir", "/state")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir, cmd.Env = "/", []string{"HOME=/"}
	out, err := cmd.CombinedOutput()
	said := string(out)
	if err == nil || strings.Count(said, "time zone") != 1 || !strings.Contains(said, `autoscaling[4].Timezone: "Mars/Olympus" is not a known time zone`) {
		t.Errorf("%v\n%s", err, said)
	}
	if strings.Count(said, "wraps around") != 5 {
		t.Errorf("the ranges that run backwards are not named:\n%s", said)
	}
}
