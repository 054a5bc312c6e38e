package shell

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// TestSettings has git read what writeSettings wrote.
func TestSettings(t *testing.T) {
	git := need.Command(t, "git")
	file := filepath.Join(t.TempDir(), "config")
	list := []setting{
		{"fetch.recurseSubmodules", "false"},
		{"url.https://gitlab-ci-token:a\"b\\c@host.example/.insteadOf", "https://host.example/"},
		{"credential.https://host.example.helper", ""},
		{"credential.https://host.example.helper", `!f(){ test "$1" = get && echo 'a;b#c'; }; f`},
		{"http.extraHeader", "X-A: one\ttwo\nthree  "},
		{"include.path", "/builds/it's here/x.conf"},
	}
	s := &Script{}
	s.writeSettings(file, list)
	if out, err := exec.Command("sh", "-c", string(s.Bytes())).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, kv := range list {
		cmd := exec.Command(git, "config", "-f", file, "-z", "--get-all", kv.key)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1")
		got, err := cmd.Output()
		want := kv.value + "\x00"
		if i > 0 && list[i-1].key == kv.key {
			want = list[i-1].value + "\x00" + want
		} else if i+1 < len(list) && list[i+1].key == kv.key {
			want += list[i+1].value + "\x00"
		}
		if err != nil || string(got) != want {
			t.Errorf("%s: git reads %q, %v; want %q", kv.key, got, err, want)
		}
	}
}
