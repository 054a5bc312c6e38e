package provision

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRealMirror follows the recipe of docs/provisioning.md: its commands run on a machine, with the image registry:2 made of Debian's package of the
// same program and a registry of the test's in Docker Hub's place, and its options make another machine pull through that, before any job asks.
func TestRealMirror(t *testing.T) {
	local := localEngine(t)
	program := need.Command(t, "docker-registry")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	p := newTest(t, Options{Debug: testLog{t}})
	host := startMachine(t, local, p, "root")
	if _, err := p.Provision(ctx, host, nil); err != nil {
		t.Fatal(err)
	}
	hub := newHub(t, local, host, "library/hello:1", helloImage(t))
	loadRegistry(t, ctx, p, host, program)

	commands := recipe(t, "sh")
	commands, _, found := strings.Cut(strings.ReplaceAll(commands, "https://registry-1.docker.io", hub.address), "docker run -d --restart always --name minio")
	if !found {
		t.Fatal("the recipe starts no minio")
	}
	if out, err := sayIn(ctx, local, host.Name, commands); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	option := regexp.MustCompile(`"(engine-registry-mirror)=(http://10\.11\.12\.13:6000)"`).FindStringSubmatch(recipe(t, "toml"))
	if option == nil {
		t.Fatal("the recipe names no mirror")
	}
	m := startMachine(t, local, p, "root")
	m.Options = abi.Options{option[1]: {strings.ReplaceAll(option[2], "10.11.12.13", host.Instance.Address)}, "engine-insecure-registry": {hub.host()}}
	endpoint, err := p.Within(func() Wishes { return Wishes{Preload: []string{"hello:1"}} }).Provision(ctx, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := newClient(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for { // while it waits for a job
		_, err := engine.ImageInspect(ctx, "hello:1")
		if err == nil {
			break
		}
		if wait.For(ctx, 50*time.Millisecond) != nil {
			t.Fatalf("the image never came: %v", err)
		}
	}
	asked := hub.asked.Load()
	if asked == 0 {
		t.Error("nobody asked Docker Hub")
	}
	hub.gone.Store(true) // what the mirror has it gives out by itself
	p.pulls.wg.Wait()
	if _, err := engine.ImageRemove(ctx, "hello:1", image.RemoveOptions{Force: true, PruneChildren: true}); err != nil {
		t.Fatal(err)
	}
	if err := pullImage(ctx, engine, "hello:1"); err != nil {
		t.Errorf("from the mirror's own store: %v", err)
	}
	if err := pullImage(ctx, engine, "hello:2"); err == nil {
		t.Error("an image that nobody has came all the same")
	}

	hub.gone.Store(false)
	if _, err := engine.ImageRemove(ctx, "hello:1", image.RemoveOptions{Force: true, PruneChildren: true}); err != nil {
		t.Fatal(err)
	}
	if err := pullImage(ctx, engine, hub.host()+"/library/hello:1"); err != nil {
		t.Errorf("from the registry itself, which has no TLS: %v", err)
	}
}

// recipe returns the first block of docs/provisioning.md in that language.
func recipe(t *testing.T, language string) string {
	t.Helper()
	page := string(readFile(t, filepath.Join("..", "..", "docs", "provisioning.md")))
	_, block, found := strings.Cut(page, "```"+language+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("no block of %s", language)
	}
	return block
}

// hub is a registry that a machine reaches on its network's gateway, without TLS.
type hub struct {
	address string
	asked   atomic.Int32 // requests for blobs and manifests
	gone    atomic.Bool
}

// host is what names of its images begin with.
func (h *hub) host() string { return strings.TrimPrefix(h.address, "http://") }

func newHub(t *testing.T, local *client.Client, reachedBy fleet.Machine, tag, archive string) *hub {
	t.Helper()
	h := &hub{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	h.address = serveOnGateway(t, local, reachedBy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.gone.Load() {
			http.Error(w, "gone", http.StatusServiceUnavailable)
			return
		}
		if strings.Contains(r.URL.Path, "/blobs/") || strings.Contains(r.URL.Path, "/manifests/") {
			h.asked.Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(h.host()+"/"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	h.asked.Store(0)
	return h
}

// registryConfig is that of the image registry:2.
const registryConfig = `version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
`

// loadRegistry has a machine's engine load an image registry:2 that holds the program, and the libraries that it needs.
func loadRegistry(t *testing.T, ctx context.Context, p *Provisioner, m fleet.Machine, program string) {
	t.Helper()
	libraries, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"bin/registry": readFile(t, program), "etc/docker/registry/config.yml": []byte(registryConfig)}
	for _, path := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
		files[strings.TrimPrefix(path, "/")] = readFile(t, path)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	config := v1.Config{Entrypoint: []string{"/bin/registry", "serve"}, Cmd: []string{"/etc/docker/registry/config.yml"}}
	path := writeImage(t, "registry:2", config, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	engine, err := newClient(p.Endpoint(m))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if _, err := loadImage(ctx, engine, path); err != nil {
		t.Fatal(err)
	}
}
