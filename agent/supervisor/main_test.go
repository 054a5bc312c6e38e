package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/module"
)

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", "4") // agents mostly wait for machines; it is a number, so it is taken
	}
	identity := azureIdentity()
	code := m.Run()
	identity.Close()
	fleetingtest.Clean()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// azureIdentity is the managed identity of the machine that the tests run on, as App Service gives it: tests that run side by side can't have one each.
func azureIdentity() *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"of-the-machine","token_type":"Bearer","expires_on":"4102444800","resource":"https://management.azure.com"}`)
	}))
	os.Setenv("IDENTITY_ENDPOINT", s.URL)
	os.Setenv("IDENTITY_HEADER", "of-the-host")
	return s
}

// patience is how long a test waits for what must come. A busy host compiles modules for minutes when the race detector watches.
const patience = 5 * time.Minute

// world is an agent with a coordinator, over HTTP.
type world struct {
	t           *testing.T
	coordinator *embedded.Server
	stateDir    string
	log         *logbook
	s           *Supervisor
	stop        context.CancelCauseFunc
	ended       chan error
	address     string // of the metrics
	tolerated   string // a rule of the coordinator's that the test has to break
	gateway     string // this host on the network of fleet's machines

	mu     sync.Mutex // guards what follows
	config config.Config
	broken error // what Load answers instead
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := embedded.New(embedded.Options{Dir: t.TempDir(), TraceInterval: 200 * time.Millisecond, LongPoll: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, coordinator: server, stateDir: shortDir(t), log: newLogbook(t)}
	t.Cleanup(func() {
		for _, v := range server.Violations() {
			if v.Rule != w.tolerated {
				t.Errorf("the coordinator complains: %s", v)
			}
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	w.config = config.Config{Concurrent: 4, CheckInterval: 1, ShutdownTimeout: 30}
	return w
}

// shortDir is a temporary folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// runner is an entry for the coordinator's first runner.
func (w *world) runner(name string) config.Runner {
	return config.Runner{Name: name, URL: w.coordinator.URL(), Token: w.coordinator.RunnerToken(), Executor: executorDocker}
}

// another is an entry for another runner of the coordinator.
func (w *world) another(name string) config.Runner {
	r := w.runner(name)
	r.Token = w.coordinator.AddRunner(name)
	return r
}

// change changes what Load will answer.
func (w *world) change(f func(*config.Config)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.config
	next.Runners = append([]config.Runner(nil), w.config.Runners...)
	f(&next)
	w.config, w.broken = next, nil
}

// spoil makes Load fail.
func (w *world) spoil(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

func (w *world) load() (*config.Config, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.config
	return &c, w.broken
}

func (w *world) options() Options {
	return Options{
		StateDir: w.stateDir, Load: w.load, Log: slog.New(w.log), Version: job.Version{Version: "1.2.3", Revision: "abc"},
		HelperArchive: func(arch string) string { return filepath.Join("..", "..", "bin", "helper-image-"+arch+".tar") },
	}
}

// start runs an agent until finish, or the end of the test.
func (w *world) start(change ...func(*Options)) {
	w.t.Helper()
	o := w.options()
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	w.s, w.stop, w.ended, w.address = s, stop, ended, ""
	go func() { ended <- s.Run(ctx) }()
	w.t.Cleanup(func() {
		stop(errors.New("end of the test"))
		if w.ended == ended {
			<-ended
		}
	})
	w.log.wait("Configuration loaded")
}

// finish waits for the agent's end.
func (w *world) finish() error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		w.ended = nil
		w.stop(nil)
		return err
	case <-time.After(patience):
		w.t.Fatal("the agent does not end")
		return nil
	}
}

// reload puts a changed configuration into force.
func (w *world) reload(f func(*config.Config)) {
	w.t.Helper()
	w.change(f)
	if err := w.s.Reload(); err != nil {
		w.t.Fatal(err)
	}
}

// await waits for a job's end.
func (w *world) await(id int64) embedded.JobResult {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r, err := w.coordinator.WaitJob(ctx, id)
	if err != nil {
		w.t.Fatalf("job %d: %v\n%s", id, err, w.log.text())
	}
	return r
}

func (w *world) trace(id int64) string {
	raw, err := w.coordinator.Trace(id)
	if err != nil {
		w.t.Error(err)
	}
	return string(embedded.DecodeTrace(raw))
}

// hopeless is a job that fails at once and needs no engine: it wants what no runner knows.
func hopeless() coordinator.Job {
	return coordinator.Job{
		Info:  coordinator.JobInfo{Name: "hopeless", Stage: "test", ProjectID: 3},
		Image: &coordinator.Image{Name: "none", ExecutorOpts: json.RawMessage(`{"no such executor": 1}`)},
		Steps: []coordinator.Step{{Name: "script", Script: []string{"true"}}},
	}
}

// agent is a client of agent.sock.
func (w *world) agent(method, path string) (status int, body string) {
	w.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", SocketPath(w.stateDir))
		},
	}}
	return w.call(client, method, "http://agent"+path)
}

// page fetches what listen_address serves.
func (w *world) page(path string) string {
	w.t.Helper()
	if w.address == "" {
		w.address = w.log.wait("Metrics server listening")["address"]
	}
	status, body := w.call(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodGet, "http://"+w.address+path)
	if status != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

func (w *world) call(client *http.Client, method, url string) (status int, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// builtins gives the agent the guests of the tree, compiled by the test: the policies, the driver docker, and more of them.
func builtins(t *testing.T, more ...string) func(*Options) {
	t.Helper()
	need.Command(t, "go")
	dist := fstest.MapFS{}
	for _, folder := range append([]string{"policies/periods", "policies/idlescale", "policies/instances", "providers/docker"}, more...) {
		dist["dist/"+filepath.Base(folder)+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, folder)}
	}
	cache := guests.CompilationCache(t)
	return func(o *Options) {
		o.Modules = module.Options{Builtins: []fs.FS{dist}, CacheDir: cache, Limits: module.Limits{
			DecideTime: time.Minute, OtherTime: time.Minute, DriverTime: time.Minute, // a busy machine is no failure
		}}
	}
}

// helper needs the helper image's archive.
func helper(t *testing.T) {
	t.Helper()
	need.File(t, filepath.Join("..", "..", "bin", "helper-image-"+runtime.GOARCH+".tar"), "`go tool task helper-image` builds it")
}

// until asks now and again until what is so.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit.C:
			w.t.Fatalf("it never came that %s\n%s", what, w.log.text())
		}
	}
}
