package fakecloud_test

import (
	"archive/tar"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// imageArchive is a file as `docker save` writes it, as far as anybody looks.
func imageArchive(t *testing.T) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	manifest := `[{"Config":"0123abcd.json","RepoTags":["helper:1"]}]`
	if err := w.WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o600, Size: int64(len(manifest))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(manifest)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	path := filepath.Join(t.TempDir(), "helper.tar")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// makeMachine creates a machine with the keys of p and returns it as the pool sees it.
func makeMachine(t *testing.T, c *fakecloud.Cloud, p *provision.Provisioner, name string) fleet.Machine {
	t.Helper()
	bootstrap, err := p.Bootstrap(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	i, err := load(t, c).Create(t.Context(), abi.CreateRequest{Owner: owner, Name: name, Options: options(c), Bootstrap: bootstrap})
	if err != nil {
		t.Fatal(err)
	}
	return fleet.Machine{Name: name, Driver: "fakecloud", Instance: i}
}

// TestMachinesAreProvisioned has the real provisioner make a machine ready, twice, and probe it in good and bad days.
func TestMachinesAreProvisioned(t *testing.T) {
	jobs := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/containers/json" {
				w.Write([]byte(`[{"Id":"of ` + name + `"}]`))
			}
		})
	}
	c := start(t, fakecloud.Options{Machines: true, Engine: jobs})
	archive := imageArchive(t)
	p, err := provision.New(provision.Options{StoreDir: t.TempDir(), HelperImage: func(string) (string, error) { return archive, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	m := makeMachine(t, c, p, "m1")
	if err := p.Check(t.Context(), m); err == nil {
		t.Error("an engine answers before it was set up")
	}
	var at fleet.Endpoint
	for range 2 {
		if at, err = p.Provision(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Check(t.Context(), m); err != nil {
		t.Error(err)
	}
	engine, err := client.NewClientWithOpts(client.WithHost(at.Host), client.WithScheme("https"), client.WithAPIVersionNegotiation(),
		client.WithTLSClientConfig(filepath.Join(at.CertPath, "ca.pem"), filepath.Join(at.CertPath, "cert.pem"), filepath.Join(at.CertPath, "key.pem")))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if image, err := engine.ImageInspect(t.Context(), "helper:1"); err != nil || image.ID != "sha256:0123abcd" {
		t.Errorf("the helper image is %q, %v", image.ID, err)
	}
	if list, err := engine.ContainerList(t.Context(), container.ListOptions{}); err != nil || len(list) != 1 || list[0].ID != "of m1" {
		t.Errorf("containers: %+v, %v", list, err)
	}

	for _, act := range []fakecloud.Act{fakecloud.Mute, fakecloud.Close, fakecloud.Stop} {
		if err := c.Act("m1", act, 0); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context(), m); err == nil {
			t.Errorf("after %s the engine answers", act)
		}
		if err := c.Act("m1", fakecloud.Revive, 0); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context(), m); err != nil {
			t.Errorf("after %s it does not come back: %v", act, err)
		}
	}
	if err := c.Act("m1", fakecloud.Vanish, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), m); err == nil {
		t.Error("a machine that vanished answers")
	}
}

// An engine without jobs is enough to clean a machine, and says so when a container is asked for.
func TestEnginesWithoutContainers(t *testing.T) {
	c := start(t, fakecloud.Options{Machines: true})
	p, err := provision.New(provision.Options{StoreDir: t.TempDir(), SSHTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	m := makeMachine(t, c, p, "m1")
	if _, err := p.Provision(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Clean(t.Context(), m); err != nil {
		t.Error(err)
	}
	c.Inject(fakecloud.Fault{Op: fakecloud.OpCreate, Fate: fakecloud.Mute})
	if _, err := p.Provision(t.Context(), makeMachine(t, c, p, "m2"), nil); err == nil || !strings.Contains(err.Error(), "no login within") {
		t.Errorf("a machine that is mute from the start: %v", err)
	}
}
