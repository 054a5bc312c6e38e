//go:build unix

package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
)

// TestMigration does what docs/migration.md says, in one shell, with a config.toml that gitlab-runner would take and a store that docker-machine
// has written. The provider is docker-machine's driver none, where the page says google: engines that are there, two of which are idle.
func TestMigration(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds docker-machine and runs an agent")
	}
	t.Parallel()
	machine := legacytest.DockerMachine(t)
	s := openShell(t, millwright(t))
	store := filepath.Join(s.dir, "machine")
	var names []string
	for n := range 3 {
		engine := legacytest.NewEngine(t)
		names = append(names, fmt.Sprintf("runner-incumbent-ci-179527775%d-0000000%d", n, n))
		c := exec.Command(machine, "create", "--driver", "none", "--url", engine.URL(), names[n])
		c.Env = append(os.Environ(), "MACHINE_STORAGE_PATH="+store, "PATH="+filepath.Dir(machine)+string(os.PathListSeparator)+os.Getenv("PATH"))
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		engine.Serve(t, filepath.Join(store, "certs"))
		if n == 2 {
			engine.Run("4711", false)
		}
	}
	text := `concurrent = 20
[[runners]]
  name = "build"
  url = "http://127.0.0.1:1"
  token = "glrt-incumbent00000000"
  executor = "docker+machine"
  [runners.docker]
    image = "busybox"
  [runners.machine]
    IdleCount = 2
    IdleTime = 600
    MachineDriver = "none"
    MachineName = "ci-%s"
    MachineOptions = ["url=tcp://127.0.0.1:1"]
`
	if err := os.WriteFile(filepath.Join(s.dir, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(fmt.Sprintf("export CONFIG_FILE=config.toml MACHINE_STORAGE_PATH='%s' MILLWRIGHT_STATE_DIR='%s/state' DOCKER_CERT_PATH='%s/certs' PATH=\"$PATH:%s\"",
		store, s.dir, store, filepath.Dir(machine))) // our own none wants to know its certificates

	// What a step must print, by the first of its commands.
	wants := map[string][]string{
		"millwright policy explain":       {"3 machines: 0 creating, 3 idle"},
		"millwright machine import":       {names[0], "serves jobs of the runner", "busy: job 4711 of gitlab-runner runs on it", "2 of 3 would be taken over"},
		"millwright machine import --yes": {"taken over: " + names[0], "taken over: " + names[1], "idle"},
		"millwright machine ls":           {names[0], names[1], "idle"},
		"millwright machine export":       {"2 of 2 would be given to docker-machine", "given to docker-machine: " + names[0], names[2]},
	}
	done := map[string]bool{}
	for _, step := range tutorial(t, filepath.Join(repository, "docs", "migration.md")) {
		commands := strings.ReplaceAll(step.commands, `["google"]`, `["none"]`)
		first, _, _ := strings.Cut(commands, "\n")
		want := wants[first]
		done[first] = true
		for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			got, code := s.run(commands)
			if code == 0 && holds(got, want) {
				break
			}
			looks := commands == "millwright policy explain" || commands == "millwright machine ls"
			if !looks || time.Now().After(deadline) {
				log, _ := os.ReadFile(filepath.Join(s.dir, "agent.log"))
				t.Fatalf("docs/migration.md:%d: exit code %d, want 0 and %q\n%s\nprints\n%s\nthe agent's log\n%s", step.line, code, want, commands, got, log)
			}
		}
	}
	for first := range wants {
		if !done[first] {
			t.Errorf("the page has no step %q", first)
		}
	}
	if out, code := s.run("docker-machine status " + names[1]); code != 0 || !strings.Contains(out, "Running") {
		t.Errorf("docker-machine says of a machine that came back: %s", out)
	}
}

func holds(text string, want []string) bool {
	for _, w := range want {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
