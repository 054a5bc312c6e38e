package module_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const probe = "agent/module/testdata/probe"

// decideWith is a snapshot whose configuration orders the probe.
func decideWith(t testing.TB, orders string) []byte {
	t.Helper()
	input, err := json.Marshal(abi.Snapshot{ABI: 1, Config: abi.Raw(orders)})
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// TestHostileGuests checks that whatever a guest does is an error of one line, and that the module can be called again.
func TestHostileGuests(t *testing.T) {
	recursive := tiny(recurses)
	for name, tc := range map[string]struct {
		guest wasm
		cause module.Cause
		want  string
	}{
		"trap":                   {tiny(traps), module.CauseTrap, "trap: unreachable"},
		"loop past the deadline": {tiny(loops), module.CauseDeadline, "still running at its deadline"},
		"loop past its fuel":     {tiny(loops), module.CauseFuel, "used all its fuel, 1 million"},
		"eats memory":            {tiny(grows), module.CauseTrap, "trap: unreachable"},
		"recursion without end":  {recursive, module.CauseTrap, "trap: calls nest too deeply"},
		"junk":                   {tiny(returns("junk")), module.CauseOutput, `returned no JSON but "junk"`},
		"nothing":                {tiny(returns("")), module.CauseOutput, "returned nothing"},
		"half a JSON":            {tiny(returns(`{"idle_target":`)), module.CauseOutput, "returned no JSON"},
		"a code but no reason":   {tiny([]byte{opI32Const, 7}), module.CauseReported, "returned 7 without saying why"},
		"huge output":            {tiny(allocates(2 << 20)), module.CauseOutput, "returned 2097152 bytes; at most 1048576"},
		"more than all memory":   {tiny(allocates(1 << 40)), "", ""},
		"forged offset":          {tiny(outputs(1<<31, 100)), "", ""},
		"lying length":           {tiny(outputs(0, 1<<62)), "", ""},
		"negative length":        {tiny(outputs(8, -1)), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			limits := module.Limits{OutputBytes: 1 << 20}
			switch tc.cause {
			case module.CauseDeadline:
				limits.DecideTime, limits.Fuel = 100*time.Millisecond, math.MaxInt64
			case module.CauseFuel:
				limits.Fuel = 1_000_000
			}
			m := load(t, moduletest.Host(t, limits), tc.guest)
			for range 2 {
				out, err := m.Call(t.Context(), "decide", []byte(`{}`))
				var fault *module.Error
				if !errors.As(err, &fault) {
					t.Fatalf("got %.80q, %v; want a *module.Error", out, err)
				}
				if tc.cause != "" && fault.Cause != tc.cause || !strings.Contains(fault.Text, tc.want) || strings.Contains(fault.Text, "\n") {
					t.Errorf("got %s: %q, want %s: %q", fault.Cause, fault.Text, tc.cause, tc.want)
				}
			}
			if _, err := m.Call(t.Context(), "describe", nil); err != nil {
				t.Errorf("after that, describe: %v", err)
			}
		})
	}
}

func TestGoGuests(t *testing.T) {
	m := theProbe(t)
	for name, tc := range map[string]struct {
		orders string
		cause  module.Cause
		want   string
	}{
		"an error":       {`{"do":"fail"}`, module.CauseReported, "the weather is bad"},
		"a panic":        {`{"do":"panic"}`, module.CauseTrap, "trap: unreachable (panic: boom"},
		"a nil pointer":  {`{"do":"nil"}`, module.CauseTrap, "nil pointer dereference"},
		"exit 3":         {`{"do":"exit","times":3}`, module.CauseExit, "exited with code 3"},
		"exit 0":         {`{"do":"exit"}`, module.CauseExit, "exited with code 0"},
		"all its memory": {`{"do":"eat"}`, module.CauseTrap, "out of memory"},
		"no JSON to it":  {`"x"`, module.CauseReported, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.Call(t.Context(), "decide", decideWith(t, tc.orders))
			var fault *module.Error
			if !errors.As(err, &fault) || fault.Cause != tc.cause || !strings.Contains(fault.Text, tc.want) {
				t.Errorf("got %v, want %s: %q", err, tc.cause, tc.want)
			}
			out, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"propose","then":{"idle_target":3}}`))
			if err != nil || string(out) != `{"idle_target":3}` {
				t.Errorf("after that: %s, %v", out, err)
			}
		})
	}
	if _, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"read"}`)); err != nil {
		t.Errorf("a guest found something of the host: %v", err)
	}
}

func TestHTTPOfAGuest(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request for %s reached the server that is not granted", r.URL)
	}))
	defer other.Close()
	granted := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, other.URL, http.StatusFound)
			return
		}
		fmt.Fprint(w, "hello")
	}))
	defer granted.Close()

	h := moduletest.Host(t, module.Limits{})
	m := moduletest.Load(t, h, probe, granted.URL)
	observe := func(url string) abi.HTTPResponse {
		t.Helper()
		input, err := json.Marshal(abi.ObserveRequest{ABI: 1, Config: abi.Raw(`{"do":"http","url":"` + url + `"}`)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := m.Call(t.Context(), "observe", input)
		if err != nil {
			t.Fatal(err)
		}
		var res abi.HTTPResponse
		if err := json.Unmarshal(out, &res); err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := observe(granted.URL + "/"); res.Status != 200 || string(res.Body) != "hello" {
		t.Errorf("granted: %+v", res)
	}
	for name, url := range map[string]string{"not granted": other.URL, "a redirect to it": granted.URL + "/away"} {
		if res := observe(url); res.Error == nil || res.Error.Kind != "denied" {
			t.Errorf("%s: %+v", name, res)
		}
	}
	out, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"http","url":"`+granted.URL+`"}`))
	if err != nil || string(out) != `{"reason":"denied"}` {
		t.Errorf("decide, which is pure: %s, %v", out, err)
	}
	input := `{"config":{"do":"extism http","url":"` + granted.URL + `"}}`
	if _, err := m.Call(t.Context(), "observe", []byte(input)); err == nil || !strings.Contains(err.Error(), "use http_send") {
		t.Errorf("Extism's own HTTP: %v", err)
	}
	before := h.Stats()
	for url, refused := range map[string]int{granted.URL: 0, other.URL: 1} {
		input, _ := json.Marshal(abi.ObserveRequest{ABI: 1, Config: abi.Raw(`{"do":"http","url":"` + url + `"}`)})
		if _, u, err := m.Measure(t.Context(), "observe", input, m.Grants()); err != nil || u.Requests != 1 || u.Refused != refused {
			t.Errorf("%s: %+v, %v; want one request, refused %d", url, u, err, refused)
		}
	}
	for i, s := range h.Stats() {
		if n := s.Requests - before[i].Requests; s.Export == "observe" && n != 2 {
			t.Errorf("%d requests were counted", n)
		}
	}
	if out, err := m.Call(t.Context(), "observe", []byte(`{"config":{}}`)); err != nil || len(out) != 0 {
		t.Errorf("nothing to observe: %q, %v", out, err)
	}
}

func TestLogOfAGuest(t *testing.T) {
	var log bytes.Buffer
	h, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(t), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	m, err := h.Load(t.Context(), module.Source{Name: "probe", Wasm: guests.Wasm(t, probe)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"log","times":2}`)); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, `msg="line 1" module=probe guest.of=2`) {
		t.Errorf("the log says %s", got)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	m := load(t, moduletest.Host(t, module.Limits{DecideTime: time.Hour, Fuel: math.MaxInt64}), tiny(loops))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := m.Call(ctx, "decide", []byte(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestHammerCalls checks that calls at the same time never share an instance: each gets its own answer.
func TestHammerCalls(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{Instances: 3}), probe)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 5 {
				want := fmt.Sprintf(`{"idle_target":%d}`, 1000*i+j)
				if j == 3 {
					if _, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"panic"}`)); err == nil {
						t.Error("a panic went unseen")
					}
				}
				out, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"propose","then":`+want+`}`))
				if err != nil || string(out) != want {
					t.Errorf("got %s, %v; want %s", out, err, want)
				}
			}
		})
	}
	group.Wait()
}

func TestCloseWaitsForCalls(t *testing.T) {
	h := moduletest.Host(t, module.Limits{DecideTime: 200 * time.Millisecond, Fuel: math.MaxInt64})
	m := load(t, h, tiny(loops))
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(started)
		_, err := m.Call(t.Context(), "decide", []byte(`{}`))
		done <- err
	}()
	<-started
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	var fault *module.Error
	if err := <-done; !errors.Is(err, module.ErrClosed) && !errors.As(err, &fault) {
		t.Errorf("the call under way: %v", err)
	}
	if _, err := m.Call(t.Context(), "decide", []byte(`{}`)); !errors.Is(err, module.ErrClosed) {
		t.Errorf("a call after that: %v", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestSameBytes(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	m := load(t, h, tiny(returns(`{"idle_target":1}`)))
	native := func(string, []byte) ([]byte, error) { return []byte(`{"idle_target":1}`), nil }
	if out := moduletest.SameBytes(t, m, "decide", []byte(`{}`), native); string(out) != `{"idle_target":1}` {
		t.Errorf("got %s", out)
	}
}

// TestHandles checks that later calls of an instance go to its exports directly: should a newer Extism keep the guest elsewhere, decisions
// would take twice as long. The stack that a deep call has made does not stay.
func TestHandles(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	// a long function that calls itself until its memory has grown to the most, 256 calls deep the first time
	down := slices.Concat(slices.Repeat([]byte{opI32Const, 0, opDrop}, 1000), []byte{opI32Const, 1, opMemoryGrow, 0, opI32Const, 0x7f, opI32Eq, opIf, void,
		opElse, opCall, firstOwn + 2, opDrop, opEnd, opI32Const, 0})
	deep := tiny(slices.Concat([]byte{opCall, firstOwn + 2, opDrop}, returns(`{}`)))
	deep.functions = append(deep.functions, function{name: "down", code: down})
	for name, tc := range map[string]struct {
		guest wasm
		want  []int // after each decide; describe came first, through Extism
	}{
		"a small stack": {tiny(returns(`{}`)), []int{1, 1}},
		"a deep stack":  {deep, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, h, tc.guest)
			for i, want := range tc.want {
				if _, err := m.Call(t.Context(), "decide", nil); err != nil {
					t.Fatal(err)
				}
				if n := m.Handles(); n != want {
					t.Errorf("%d handles after call %d, want %d", n, i+1, want)
				}
			}
		})
	}
}
