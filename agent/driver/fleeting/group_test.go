package fleeting

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// logged is a log that tests read.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// until waits for what comes by itself.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// open is a group over the plug-in of the tests, which ends with the test.
func open(t *testing.T, c *fleetingtest.Cloud, change ...func(*Options)) (*Group, *logged) {
	t.Helper()
	path := fleetingtest.Binary(t)
	log := &logged{}
	o := Options{
		Plugin: fleetingtest.Name, Find: func() (string, error) { return path, nil }, Config: c.Config(), Limits: Limits{Pause: 10 * time.Millisecond},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	g := New(o)
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return g, log
}

// info starts the plug-in.
func info(t *testing.T, g *Group) group.Info {
	t.Helper()
	i, err := g.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// idsOf are those of a list, sorted, with the state behind each.
func idsOf(list []group.Instance) []string {
	var all []string
	for _, i := range list {
		all = append(all, i.ID+" "+string(i.State))
	}
	slices.Sort(all)
	return all
}

// pid is that of the plug-in's newest process.
func pid(t *testing.T, c *fleetingtest.Cloud) int {
	t.Helper()
	n := c.Process()
	if n == 0 {
		t.Fatal("no process was initialised")
	}
	return n
}

func TestLife(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, _ := open(t, c)
	if diff := cmp.Diff(group.Info{ID: "mwtest/group", MaxSize: 100, Version: "1.2.3"}, info(t, g)); diff != "" {
		t.Fatal(diff)
	}
	if n, err := g.Increase(t.Context(), 3); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	list, err := g.List(t.Context())
	if diff := cmp.Diff([]string{"i-0001 running", "i-0002 running", "i-0003 running"}, idsOf(list)); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	for _, id := range []string{"i-0001", "i-0002"} {
		if err := g.Heartbeat(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	taken, err := g.Decrease(t.Context(), []string{"i-0003", "i-0001"})
	if diff := cmp.Diff([]string{"i-0003", "i-0001"}, taken); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	until(t, "the removal", func() bool { return len(c.Instances()) == 1 })
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.Calls("shutdown")) != 1 {
		t.Error("the plug-in was told nothing of its end")
	}
	if running(pid(t, c)) {
		t.Error("its process runs on")
	}
	if _, err := g.List(t.Context()); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("after the end: %v", err)
	}
}

// What a plug-in is told: the configuration with every type, connector_config, and the agent's environment without the agent's secrets.
func TestWhatItIsTold(t *testing.T) {
	t.Setenv("CI_SERVER_TOKEN", "glrt-of-the-agent")
	t.Setenv("AWS_PROFILE_FOR_TEST", "builders")
	c := fleetingtest.Start(t)
	g, _ := open(t, c, func(o *Options) {
		o.Config["types"] = map[string]any{
			"text": "a", "number": int64(9007199254740993), "yes": true, "half": 0.5, "list": []any{int64(1), "two"}, "tables": []any{map[string]any{"k": "v"}},
		}
		o.Connector = config.Connector{OS: "linux", Arch: "arm64", Protocol: "ssh", ProtocolPort: 2222, Username: "ci", Password: "a-password", UseStaticCredentials: true, Timeout: config.Duration(time.Minute)}
		o.Key = "a-key"
	})
	info(t, g)
	var told struct {
		Token    string
		Types    json.RawMessage
		Settings map[string]any
		Environ  []string
	}
	if err := json.Unmarshal(c.Calls("init")[0].Arg, &told); err != nil {
		t.Fatal(err)
	}
	// The plug-in's own decoding makes a float of a number; that its digits came is seen by the others.
	if want := `{"half":0.5,"list":[1,"two"],"number":9007199254740992,"tables":[{"k":"v"}],"text":"a","yes":true}`; string(told.Types) != want {
		t.Errorf("plugin_config: got %s, want %s", told.Types, want)
	}
	want := map[string]any{
		"os": "linux", "arch": "arm64", "protocol": "ssh", "protocol_port": 2222.0, "username": "ci", "password": "a-password", "key": "YS1rZXk=", "use_static_credentials": true,
		"keepalive": float64(30 * time.Second), "timeout": float64(time.Minute),
	}
	if diff := cmp.Diff(want, told.Settings); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(told.Environ, "AWS_PROFILE_FOR_TEST=builders") {
		t.Error("the plug-in does not see the environment, by which clouds give credentials")
	}
	if i := slices.IndexFunc(told.Environ, func(e string) bool { return strings.HasPrefix(e, "CI_SERVER_TOKEN=") }); i >= 0 {
		t.Error("the plug-in sees the agent's token")
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	c.Machine = func(id string) (fleetingtest.Machine, error) {
		return fleetingtest.Machine{Internal: "10.0.0.1", External: "203.0.113.9:2200", Username: "mw", Protocol: "winrm+https", Port: 5999, Key: []byte("KEY"), Timeout: time.Minute, Expires: 1_700_000_000}, nil
	}
	g, _ := open(t, c)
	info(t, g)
	if _, err := g.Increase(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	until(t, "the boot", func() bool { return c.Instances()["i-0001"] == "running" })
	got, err := g.Connect(t.Context(), "i-0001")
	want := group.Connection{
		OS: "linux", Arch: "amd64", Protocol: "winrm+https", Port: 5999, Username: "mw", Key: "KEY", InternalAddr: "10.0.0.1", ExternalAddr: "203.0.113.9:2200",
		Keepalive: 30 * time.Second, Timeout: time.Minute, Expires: time.Unix(1_700_000_000, 0).UTC(),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if again, err := g.Connect(t.Context(), "i-0001"); err != nil || again != got || len(c.Calls("connect")) != 2 { // what has expired is asked for again
		t.Errorf("%v, %v, %d calls", again, err, len(c.Calls("connect")))
	}
	if _, err := g.Connect(t.Context(), "i-0002"); err == nil || !strings.Contains(err.Error(), "there is no instance i-0002") {
		t.Errorf("got %v", err)
	}
}

// A plug-in that was started anew may hand out another key; an instance goes on with the one that it knows.
func TestConnectOnce(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, _ := open(t, c)
	info(t, g)
	if _, err := g.Increase(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	first, err := g.Connect(t.Context(), "i-0001")
	if err != nil {
		t.Fatal(err)
	}
	c.Fail("connect", fleetingtest.Fault{Lie: map[string]any{"Machine": map[string]any{"Internal": "192.0.2.9"}}})
	c.Fail("list", fleetingtest.Fault{Do: "crash", Once: true})
	if _, err := g.List(t.Context()); err == nil {
		t.Error("no crash")
	}
	until(t, "the next process", func() bool { _, err := g.List(t.Context()); return err == nil })
	if second, err := g.Connect(t.Context(), "i-0001"); err != nil || second != first {
		t.Errorf("got %v, %v", second, err)
	}
	c.Reclaim("i-0001")
	until(t, "its end", func() bool { list, err := g.List(t.Context()); return err == nil && len(list) == 0 })
	if third, err := g.Connect(t.Context(), "i-0001"); err != nil || third.InternalAddr != "192.0.2.9" {
		t.Errorf("one that is gone is remembered: %v, %v", third, err)
	}
}

// An instance that is gone counts as removed, and keeps nobody else.
func TestDecreaseInParts(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, _ := open(t, c)
	info(t, g)
	if _, err := g.Increase(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	c.Reclaim("i-0001")
	until(t, "the provider", func() bool { return len(c.Instances()) == 2 })
	taken, err := g.Decrease(t.Context(), []string{"i-0001", "i-0002", "i-0003"})
	slices.Sort(taken)
	if diff := cmp.Diff([]string{"i-0001", "i-0002", "i-0003"}, taken); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if taken, err := g.Decrease(t.Context(), []string{"i-0001"}); err != nil || len(taken) != 1 {
		t.Errorf("%v, %v", taken, err)
	}
	if _, err := g.Increase(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c.Fail("decrease", fleetingtest.Fault{Error: "not now"})
	if taken, err := g.Decrease(t.Context(), []string{"i-0004"}); err == nil || len(taken) != 0 || !strings.Contains(err.Error(), "not now") {
		t.Errorf("%v, %v", taken, err)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"": "", "ubuntu": "linux", "Windows": "windows", "macOS": "darwin", "linux": "linux"} {
		if got := system(said); got != want {
			t.Errorf("system %q: got %q, want %q", said, got, want)
		}
	}
	for said, want := range map[string]string{"": "", "x86_64": "amd64", "AARCH64": "arm64", "amd64": "amd64", "riscv64": "riscv64"} {
		if got := arch(said); got != want {
			t.Errorf("architecture %q: got %q, want %q", said, got, want)
		}
	}
}

// No bound, as plug-ins say it: the greatest number that there is.
func TestNoBound(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	c.MaxSize = math.MaxInt
	g, _ := open(t, c)
	if got := info(t, g).MaxSize; got != 0 {
		t.Errorf("got %d", got)
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	c := fleetingtest.Start(t)
	g, _ := open(t, c)
	info(t, g)
	for name, f := range map[string]struct {
		fault fleetingtest.Fault
		kind  abi.ErrorKind // "": it is fit
	}{
		"unfit":         {fleetingtest.Fault{Error: "its disk is full"}, abi.Conflict},
		"older plug-in": {fleetingtest.Fault{Error: "unknown method", Code: 12}, ""},
		"denied":        {fleetingtest.Fault{Error: "no", Code: 7}, abi.Auth},
	} {
		c.Fail("heartbeat", f.fault)
		err := g.Heartbeat(t.Context(), "i-0001")
		if err == nil && f.kind != "" || err != nil && driver.KindOf(err) != f.kind {
			t.Errorf("%s: got %v, want %q", name, err, f.kind)
		}
	}
}
