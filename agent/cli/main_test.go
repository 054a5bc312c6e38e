package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

// repository is the root of the tree, as seen from here.
var repository = filepath.Join("..", "..")

// scratch holds the binaries that the tests build, and native code of the modules; TestMain removes it.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "millwright-cli-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(scratch)
		legacytest.Clean()
		os.Exit(code)
	}))
}

var building sync.Mutex // held while a binary is built

// builtinGuests are the modules that the binary embeds.
var builtinGuests = []string{"policies/periods", "policies/idlescale", "policies/instances", "providers/docker", "providers/google", "providers/googlecompute", "providers/digitalocean", "providers/hetzner", "providers/azure", "providers/amazonec2", "providers/aws"}

// millwright returns the path of the real binary, with the guests of the tree embedded whether or not they lie in dist.
func millwright(t *testing.T) string {
	t.Helper()
	return build(t, "millwright", func(folder string) string {
		path := filepath.Join(scratch, strings.ReplaceAll(folder, "/", "-")+guests.Suffix)
		if err := os.WriteFile(path, guests.Packed(t, folder), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	})
}

// bare is the binary as a plain `go build` of a fresh clone makes it: without guests.
func bare(t *testing.T) string {
	t.Helper()
	return build(t, "bare", func(string) string { return "" })
}

// build builds the binary once. embed says what to embed for a guest; "" is nothing.
func build(t *testing.T, name string, embed func(folder string) string) string {
	t.Helper()
	goTool := need.Command(t, "go")
	building.Lock()
	defer building.Unlock()
	binary := filepath.Join(scratch, name)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, folder := range builtinGuests {
		dist := filepath.Join(root, filepath.Dir(folder), "dist", filepath.Base(folder)+guests.Suffix)
		replace[dist] = embed(folder)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(scratch, name+".json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	const pkg = "github.com/millwright-ci/millwright/agent/cli"
	cmd := exec.Command(goTool, "build", "-trimpath", "-overlay", overlayFile, "-o", binary,
		"-ldflags", "-s -w -X "+pkg+".Version=9.8.7 -X "+pkg+".Revision=abcdef12", "./agent/cmd/millwright")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// stateDir makes a state directory with a path that is short enough for a socket, and with the modules' native code in it: to compile
// them anew would take each test seconds.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	warm := nativeCode(t)
	err = filepath.WalkDir(warm, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(warm, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, supervisor.ModuleCache, rel)
		if d.IsDir() {
			return os.Mkdir(to, 0o700)
		}
		return os.Link(path, to)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var warmUp sync.Once

// nativeCode returns a folder with the native code of the built-in modules. The binary itself compiles them: this process would take a
// minute for each under -race.
func nativeCode(t *testing.T) string {
	t.Helper()
	binary := millwright(t)
	state := filepath.Join(scratch, "warm")
	warmUp.Do(func() {
		config := filepath.Join(scratch, "warm.toml")
		if err := os.WriteFile(config, []byte(machineConfig("http://127.0.0.1:1", "glrt-none", 0)), 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, binary, nil, "run", "--config", config, "--state-dir", state)
		p.until(`msg="Configuration loaded"`)
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Fatalf("exit code %d:\n%s", code, p.text())
		}
	})
	return filepath.Join(state, supervisor.ModuleCache)
}

// machineConfig is a config.toml with a docker+machine runner; options are lines of its [runners.machine].
func machineConfig(url, token string, idle int, options ...string) string {
	return fmt.Sprintf(`concurrent = 2
check_interval = 1
[[runners]]
  name = "machines"
  url = "%s"
  token = "%s"
  executor = "docker+machine"
  limit = 3
  [runners.docker]
    image = "busybox:1.35"
    pull_policy = ["if-not-present"]
  [runners.machine]
    IdleCount = %d
    IdleTime = 600
    MachineDriver = "docker"
    MachineName = "test-%%s"
%s
`, url, token, idle, strings.Join(options, "\n"))
}

// process is a running millwright.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	out  output        // stdout and stderr, as they came
}

// output collects what a process writes, and tells those who wait for more.
type output struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	more chan struct{} // closed and replaced with each write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.more
}

// start starts a binary. env has NAME=VALUE; the helper image is found in bin.
func start(t *testing.T, binary string, env []string, args ...string) *process {
	t.Helper()
	return startTo(t, nil, binary, env, args...)
}

// startTo is start with the standard output elsewhere, unless stdout is nil.
func startTo(t *testing.T, stdout *os.File, binary string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: strings.Join(args, " "), cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.out.more = make(chan struct{})
	helpers, err := filepath.Abs(filepath.Join(repository, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Env = append(append(os.Environ(), "MILLWRIGHT_HELPER_DIR="+helpers, "NO_COLOR=", "MACHINE_DEBUG=", "LOG_FORMAT=text", "LOG_LEVEL=", "RUNNER_DEBUG=", "RUNTIME_DIRECTORY="+filepath.Join(scratch, "run")), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// text is what it has written so far.
func (p *process) text() string {
	text, _ := p.out.read()
	return text
}

// until waits for words of its output.
func (p *process) until(words string) {
	p.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		text, more := p.out.read()
		if strings.Contains(text, words) {
			return
		}
		select {
		case <-more:
		case <-p.done:
			if strings.Contains(p.text(), words) {
				return
			}
			p.t.Fatalf("millwright %s ended before it said %q:\n%s", p.name, words, p.text())
		case <-limit.C:
			p.t.Fatalf("millwright %s never said %q, but\n%s", p.name, words, p.text())
		}
	}
}

// signal sends one.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// wait returns its exit code, -1 after a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("millwright %s does not end:\n%s", p.name, p.text())
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs a command to its end.
func run(t *testing.T, binary string, args ...string) (code int, text string) {
	t.Helper()
	p := start(t, binary, nil, args...)
	code = p.wait()
	return code, p.text()
}

// left lists what is on the engine of what a state directory made.
func left(t *testing.T, stateDir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(stateDir, "owner"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	owner := strings.TrimSpace(string(data))
	return append(dockertest.Left(t, ownerLabel+"="+owner), dockertest.Left(t, benchLabel+"="+owner)...)
}

// checkNothingLeft fails when something is.
func checkNothingLeft(t *testing.T, stateDir string) {
	t.Helper()
	for _, what := range left(t, stateDir) {
		t.Errorf("left on the engine: %s", what)
	}
}
