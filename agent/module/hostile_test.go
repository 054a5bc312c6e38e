package module_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/heartbeat"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// attack is a guest that means harm, in one way.
type attack struct {
	name   string
	wasm   []byte // nil: the probe
	export string // decide without it
	orders string // the guest's configuration
	want   string // in the refusal of the module, the failure of the call, or its answer
	limits module.Limits
}

// attacks are all ways that we know of, one small guest for each.
func attacks(t testing.TB) []attack {
	brief := module.Limits{DecideTime: 300 * time.Millisecond, Fuel: math.MaxInt64}
	request := func(url string) string { return fmt.Sprintf(`{"do":"http","url":%q}`, url) }
	web := newWeb(t)
	return []attack{
		{name: "none", wasm: tiny(returns(`{"idle_target":1}`)).bytes(), want: `{"idle_target":1}`}, // what the machine itself is late by
		{name: "endless loop, by time", wasm: tiny(loops).bytes(), limits: brief, want: "still running at its deadline"},
		{name: "endless loop, by fuel", wasm: tiny(loops).bytes(), want: "used all its fuel", limits: module.Limits{Fuel: 50_000_000}},
		{name: "endless loop in Go", orders: `{"do":"wait"}`, limits: brief, want: "still running at its deadline"},
		{name: "endless recursion", wasm: tiny(recurses).bytes(), want: "calls nest too deeply"},
		{name: "bulk copies without loops", wasm: tiny(fills()).bytes(), limits: brief, want: "still running at its deadline"},
		{name: "memory growth", wasm: tiny(grows).bytes(), want: "trap: unreachable"},
		{name: "memory growth in Go", orders: `{"do":"eat"}`, want: "out of memory"},
		{name: "huge output", wasm: tiny(allocates(12 << 20)).bytes(), want: "returned 12582912 bytes"},
		{name: "log flood", orders: `{"do":"log","times":100000}`, want: "{}"},
		{name: "panic", orders: `{"do":"panic"}`, want: "panic: boom"},
		{name: "exit", orders: `{"do":"exit","times":1}`, want: "exited with code 1"},
		{name: "lying length", wasm: tiny(outputs(0, 1<<62)).bytes(), want: "returned nothing"},
		{name: "forged pointer", wasm: tiny(outputs(1<<31, 100)).bytes(), want: "returned nothing"},
		{name: "forged pointer to a host function", wasm: forged().bytes(), want: `{}`},
		{name: "block past the guest's memory", wasm: moves("block_read", 65000, 1000).bytes(), want: "the 1000 bytes at 65000 are outside of the guest's memory"},
		{name: "block from the end of all addresses", wasm: moves("block_write", -1, 16).bytes(), want: "outside of the guest's memory"},
		{name: "block longer than it is", wasm: moves("block_write", 0, 4096).bytes(), want: "are outside of the memory, which has"},
		{name: "block of a negative length", wasm: moves("block_read", 0, -1).bytes(), want: "outside of the guest's memory"},
		{name: "no number", wasm: tiny(returns(`{"idle_target":NaN}`)).bytes(), want: "returned no JSON"},
		{name: "a negative number", wasm: tiny(returns(`{"idle_target":-5}`)).bytes(), want: "is negative"},
		{name: "an enormous number", wasm: tiny(returns(`{"idle_target":1e400}`)).bytes(), want: "returned a bad proposal"},
		{name: "a huge integer", wasm: tiny(returns(`{"idle_target":99999999999999999999}`)).bytes(), want: "returned a bad proposal"},
		{name: "deep JSON", wasm: tiny(returns(`{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`)).bytes(), want: "JSON"},
		{name: "state overflow", wasm: tiny(returns(`{"state":"` + strings.Repeat("x", 65<<10) + `"}`)).bytes(), want: "state"},
		{name: "host that is not granted", export: "observe", orders: request(web.other), want: "denied"},
		{name: "redirect to it", export: "observe", orders: request(web.granted + "/away"), want: "denied"},
		{name: "DNS rebinding", export: "observe", orders: request(web.rebound), want: "denied"},
		{name: "slow-loris answer", export: "observe", orders: request(web.granted + "/slow"), want: "still running at its deadline", limits: module.Limits{ObserveTime: 300 * time.Millisecond}},
		{name: "endless answer", export: "observe", orders: request(web.granted + "/endless"), want: "too_large"},
		{name: "request from decide", orders: request(web.granted), want: "denied"},
		{name: "changes its mind", wasm: fickle().bytes(), want: `{}`},
		{name: "cold-start bomb: one function too large", wasm: tiny(bomb(600 << 10)).bytes(), want: "can't be metered"},
		{name: "cold-start bomb: as large as may be", wasm: tiny(bomb(500 << 10)).bytes(), want: "returned nothing"},
		{name: "cold-start bomb: too many functions", wasm: crowd(120_000).bytes(), want: "can't be metered"},
	}
}

// web is what hostile guests reach for.
type web struct{ granted, other, rebound string }

func newWeb(t testing.TB) web {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request for %s reached the server that is not granted", r.URL)
	}))
	t.Cleanup(other.Close)
	granted := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Connection", "close") // so that the next request asks for the address anew
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/slow":
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(granted.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(granted.URL, "http://"), ":")
	return web{granted.URL, other.URL, "http://" + rebinding(t) + ":" + port + "/"}
}

// siege is a host under attack: the built-in chain of another runner decides all the while.
type siege struct {
	host     *module.Host
	chain    *module.Chain
	snapshot abi.Snapshot
	probe    []byte
	probes   map[string]*module.Module // that have been loaded, by grants and limits; loading is no attack
}

func newSiege(t testing.TB) *siege {
	t.Helper()
	h, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(t), Builtins: []fs.FS{policiesDist(t)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c, err := h.BuiltinChain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &siege{host: h, chain: c, snapshot: liveSnapshot(t), probe: guests.Wasm(t, probe), probes: map[string]*module.Module{}}
	s.peace(t, 200) // after which the built-in policies' memory is as large as it gets
	return s
}

// peace decides n times.
func (s *siege) peace(t testing.TB, n int) {
	want := s.chain.Decide(t.Context(), s.snapshot)
	for range n {
		if d := s.chain.Decide(t.Context(), s.snapshot); d.IdleTarget != want.IdleTarget || d.Steps[0].Err+d.Steps[1].Err != "" {
			t.Errorf("the other runner's chain decided %+v, before %+v", d, want)
		}
	}
}

// under runs one attack, twice, while decisions go on, and returns how late a heartbeat of a millisecond was at worst.
func (s *siege) under(t testing.TB, a attack) (late time.Duration) {
	t.Helper()
	stop, beats := make(chan struct{}), heartbeat.Start()
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.peace(t, 1)
			}
		}
	})
	got := s.run(t, a)
	if a.name == "none" {
		time.Sleep(500 * time.Millisecond) // as long as an attack takes
	}
	close(stop)
	late = beats()
	others.Wait()
	if !strings.Contains(got, a.want) {
		t.Errorf("%s: got %.300s\nwant %s", a.name, got, a.want)
	}
	return late
}

// run loads the guest, calls it twice and closes it. It returns the refusal, or the second call's failure or answer.
func (s *siege) run(t testing.TB, a attack) string {
	src := module.Source{Name: "hostile.wasm", Wasm: a.wasm, Limits: a.limits}
	if a.wasm == nil {
		src.Wasm = s.probe
		var o struct{ URL string }
		if err := json.Unmarshal([]byte(a.orders), &o); err != nil {
			t.Fatal(err)
		}
		if host, _, ok := strings.Cut(strings.TrimPrefix(o.URL, "http://"), "/"); ok {
			src.Hostnames, src.Private = []string{"http://" + host}, loopback
		}
	}
	key := fmt.Sprint(src.Hostnames, src.Limits)
	m := s.probes[key]
	if a.wasm != nil || m == nil {
		var err error
		if m, err = s.host.Load(t.Context(), src); err != nil {
			return err.Error()
		}
	}
	if a.wasm == nil {
		s.probes[key] = m
	} else {
		defer func() {
			if err := m.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
	}
	got := ""
	for range 2 {
		if a.export == abi.ExportObserve {
			out, err := m.Call(t.Context(), a.export, observing(t, a.orders))
			got = string(out) + fmt.Sprint(err)
			continue
		}
		snapshot := s.snapshot
		snapshot.Config = abi.Raw(a.orders)
		p, err := module.Propose(t.Context(), m, snapshot)
		if err == nil && (p.State != nil && len(*p.State) > 64<<10 || p.IdleTarget != nil && *p.IdleTarget < 0) {
			t.Errorf("%s: the host took %v", a.name, p)
		}
		data, _ := json.Marshal(p)
		got = string(data) + fmt.Sprint(err)
	}
	return got
}

func observing(t testing.TB, orders string) []byte {
	input, err := json.Marshal(abi.ObserveRequest{ABI: 1, Config: abi.Raw(orders)})
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// TestSiege runs all attacks against one host. Under none the heartbeat is late by many seconds, as it would be where nobody
// else can run (a busy machine is late by one; the benchmark tells the worst); afterwards the heap and
// the mapped code are what they were.
func TestSiege(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s := newSiege(t)
	all := attacks(t)
	for _, a := range all { // what the first run leaves for good: pools, connections, the type caches of encoding/json
		s.under(t, a)
	}
	heap, code := moduletest.Footprint(t)
	for _, a := range all {
		t.Run(a.name, func(t *testing.T) {
			if late := s.under(t, a); late > 10*time.Second {
				t.Errorf("the heartbeat was late by %v", late)
			}
		})
	}
	if h, c := moduletest.Footprint(t); h > heap+heap/10 || c > code+code/10 {
		t.Errorf("the live heap went from %d to %d bytes, mapped code from %d to %d", heap, h, code, c)
	}
}

// BenchmarkSiege prints the worst that was seen of each attack, and how the heap and the mapped code changed. The first is none: what it
// shows is the machine's own.
//
//	go test -bench Siege -benchtime 3x -run '^$' ./agent/module
func BenchmarkSiege(b *testing.B) {
	s := newSiege(b)
	all := attacks(b)
	for _, a := range all {
		s.under(b, a)
	}
	heap, code := moduletest.Footprint(b)
	var worst []time.Duration
	for _, a := range all {
		b.Run(strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(a.name), func(b *testing.B) {
			var late time.Duration
			for b.Loop() {
				late = max(late, s.under(b, a))
			}
			worst = append(worst, late)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(late.Microseconds())/1e3, "late-ms")
		})
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			s.peace(b, 1)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(slices.Max(worst).Microseconds())/1e3, "worst-late-ms")
		h, c := moduletest.Footprint(b)
		b.ReportMetric(float64(h)/float64(heap), "heap-ratio")
		b.ReportMetric(float64(c)/float64(max(code, 1)), "code-ratio")
	})
}
