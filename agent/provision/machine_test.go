package provision

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Images of fresh machines: sshd and a Docker engine that nobody has started, the second with systemd, the third with System V's init. The releases
// of Debian are their tags.
const (
	machineImages = "millwright/machine:"
	systemdImage  = "millwright/systemd:"
	sysvImage     = "millwright/sysv:"
	machineImage  = machineImages + "bookworm"
)

// freshName is what a machine calls itself until it is provisioned.
const freshName = "ip-10-0-0-1"

// helperTag is what the test's helper image is called.
const helperTag = "millwright/helper:test"

func TestRealMachine(t *testing.T) {
	local := localEngine(t)
	helper := helloImage(t)
	p := newTest(t, Options{Debug: testLog{t}, HelperImage: func(arch string) (string, error) {
		if arch != "amd64" && arch != "arm64" {
			return "", errors.New("no helper for " + arch)
		}
		return helper, nil
	}})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	start := time.Now()
	m := startMachine(t, local, p, "root")
	m.Options = abi.Options{
		"docker-image":             {machineImage}, // the driver's
		"engine-registry-mirror":   {"http://mirror.example:5000"},
		"engine-insecure-registry": {"registry.example:5000"},
		"engine-label":             {"tier=test", "words=a b $HOME 'x'"},
		"engine-env":               {"NO_PROXY=a b,$HOME,'x',%h"},
		"engine-opt":               {"debug", "log-opt=max-size=7m", "log-driver=local"},
		"engine-storage-driver":    {"overlay2"},
		"tls-san":                  {"docker.example.com"},
	}

	var phases []string
	endpoint, err := p.Provision(ctx, m, func(s string) { phases = append(phases, s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("create to engine with helper image: %v", time.Since(start).Round(time.Millisecond))
	if got := strings.Join(phases, " "); got != "ssh engine image" {
		t.Errorf("phases %q", got)
	}
	engine, err := newClient(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()

	t.Run("options arrive", func(t *testing.T) { checkInfo(t, ctx, engine) })
	t.Run("name", func(t *testing.T) {
		out, err := sayIn(ctx, local, m.Name, "uname -n; cat /etc/hostname; getent hosts \"$(uname -n)\" | grep -o 127.0.1.1")
		if want := m.Name + "\n" + m.Name + "\n127.0.1.1\n"; err != nil || out != want {
			t.Errorf("it goes by %q, want %q: %v", out, want, err)
		}
	})
	t.Run("hello", func(t *testing.T) { runHello(t, ctx, engine) })
	t.Run("check", func(t *testing.T) {
		for range 3 {
			if err := p.Check(ctx, m); err != nil {
				t.Error(err)
			}
		}
		gone := m
		gone.Instance.Address = "127.0.0.1"
		gone.Instance.EnginePort = 1
		if err := p.Check(ctx, gone); err == nil || !strings.Contains(err.Error(), "engine at tcp://127.0.0.1:1") {
			t.Errorf("Check of a machine that is gone: %v", err)
		}
	})
	t.Run("only with our certificate", func(t *testing.T) { checkStranger(t, endpoint) })
	t.Run("again", func(t *testing.T) { provisionAgain(t, ctx, p, m, engine) })
	t.Run("changed options", func(t *testing.T) {
		changed := m
		changed.Options = abi.Options{"engine-label": {"tier=other"}}
		if _, err := p.Provision(ctx, changed, nil); err != nil {
			t.Fatal(err)
		}
		info, err := engine.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(slices.Values(info.Labels)), " "); got != "provider=docker tier=other" || len(info.RegistryConfig.Mirrors) > 0 {
			t.Errorf("labels %q, mirrors %v: what was asked for before is still there", got, info.RegistryConfig.Mirrors)
		}
	})
	t.Run("clean", func(t *testing.T) { checkClean(t, ctx, p, m, engine) })
	t.Run("engine does not start", func(t *testing.T) {
		broken := m
		broken.Options = abi.Options{"engine-opt": {"no-such-flag"}}
		if _, err := p.Provision(ctx, broken, nil); err == nil || !strings.Contains(err.Error(), "no-such-flag") {
			t.Errorf("err = %v, want the engine's own words", err)
		}
		if _, err := p.Provision(ctx, m, nil); err != nil {
			t.Errorf("it does not recover: %v", err)
		}
	})
}

func TestRealMachineWithSudo(t *testing.T) {
	local := localEngine(t)
	p := newTest(t, Options{SSHUser: "ubuntu", Debug: testLog{t}})
	m := startMachine(t, local, p, "ubuntu")
	if _, err := p.Provision(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
}

func TestRealMachineOfAStranger(t *testing.T) {
	local := localEngine(t)
	stranger := newTest(t, Options{})
	m := startMachine(t, local, stranger, "root")
	p := newTest(t, Options{HostKeyGrace: time.Second})
	bootstrap(t, p, m.Name)
	if _, err := p.Provision(t.Context(), m, nil); !errors.Is(err, ErrHostKey) {
		t.Errorf("err = %v, want ErrHostKey", err)
	}
}

func checkInfo(t *testing.T, ctx context.Context, engine *client.Client) {
	info, err := engine.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(slices.Sorted(slices.Values(info.Labels)), "; "); got != "provider=docker; tier=test; words=a b $HOME 'x'" {
		t.Errorf("labels %q", got)
	}
	if got := info.RegistryConfig.Mirrors; len(got) != 1 || got[0] != "http://mirror.example:5000/" {
		t.Errorf("mirrors %v", got)
	}
	if r := info.RegistryConfig.IndexConfigs["registry.example:5000"]; r == nil || r.Secure {
		t.Errorf("registry.example:5000 is not insecure: %+v", r)
	}
	if info.NoProxy != "a b,$HOME,'x',%h" {
		t.Errorf("environment arrived as %q", info.NoProxy)
	}
	if !info.Debug || info.LoggingDriver != "local" || info.Driver != "overlay2" {
		t.Errorf("debug %t, log driver %s, storage driver %s", info.Debug, info.LoggingDriver, info.Driver)
	}
}

// runHello runs a container of the helper image, which nobody pulled.
func runHello(t *testing.T, ctx context.Context, engine *client.Client) {
	id := createContainer(t, ctx, engine, nil)
	if code := dockertest.RunToEnd(t, ctx, engine, id); code != 0 {
		t.Errorf("exit code %d", code)
	}
	logs, err := engine.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	if out, _ := io.ReadAll(logs); !bytes.Contains(out, []byte("hello from a job")) {
		t.Errorf("output %q", out)
	}
}

func createContainer(t *testing.T, ctx context.Context, engine *client.Client, labels map[string]string, args ...string) string {
	t.Helper()
	c, err := engine.ContainerCreate(ctx, &container.Config{Image: helperTag, Labels: labels, Cmd: args}, &container.HostConfig{}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// checkStranger wants the engine to turn down whoever has no certificate of ours.
func checkStranger(t *testing.T, at fleet.Endpoint) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get("https" + strings.TrimPrefix(at.Host, "tcp") + "/_ping")
	if err == nil {
		res.Body.Close()
		t.Errorf("a stranger got %s", res.Status)
	} else if !strings.Contains(err.Error(), "certificate") {
		t.Errorf("err = %v, want a demand for a certificate", err)
	}
}

// provisionAgain wants that nothing restarts: a container of a job goes on.
func provisionAgain(t *testing.T, ctx context.Context, p *Provisioner, m fleet.Machine, engine *client.Client) {
	id := createContainer(t, ctx, engine, nil, "stay")
	if err := engine.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := p.Provision(ctx, m, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("provisioned again in %v", time.Since(start).Round(time.Millisecond))
	job, err := engine.ContainerInspect(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if !job.State.Running {
		t.Errorf("the job's container has ended: %+v", job.State)
	}
}

func checkClean(t *testing.T, ctx context.Context, p *Provisioner, m fleet.Machine, engine *client.Client) {
	left := createContainer(t, ctx, engine, map[string]string{"com.gitlab.gitlab-runner.managed": "true"})
	other := createContainer(t, ctx, engine, nil)
	if err := p.Clean(ctx, m); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.ContainerInspect(ctx, left); !client.IsErrNotFound(err) {
		t.Errorf("a job's container is still there (%v)", err)
	}
	if _, err := engine.ContainerInspect(ctx, other); err != nil {
		t.Errorf("somebody else's container is gone: %v", err)
	}
}

// localEngine returns the engine on which machines are containers.
func localEngine(t testing.TB) *client.Client {
	t.Helper()
	host := need.Docker(t)
	c, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	need.Image(t, machineImage, "`go tool task machine-image` builds it")
	return c
}

// startMachine makes a machine as the docker driver does and returns it as the pool would see it.
func startMachine(t testing.TB, local *client.Client, p *Provisioner, user string) fleet.Machine {
	t.Helper()
	return startMachineOf(t, local, p, machineImage, user)
}

// startMachineOf is startMachine for an image. more are files for /etc/millwright.
func startMachineOf(t testing.TB, local *client.Client, p *Provisioner, image, user string, more ...bootFile) fleet.Machine {
	t.Helper()
	return startNamed(t, local, p, newMachineName(), image, user, more...)
}

func newMachineName() string {
	return "mw-provision-test-" + strings.ToLower(time.Now().Format("150405.000000"))
}

func startNamed(t testing.TB, local *client.Client, p *Provisioner, machine, image, user string, more ...bootFile) fleet.Machine {
	t.Helper()
	ctx := context.Background()
	b := bootstrap(t, p, machine)
	labels := map[string]string{"io.millwright.test": "provision"}
	host := &container.HostConfig{
		CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_RESOURCE"},
		SecurityOpt:  []string{"seccomp=unconfined", "apparmor=unconfined"},
		CgroupnsMode: "private", Init: new(bool),
		MaskedPaths: []string{}, ReadonlyPaths: []string{},
		Binds:     []string{machine + ":/var/lib/docker"},
		Resources: container.Resources{DeviceCgroupRules: []string{"a *:* rwm"}},
	}
	*host.Init = strings.HasPrefix(image, machineImages) // the others have their own
	t.Cleanup(func() {
		local.ContainerRemove(ctx, machine, container.RemoveOptions{Force: true, RemoveVolumes: true})
		local.VolumeRemove(ctx, machine, true)
	})
	if _, err := local.VolumeCreate(ctx, volume.CreateOptions{Name: machine, Labels: labels}); err != nil {
		t.Fatal(err)
	}
	c, err := local.ContainerCreate(ctx, &container.Config{Image: image, Hostname: freshName, Labels: labels}, host, nil, nil, machine)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.CopyToContainer(ctx, c.ID, "/", machineFiles(t, b, user, more...), container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := local.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	info, err := local.ContainerInspect(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	return machineAt(machine, info.NetworkSettings.IPAddress, nil)
}

// bootFile is a file of /etc/millwright.
type bootFile struct{ name, data string }

func machineFiles(t testing.TB, b abi.Bootstrap, user string, more ...bootFile) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	w.WriteHeader(&tar.Header{Name: "etc/millwright/", Typeflag: tar.TypeDir, Mode: 0o700})
	for _, f := range append([]bootFile{
		{"authorized_keys", b.AuthorizedKey + "\n"}, {"ssh_user", user + "\n"},
		{"ssh_host_ed25519_key", b.HostKeyPrivate}, {"ssh_host_ed25519_key.pub", b.HostKeyPublic + "\n"},
	}, more...) {
		w.WriteHeader(&tar.Header{Name: "etc/millwright/" + f.name, Mode: 0o600, Size: int64(len(f.data))})
		io.WriteString(w, f.data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// hello is the program of the test's helper image. Told to stay it never ends.
const hello = `package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	fmt.Println("hello from a job")
	if len(os.Args) > 1 {
		time.Sleep(time.Hour)
	}
}
`

// helloImage builds hello and packs it as an image, as docker save would.
func helloImage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "hello.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(source, []byte(hello), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command(need.Command(t, "go"), "build", "-ldflags=-s -w", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return writeImage(t, helperTag, v1.Config{Entrypoint: []string{"/hello"}}, func() (io.ReadCloser, error) { return tarOf(t, "hello", readFile(t, binary)), nil })
}

// writeImage packs a layer as an image, as docker save would, and returns the file.
func writeImage(t *testing.T, tagged string, config v1.Config, open tarball.Opener) string {
	t.Helper()
	layer, err := tarball.LayerFromOpener(open)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Config: config, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(tagged)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(path, tag, image); err != nil {
		t.Fatal(err)
	}
	return path
}

func tarOf(t *testing.T, name string, data []byte) io.ReadCloser {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))})
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return io.NopCloser(&buf)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// testLog shows the provisioning log when the test fails.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}
