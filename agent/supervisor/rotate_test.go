package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
)

// expiring is a config.toml whose runner's token has reached three quarters of its life.
func (w *world) expiring(t *testing.T, more string) (path string, start func(*Options)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "config.toml")
	now := time.Now().UTC()
	text := fmt.Sprintf("concurrent = 2\ncheck_interval = 1\n# mine\n[[runners]]\n  name = \"old\"\n  id = 1\n  url = %q\n  token = %q # secret\n"+
		"  token_obtained_at = %s\n  token_expires_at = %s\n  executor = \"docker\"\n%s", w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(),
		now.Add(-80*time.Minute).Format(time.RFC3339), now.Add(20*time.Minute).Format(time.RFC3339), more)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func(o *Options) {
		o.ConfigPath = path
		o.Load = func() (*config.Config, error) {
			c, diagnostics, err := config.Load(path)
			if err != nil {
				return nil, err
			}
			return c, config.Err(diagnostics)
		}
	}
}

// A token is replaced in time and written back; the runner stays the same one, with its machines, and takes jobs.
func TestTokenRotation(t *testing.T) {
	w := newWorld(t)
	w.tolerated = "token" // a request may be on its way with the old one
	old := w.coordinator.RunnerToken()
	second := fmt.Sprintf("[[runners]]\n  name = \"shared\"\n  url = %q\n  token = %q\n  executor = \"docker\"\n", w.coordinator.URL(), old.Reveal())
	path, start := w.expiring(t, second)
	w.start(start)
	w.log.wait("Runner's token is replaced")
	fresh := w.coordinator.RunnerToken()
	if fresh == old {
		t.Fatal("the coordinator has the old token")
	}
	w.until("the new token is in force", func() bool { return w.s.currentConfig().Runners[0].Token == fresh })
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if strings.Contains(text, old.Reveal()) || strings.Count(text, fresh.Reveal()) != 2 || !strings.Contains(text, "# mine\n") || !strings.Contains(text, " # secret\n") {
		t.Errorf("config.toml is\n%s", text)
	}
	for key, runner := range w.s.allWorkers() {
		if name := runner.current().Name; name == "old" && !strings.HasPrefix(key, "old/1@") {
			t.Errorf("the runner is %s", key)
		}
	}
	w.await(w.coordinator.Enqueue(hopeless()))
	if strings.Contains(w.log.text(), "Runner removed; its machines") || strings.Contains(w.log.text(), fresh.Reveal()) {
		t.Error(w.log.text())
	}
	if n := strings.Count(w.log.text(), "Runner's token is replaced"); n != 1 {
		t.Errorf("replaced %d times", n)
	}
}

// What keeps a token from being replaced is told, before the old one is worth nothing.
func TestTokenRotationRefused(t *testing.T) {
	for _, tt := range []struct {
		name, more, want string
		prepare          func(*testing.T, *world, string)
	}{
		{name: "switched off", more: "  [runners.feature_flags]\n    FF_DISABLE_AUTOMATIC_TOKEN_ROTATION = true\n", want: "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION is set"},
		{name: "from the environment", want: "its token comes from the environment", prepare: func(t *testing.T, w *world, path string) {
			t.Setenv("MW_ROTATED", w.coordinator.RunnerToken().Reveal())
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(data), w.coordinator.RunnerToken().Reveal(), "$MW_ROTATED", 1)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "the coordinator does not want", want: "400 Bad Request", prepare: func(_ *testing.T, w *world, _ string) {
			w.coordinator.Fail(embedded.EndpointReset, 400, 1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			old := w.coordinator.RunnerToken()
			path, start := w.expiring(t, tt.more)
			if tt.prepare != nil {
				tt.prepare(t, w, path)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			w.start(start)
			if got := w.log.wait("Runner's token is not replaced")["error"]; !strings.Contains(got, tt.want) {
				t.Errorf("%s", got)
			}
			after, err := os.ReadFile(path)
			if err != nil || string(after) != string(before) || w.coordinator.RunnerToken() != old {
				t.Errorf("something changed: %v", err)
			}
		})
	}
}

// A token that could not be written lives on in the process, whatever the file says, and is written when that is possible.
func TestTokenUnsaved(t *testing.T) {
	w := newWorld(t)
	old := w.coordinator.RunnerToken()
	path, start := w.expiring(t, "")
	o := w.options()
	start(&o)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fresh := &rotated{Token: config.Token{Value: "glrt-fresh", ObtainedAt: time.Now()}}
	s.rotated[old] = fresh
	c, err := s.load()
	if err != nil || c.Runners[0].Token != "glrt-fresh" || !c.Runners[0].TokenExpiresAt.IsZero() {
		t.Fatalf("%+v, %v", c.Runners[0], err)
	}
	worker, err := s.newWorker(c, "key", c.Runners[0])
	if err != nil {
		t.Fatal(err)
	}
	if s.unsaved("glrt-fresh") != fresh || !s.replaced(old) {
		t.Error("it does not count as unsaved")
	}
	if err := s.rotate(t.Context(), worker); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), `token = "glrt-fresh" # secret`) || s.unsaved("glrt-fresh") != nil {
		t.Errorf("%v\n%s", err, data)
	}
	if w.coordinator.RunnerToken() != old {
		t.Error("it was reset once more")
	}
}

func TestRotationDue(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := rotationDue(config.Runner{TokenObtainedAt: at, TokenExpiresAt: at.Add(100 * time.Hour)}); !got.Equal(at.Add(75 * time.Hour)) {
		t.Errorf("%v", got)
	}
	if got := rotationDue(config.Runner{TokenExpiresAt: at}); !got.IsZero() {
		t.Errorf("a token that nobody knows the age of: %v", got)
	}
}
