// Package jobtest gives tests all that a job needs, and all of it real: a coordinator with a git repository, a runner, a Docker engine with
// a small image, and the helper image. Jobs that its benches run are handed out over the runner API and come to their end.
package jobtest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Site is what several benches share.
type Site struct {
	Image   string // a busybox for build containers and services
	Gateway string // the address at which containers reach this host

	archive string // of the helper image; "" when helper names one
	helper  string // a helper image on the engine; "" is the archive's
}

// Bench is a coordinator of its own, with a runner of its own, on a site. What its jobs leave on the engine fails the test, but for the
// volumes that a runner keeps: those are removed when the test ends.
type Bench struct {
	*Site
	Server  *embedded.Server
	Runner  config.Runner
	Foreign bool // another program's jobs, or helper, run on it: what the coordinator complains of is not ours to mend
	door    *door
}

// New returns a bench on a site of its own.
func New(t *testing.T) *Bench {
	t.Helper()
	return NewSite(t).Bench(t)
}

// NewSite makes the images that benches need. They are removed when the test ends.
func NewSite(t *testing.T) *Site {
	t.Helper()
	need.Command(t, "git")
	dockertest.ForgetImage(t, "millwright/helper:"+runtime.GOARCH)
	// MILLWRIGHT_HELPER_IMAGE runs the tests with another helper image that lies on the engine, GitLab's own say.
	s := &Site{Image: dockertest.Busybox(t), helper: os.Getenv("MILLWRIGHT_HELPER_IMAGE")}
	if s.helper == "" {
		s.archive = need.File(t, filepath.Join(root(t), "bin", "helper-image-"+runtime.GOARCH+".tar"), "`go tool task helper-image` builds it")
	}
	s.Gateway = dockertest.Gateway(t, "bridge")
	return s
}

// OwnHelper tells whether the helper image is ours.
func (s *Site) OwnHelper() bool { return s.helper == "" }

// HelperDir is the folder that holds the helper image's archive; "." with a helper image of another's.
func (s *Site) HelperDir() string { return filepath.Dir(s.archive) }

// root is the folder of go.mod, above that of the test.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			err = errors.New("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal(err)
	return ""
}

// Bench starts a coordinator that serves the project group/project: README.md and src/a.txt on the branch main. change, if given, changes
// how.
func (s *Site) Bench(t *testing.T, change ...func(*embedded.Options)) *Bench {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{"README.md": "a project\n", "src/a.txt": "a\n"} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	o := embedded.Options{Addr: net.JoinHostPort(s.Gateway, "0"), Root: folder, Project: "group/project", Branch: "main", TraceInterval: time.Second}
	d := &door{}
	o.URL = s.Serve(t, d)
	for _, f := range change {
		f(&o)
	}
	server, err := embedded.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.next = server.Handler()
	b := &Bench{Site: s, Server: server, door: d}
	t.Cleanup(func() {
		for _, v := range server.Violations() {
			if !b.Foreign {
				t.Errorf("the coordinator complains: %s", v)
			}
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Runner = config.Runner{Name: "bench", URL: server.URL(), Token: server.RunnerToken(), Executor: "docker"}
	if s.Image == "" {
		return b // on a site without an engine
	}
	b.Runner.Docker = config.Docker{Image: s.Image, HelperImage: s.helper, PullPolicy: []string{"never"}, WaitForServicesTimeout: -1}
	label := "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(b.Runner.Token)
	dockertest.RemoveVolumes(t, label)
	t.Cleanup(func() {
		for _, left := range dockertest.Left(t, label) {
			if !strings.HasPrefix(left, "volume runner-") || !strings.Contains(left, "-cache-") {
				t.Errorf("left behind: %s", left)
			}
		}
	})
	return b
}
