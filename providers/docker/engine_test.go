package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// TestEngine runs the driver natively against a real engine, with an image whose only program waits for its end.
func TestEngine(t *testing.T) {
	w := newWorld(t)
	suite := func(d hostside.Driver) func(*testing.T) {
		return func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				o := w.options(t)
				return drivertest.Subject{
					Driver: d, Options: o, Leftovers: w.leftovers,
					Invalid: abi.Options{optHost: o[optHost], optNetwork: o[optNetwork], optImage: {"millwright-test/no-such-image"}},
				}
			})
		}
	}
	t.Run("suite natively", suite(native{}))
	t.Run("suite as Wasm", suite(asWasm(t, w.host)))
	for name, test := range map[string]func(*testing.T, *world, machine){
		"the bootstrap data are there before the start": bootstrapArrives,
		"without privileges":                            withoutPrivileges,
		"options reach the container":                   optionsArrive,
		"published ports":                               published,
		"a container that was never started":            heals,
		"a volume without a container":                  volumeOnly,
		"a network that went":                           networkGone,
		"somebody's network stays":                      foreignNetwork,
		"somebody's container stays":                    foreignContainer,
	} {
		t.Run(name, func(t *testing.T) { test(t, w, w.machine(t)) })
	}
}

func bootstrapArrives(t *testing.T, w *world, m machine) {
	made := m.create(t)
	got := w.files(t, made.ID, "/etc/millwright")
	for name, want := range map[string]string{
		"millwright/":                         "40700 ",
		"millwright/authorized_keys":          "100600 ssh-ed25519 KEY\n",
		"millwright/ssh_user":                 "100644 builder\n",
		"millwright/ssh_host_ed25519_key":     "100600 PRIVATE\nEND\n",
		"millwright/ssh_host_ed25519_key.pub": "100644 ssh-ed25519 HOST\n",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func withoutPrivileges(t *testing.T, w *world, m machine) {
	m.options[optPrivileged] = []string{"false"}
	var c struct{ HostConfig hostConfig }
	w.inspect(t, m.create(t).ID, &c)
	h := c.HostConfig
	if h.Privileged || len(h.CapAdd) != 1 || len(h.CapDrop) != 1 || !h.Init || h.CgroupnsMode != "private" || len(h.DeviceCgroupRules) != 1 {
		t.Errorf("the container has %+v", h)
	}
	if h.MaskedPaths == nil || len(*h.MaskedPaths) != 0 {
		t.Errorf("masked paths: %v, want none", h.MaskedPaths)
	}
}

func optionsArrive(t *testing.T, w *world, m machine) {
	for name, value := range map[string]string{optCPUs: "0.5", optMemory: "64m", optDNS: "192.0.2.53", optLabel: "team=ci", optVolume: "/tmp:/host-tmp:ro"} {
		m.options[name] = []string{value}
	}
	made := m.create(t)
	var c struct {
		Config     struct{ Labels map[string]string }
		HostConfig hostConfig
	}
	w.inspect(t, made.ID, &c)
	h := c.HostConfig
	if h.NanoCPUs != 5e8 || h.Memory != 64<<20 || len(h.DNS) != 1 || len(h.Binds) != 1 || c.Config.Labels["team"] != "ci" {
		t.Errorf("the container has %+v, labels %v", h, c.Config.Labels)
	}
	if got := w.files(t, made.ID, "/etc/millwright")["millwright/resolv.conf"]; got != "100644 nameserver 192.0.2.53\n" {
		t.Errorf("resolv.conf: %q", got)
	}
}

func published(t *testing.T, _ *world, m machine) {
	m.options[optPublish] = []string{"true"}
	made := m.create(t)
	if made.Address != "127.0.0.1" || made.SSHPort == 0 || made.EnginePort == 0 {
		t.Errorf("create gave %+v", made)
	}
	all := m.list(t)
	if len(all) != 1 || all[0].SSHPort != made.SSHPort || all[0].EnginePort != made.EnginePort || all[0].Address != made.Address || all[0].CreatedAt != made.CreatedAt {
		t.Errorf("list gives %+v, create gave %+v", all, made)
	}
}

func heals(t *testing.T, _ *world, m machine) {
	e := m.engine(t)
	if err := e.make(m.request()); err != nil {
		t.Fatal(err)
	}
	if all := m.list(t); len(all) != 1 || all[0].Status != abi.StatusCreating {
		t.Errorf("before: %+v", all)
	}
	if made := m.create(t); made.Status != abi.StatusRunning {
		t.Errorf("create left it %+v", made)
	}
}

func volumeOnly(t *testing.T, _ *world, m machine) {
	if err := m.engine(t).ensureVolume(m.request()); err != nil {
		t.Fatal(err)
	}
	if all := m.list(t); len(all) != 1 || all[0].Name != m.name || all[0].Status != abi.StatusCreating || !strings.Contains(all[0].Message, "only its volume") {
		t.Errorf("list gives %+v", all)
	}
	m.remove(t)
	if all := m.list(t); len(all) != 0 {
		t.Errorf("after remove: %+v", all)
	}
}

func networkGone(t *testing.T, _ *world, m machine) {
	e := m.engine(t)
	if err := e.make(m.request()); err != nil {
		t.Fatal(err)
	}
	if err := e.call("DELETE", "/networks/"+e.network, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	if made := m.create(t); made.Status != abi.StatusRunning || made.Address == "" {
		t.Errorf("create gave %+v", made)
	}
}

func foreignNetwork(t *testing.T, w *world, m machine) {
	e := m.engine(t)
	if err := e.call("POST", "/networks/create", nil, map[string]any{"Name": e.network}, nil); err != nil {
		t.Fatal(err)
	}
	m.create(t)
	m.remove(t)
	if err := e.call("GET", "/networks/"+e.network, nil, nil, nil); err != nil {
		t.Errorf("somebody's network: %v", err)
	}
	if err := e.call("DELETE", "/networks/"+e.network, nil, nil, nil); err != nil {
		t.Error(err)
	}
}

func foreignContainer(t *testing.T, _ *world, m machine) {
	e := m.engine(t)
	if err := e.call("POST", "/containers/create", url.Values{"name": {m.name}}, map[string]any{"Image": e.image}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.call("DELETE", "/containers/"+m.name, url.Values{"force": {"1"}}, nil, nil) })
	_, err := dockerDriver{}.Create(m.request())
	checkKind(t, err, abi.Conflict, "that this agent did not make")
	m.remove(t)
	if err := e.call("GET", "/containers/"+m.name+"/json", nil, nil, nil); err != nil {
		t.Errorf("somebody's container: %v", err)
	}
}

// asWasm is the driver as the module that ships.
func asWasm(t *testing.T, host string) hostside.Driver {
	t.Helper()
	d, err := wasm.New(moduletest.Load(t, moduletest.Host(t, module.Limits{}), "providers/docker", host))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// native runs the driver as the host would, through the bytes of the ABI, but in this process.
type native struct{}

func (native) Create(ctx context.Context, req abi.CreateRequest) (i abi.Instance, err error) {
	return i, through(ctx, abi.ExportCreate, req, &i)
}

func (native) List(ctx context.Context, req abi.ListRequest) (l abi.ListResult, err error) {
	return l, through(ctx, abi.ExportList, req, &l)
}

func (native) Remove(ctx context.Context, req abi.RemoveRequest) error {
	return through(ctx, abi.ExportRemove, req, &struct{}{})
}

func through(ctx context.Context, export string, req, out any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := json.Marshal(req)
	if err != nil {
		return err
	}
	answer, err := driver.Call(driver.Registered(), export, in)
	if err != nil {
		return err
	}
	var res abi.Result
	if err := json.Unmarshal(answer, &res); err != nil {
		return err
	}
	if res.Error != nil {
		return &hostside.Error{Driver: "docker", Op: export, Info: *res.Error}
	}
	return json.Unmarshal(res.OK, out)
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

// rootFS is a tar with a program that waits, compiled for the engine, and the folder /etc.
func (w *world) rootFS(t *testing.T) []byte {
	t.Helper()
	var version struct{ Arch string }
	if err := w.call("GET", "/version", nil, nil, &version); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(1 << 62) }\n"
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
	i, err := native{}.Create(t.Context(), m.request())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (m machine) list(t *testing.T) []abi.Instance {
	t.Helper()
	l, err := native{}.List(t.Context(), abi.ListRequest{Owner: m.owner, Options: m.options})
	if err != nil || !l.Complete {
		t.Fatalf("%+v, %v", l, err)
	}
	return l.Instances
}

func (m machine) remove(t *testing.T) {
	t.Helper()
	if err := (native{}).Remove(context.Background(), abi.RemoveRequest{Owner: m.owner, Name: m.name, Options: m.options}); err != nil {
		t.Fatal(err)
	}
}
