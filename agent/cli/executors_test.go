package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
)

// Executors that this agent has not are named at the start by their runner, and the other runners of the file work. A job of a runner on
// the host that was running when the agent died is reported by the next agent with the reason, and what ran of it is ended.
func TestExecutors(t *testing.T) {
	t.Parallel()
	w := newAgentWorld(t)
	dir := t.TempDir()
	text := "concurrent = 8\ncheck_interval = 1\n"
	missing := []string{"kubernetes", "virtualbox", "parallels", "docker-windows"}
	for _, name := range missing {
		text += fmt.Sprintf("[[runners]]\n  name = \"on %s\"\n  url = %q\n  token = \"glrt-%s\"\n  executor = %q\n", name, w.coordinator.URL(), name, name)
	}
	text += fmt.Sprintf("[[runners]]\n  name = \"in cmd\"\n  url = %q\n  token = \"glrt-cmd\"\n  executor = \"shell\"\n  shell = \"cmd\"\n", w.coordinator.URL())
	text += "  [runners.kubernetes]\n    namespace = \"ci\"\n"
	w.write(text + fmt.Sprintf("[[runners]]\n  name = \"here\"\n  url = %q\n  token = %q\n  executor = \"shell\"\n  builds_dir = %q\n  cache_dir = %q\n",
		w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), filepath.Join(dir, "builds"), filepath.Join(dir, "cache")))
	if code, said := run(t, w.binary, "config", "check", "--config", w.config); code != 0 || !strings.Contains(said, `"kubernetes" is not provided by this agent; this entry is skipped, the others run`) {
		t.Errorf("config check: %d\n%s", code, said)
	}
	env := []string{"RUNTIME_DIRECTORY=" + filepath.Join(dir, "runtime"), "HOME=" + dir}
	begin := func() *process {
		return start(t, w.binary, env, "run", "--config", w.config, "--state-dir", w.state)
	}
	p := begin()
	p.until(`msg="Configuration loaded" runners=1`)
	for _, name := range missing {
		if want := fmt.Sprintf(`runner on %s: executor \"%s\" is not supported`, name, name); !strings.Contains(p.text(), want) {
			t.Errorf("the log lacks %s\n%s", want, p.text())
		}
	}
	if want := `runner in cmd: shell \"cmd\" is not supported`; !strings.Contains(p.text(), want) {
		t.Errorf("the log lacks %s\n%s", want, p.text())
	}
	if r := w.ended(p, w.coordinator.Enqueue(bareScript("echo fine"))); r.State != embedded.Success {
		t.Errorf("the job of the runner that works: %s %s\n%s", r.State, r.FailureReason, p.text())
	}

	file := filepath.Join(dir, "pid")
	id := w.coordinator.Enqueue(bareScript("sleep 1000 & echo $! >" + file + ".new; mv " + file + ".new " + file + "; wait"))
	var pid []byte
	for began := time.Now(); len(pid) == 0; time.Sleep(20 * time.Millisecond) {
		if pid, _ = os.ReadFile(file); time.Since(began) > patience {
			t.Fatalf("the job does not run:\n%s", p.text())
		}
	}
	p.signal(syscall.SIGKILL)
	p.wait()
	p = begin()
	r := w.ended(p, id)
	raw, err := w.coordinator.Trace(id)
	if err != nil {
		t.Fatal(err)
	}
	const why = "can't go on with the job: with the executor shell a job's scripts end with the agent"
	if r.FailureReason != coordinator.RunnerSystemFailure || !strings.Contains(string(raw), why) {
		t.Errorf("the job of the dead agent: %s %s\n%s", r.State, r.FailureReason, raw)
	}
	for began := time.Now(); alive(string(bytes.TrimSpace(pid))); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("what the job started lives on:\n%s", p.text())
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
}

// bareScript is a job of one line without sources.
func bareScript(line string) coordinator.Job {
	return coordinator.Job{
		Info:      coordinator.JobInfo{Name: "bare", Stage: "test", ProjectID: 3, PipelineID: 5},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
		Steps:     []coordinator.Step{{Name: "script", Script: []string{line}}},
	}
}

// alive tells whether a process runs; one that nobody has buried does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}
