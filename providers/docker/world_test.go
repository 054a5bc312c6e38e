package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// newGuarded opens a front that takes nobody without the certificate that Docker's clients have, and returns with it the driver as the module that ships,
// to whose requests the host adds that.
func newGuarded(t *testing.T, w *world) (*front, hostside.Driver) {
	t.Helper()
	f := w.newFront(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		s.StartTLS()
	})
	dir := t.TempDir()
	own := f.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "cert.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	store.Provide("docker", credentials.Config{
		Kind: credentials.ClientTLS, CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CAFile: filepath.Join(dir, "ca.pem"),
	})
	d, err := wasm.New(moduletest.Builtin(t, "docker"))
	if err != nil {
		t.Fatal(err)
	}
	return f, d.With(wasm.Powers{Credentials: map[string]httpsend.Credential{"docker": store.Signer("docker", credentials.Grant{})}})
}

// world is a real engine with the test's image on it.
type world struct {
	engine
	id string // part of all names
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{id: strings.ToLower(rand.Text()[:8])}
	s, err := usable(abi.Options{optHost: {os.Getenv("DOCKER_HOST")}, optImage: {"millwright-test/machine:" + w.id}})
	if err == nil {
		w.engine, err = connect(s)
	}
	if err != nil { // agent/internal/need, which says the same, is out of reach of a guest
		if os.Getenv("MILLWRIGHT_REQUIRE") == "all" {
			t.Fatalf("this test needs a Docker engine: %v", err)
		}
		t.Skipf("this test needs a Docker engine: %v", err)
	}
	query := url.Values{"fromSrc": {"-"}, "repo": {"millwright-test/machine"}, "tag": {w.id}, "changes": {`ENTRYPOINT ["/machine"]`}}
	if _, err := w.send("POST", "/images/create", query, "application/x-tar", w.rootFS(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.call("DELETE", "/images/"+w.image, nil, nil, nil); err != nil {
			t.Errorf("remove the test's image: %v", err)
		}
	})
	return w
}

// said is what machines write to their consoles.
const said = "the machine is up"

// rootFS is a tar with a program that waits, compiled for the engine, and the folder /etc.
func (w *world) rootFS(t *testing.T) []byte {
	t.Helper()
	var version struct{ Arch string }
	if err := w.call("GET", "/version", nil, nil, &version); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := "package main\n\nimport \"time\"\n\nfunc main() { println(\"" + said + "\"); time.Sleep(1 << 62) }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", "machine", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+version.Arch, "CGO_ENABLED=0", "GOWORK=off", "GO111MODULE=auto", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "machine"))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range []*tar.Header{{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, {Typeflag: tar.TypeReg, Name: "machine", Mode: 0o755, Size: int64(len(program))}} {
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	tw.Write(program)
	tw.Close()
	return buf.Bytes()
}

// options are those of a small machine on a network of the test's own.
func (w *world) options(t *testing.T) abi.Options {
	network := "millwright-test-" + strings.ToLower(rand.Text()[:8])
	t.Cleanup(func() { w.call("DELETE", "/networks/"+network, nil, nil, nil) })
	return abi.Options{optHost: {w.host}, optImage: {w.image}, optNetwork: {network}}
}

func (w *world) leftovers(t *testing.T, owner abi.Owner) (left []string) {
	t.Helper()
	label := labelOwner + "=" + owner.ID
	query := filters(label)
	query.Set("all", "1")
	var containers, networks []struct{ ID, Name string }
	var volumes struct{ Volumes []volume }
	for path, out := range map[string]any{"/containers/json": &containers, "/networks": &networks, "/volumes": &volumes} {
		if err := w.call("GET", path, query, nil, out); err != nil {
			t.Error(err)
		}
	}
	for _, c := range containers {
		left = append(left, "container "+c.ID)
	}
	for _, n := range networks {
		left = append(left, "network "+n.Name)
	}
	for _, v := range volumes.Volumes {
		left = append(left, "volume "+v.Name)
	}
	return left
}

func (w *world) inspect(t *testing.T, id string, out any) {
	t.Helper()
	if err := w.call("GET", "/containers/"+id+"/json", nil, nil, out); err != nil {
		t.Fatal(err)
	}
}

// files reads a folder of a container: octal mode and content by name.
func (w *world) files(t *testing.T, id, path string) map[string]string {
	t.Helper()
	data, err := w.send("GET", "/containers/"+id+"/archive", url.Values{"path": {path}}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		kind := "100"
		if h.Typeflag == tar.TypeDir {
			kind = "40"
		}
		out[h.Name] = kind + octal(h.Mode&0o777) + " " + string(content)
	}
}

func octal(mode int64) string {
	return string([]byte{'0' + byte(mode>>6&7), '0' + byte(mode>>3&7), '0' + byte(mode&7)})
}

// machine is one machine of a test's, removed at its end.
type machine struct {
	name    string
	owner   abi.Owner
	options abi.Options
}

func (w *world) machine(t *testing.T) machine {
	id := strings.ToLower(rand.Text())
	m := machine{name: "mw-test-" + id[:8], owner: abi.Owner{ID: id[:16], Runner: "test"}, options: w.options(t)}
	t.Cleanup(func() {
		m.remove(t)
		if left := w.leftovers(t, m.owner); len(left) > 0 {
			t.Errorf("left on the engine: %v", left)
		}
	})
	return m
}

func (m machine) request() abi.CreateRequest {
	return abi.CreateRequest{ABI: abi.Version, Owner: m.owner, Name: m.name, Options: m.options, Bootstrap: abi.Bootstrap{
		SSHUser: "builder", AuthorizedKey: "ssh-ed25519 KEY", HostKeyPrivate: "PRIVATE\nEND\n", HostKeyPublic: "ssh-ed25519 HOST\n"}}
}

func (m machine) engine(t *testing.T) engine {
	t.Helper()
	s, err := usable(m.options)
	if err != nil {
		t.Fatal(err)
	}
	e, err := open(s, m.owner, m.name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (m machine) create(t *testing.T) abi.Instance {
	t.Helper()
	i, err := native.Driver("docker").Create(t.Context(), m.request())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (m machine) list(t *testing.T) []abi.Instance {
	t.Helper()
	l, err := native.Driver("docker").List(t.Context(), abi.ListRequest{Owner: m.owner, Options: m.options})
	if err != nil || !l.Complete {
		t.Fatalf("%+v, %v", l, err)
	}
	return l.Instances
}

func (m machine) remove(t *testing.T) {
	t.Helper()
	if err := native.Driver("docker").Remove(context.Background(), abi.RemoveRequest{Owner: m.owner, Name: m.name, Options: m.options}); err != nil {
		t.Fatal(err)
	}
}
