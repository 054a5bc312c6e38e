package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

const systemdImage = "millwright/systemd:bookworm"

// host is a container whose first process is systemd, with the binary in it.
type host struct {
	t   *testing.T
	api *client.Client
	id  string
}

func newHost(t *testing.T) *host {
	t.Helper()
	need.Image(t, systemdImage, "`go tool task images` builds it")
	binary := millwright(t)
	h := &host{t: t, api: dockertest.Engine(t)}
	ctx := context.Background()
	made, err := h.api.ContainerCreate(ctx, &container.Config{Image: systemdImage, Hostname: "host"}, &container.HostConfig{
		CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_RESOURCE"}, // not every engine can give all
		SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"}, MaskedPaths: []string{}, ReadonlyPaths: []string{},
		CgroupnsMode: container.CgroupnsModePrivate,
	}, nil, nil, "millwright-test-systemd-"+dockertest.Random())
	if err != nil {
		t.Fatal(err)
	}
	h.id = made.ID
	t.Cleanup(func() {
		if err := h.api.ContainerRemove(ctx, h.id, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Error(err)
		}
	})
	if err := h.api.ContainerStart(ctx, h.id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	h.put("/usr/local/bin/millwright", 0o755, data)
	h.until("the host is up", func() bool { return strings.TrimSpace(h.try("systemctl is-active basic.target").out) == "active" })
	return h
}

// put writes a file.
func (h *host) put(path string, mode int64, data []byte) {
	h.t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: mode, Size: int64(len(data)), ModTime: time.Now()})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = h.api.CopyToContainer(h.t.Context(), h.id, "/", &b, container.CopyToContainerOptions{})
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// said is what became of a command.
type said struct {
	code     int
	out, err string
}

// try runs a line in a shell on the host.
func (h *host) try(line string) said {
	h.t.Helper()
	ctx := h.t.Context()
	made, err := h.api.ContainerExecCreate(ctx, h.id, container.ExecOptions{Cmd: []string{"sh", "-c", line}, AttachStdout: true, AttachStderr: true})
	if err != nil {
		h.t.Fatal(err)
	}
	stream, err := h.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	defer stream.Close()
	var out, errs bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &errs, stream.Reader); err != nil {
		h.t.Fatal(err)
	}
	ended, err := h.api.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return said{ended.ExitCode, out.String(), errs.String()}
}

// do is try for what must succeed.
func (h *host) do(line string) string {
	h.t.Helper()
	s := h.try(line)
	if s.code != 0 {
		h.t.Fatalf("%s: exit code %d\n%s%s\n%s", line, s.code, s.out, s.err, h.journal())
	}
	return s.out
}

func (h *host) journal() string { return h.try("journalctl --no-pager -u millwright | tail -n 60").out }

func (h *host) until(what string, so func() bool) {
	h.t.Helper()
	for began := time.Now(); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > patience {
			h.t.Fatalf("it never came that %s\n%s", what, h.journal())
		}
	}
}

// property is one of the service's properties, as systemd has it.
func (h *host) property(name string) string {
	h.t.Helper()
	return strings.TrimSpace(h.do("systemctl show --value -p " + name + " millwright"))
}

// status expects what `millwright status` says and exits with.
func (h *host) status(code int, text string) {
	h.t.Helper()
	if s := h.try("millwright status"); s.code != code || !strings.Contains(s.out+s.err, text) {
		h.t.Errorf("status: exit code %d, %q%q; want %d, %q\n%s", s.code, s.out, s.err, code, text, h.journal())
	}
}

// TestService installs the service with a real systemd and takes it through its life: a stop lets the running job end, a crash is followed by
// a new start, and nothing is left when it is uninstalled.
func TestService(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server, err := embedded.New(embedded.Options{Addr: net.JoinHostPort(dockertest.Gateway(t, "bridge"), "0"), Dir: t.TempDir(), LongPoll: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	h.do("mkdir -p /etc/millwright /srv/work")
	h.put("/etc/millwright/config.toml", 0o600, fmt.Appendf(nil, "concurrent = 1\ncheck_interval = 1\n[[runners]]\n  name = \"host\"\n  url = %q\n  token = %q\n"+
		"  executor = \"shell\"\n  builds_dir = \"/srv/work/builds\"\n  cache_dir = \"/srv/work/cache\"\n", server.URL(), server.RunnerToken().Reveal()))

	h.status(1, "not installed")
	h.do("millwright install --config /etc/millwright/config.toml --state-dir /var/lib/millwright --working-directory /srv/work")
	h.status(1, "Service has stopped")
	for name, want := range map[string]string{
		"KillSignal": "3", "KillMode": "mixed", "TimeoutStopUSec": "2h", "Restart": "always", "RestartUSec": "5s", "UnitFileState": "enabled",
		"WorkingDirectory": "/srv/work", "RuntimeDirectoryPreserve": "yes",
	} {
		if got := h.property(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s := h.try("millwright install"); s.code == 0 {
		t.Error("it is installed twice")
	}
	h.do("millwright start")
	h.status(0, "Service is running")

	// A stop waits for the job.
	id := server.Enqueue(bareScript("touch /srv/work/begun; while [ ! -e /srv/work/go ]; do sleep 0.1; done; echo it has ended well"))
	h.until("the job runs", func() bool { return h.try("test -e /srv/work/begun").code == 0 })
	h.do("millwright stop >/srv/work/stopped 2>&1 & true")
	h.until("the service is being stopped", func() bool { return h.property("ActiveState") == "deactivating" })
	h.do("touch /srv/work/go")
	h.until("the service has stopped", func() bool { return h.property("ActiveState") == "inactive" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if r, err := server.WaitJob(ctx, id); err != nil || r.State != embedded.Success {
		t.Errorf("the job that a stop waited for: %s %s, %v\n%s", r.State, r.FailureReason, err, h.journal())
	}
	h.status(1, "Service has stopped")

	// It comes back after a crash, and a restart is another process.
	h.do("millwright start")
	first := h.property("MainPID")
	h.do("kill -KILL " + first)
	h.until("it runs again", func() bool { return h.property("ActiveState") == "active" && h.property("MainPID") != first })
	second := h.property("MainPID")
	h.until("its agent answers", func() bool {
		return h.try("millwright machine ls --state-dir /var/lib/millwright && test -S /var/lib/millwright/agent.sock").code == 0
	})
	h.do("systemctl reload millwright")
	h.do("millwright restart --state-dir /var/lib/millwright")
	h.until("it runs again", func() bool { return h.property("ActiveState") == "active" && h.property("MainPID") != second })
	h.status(0, "Service is running")

	h.do("millwright stop")
	h.do("millwright uninstall")
	h.status(1, "not installed")
	if left := h.do("ls /etc/systemd/system | grep millwright; true"); left != "" {
		t.Errorf("left: %s", left)
	}
}
