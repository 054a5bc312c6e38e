// Package sdk_test builds a module with each SDK that is not Go's and runs it as the agent would: on the vectors that all codecs pass, and
// through every door of the boundary.
package sdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// sdks are the build scripts; each SDK holds the same test guest, in testdata/codec.
var sdks = []string{"rust", "assemblyscript"}

func forEach(t *testing.T, test func(t *testing.T, name string, wasm []byte)) {
	for _, name := range sdks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name, moduletest.Script(t, "sdk/"+name+"/build.sh", "sdk/"+name+"/testdata/codec"))
		})
	}
}

func TestSDKs(t *testing.T) {
	forEach(t, func(t *testing.T, name string, wasm []byte) {
		t.Run("vectors", func(t *testing.T) { vectors(t, wasm) })
		t.Run("host functions", func(t *testing.T) { hostFunctions(t, name, wasm) })
		t.Run("failures", func(t *testing.T) { failures(t, wasm) })
		if name == "assemblyscript" {
			t.Run("node --test", func(t *testing.T) { nodeHarness(t, wasm) })
		}
	})
}

// order is the configuration of the test guest.
type order struct {
	Kind  string `json:"kind"`
	Input string `json:"input"`
}

func (o order) json(t testing.TB) abi.Raw {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func load(t *testing.T, wasm []byte, hostnames ...string) *module.Module {
	t.Helper()
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "codec", Wasm: wasm, Hostnames: hostnames})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// vectors runs hostfuncs/vectors/codec.
func vectors(t *testing.T, wasm []byte) {
	m := load(t, wasm)
	files, err := filepath.Glob(moduletest.Path("hostfuncs/vectors/codec/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []struct {
			Name, Kind, Input, Expect string
			Valid                     bool
		}
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			input, err := json.Marshal(abi.Snapshot{ABI: abi.Version, Config: order{v.Kind, v.Input}.json(t)})
			if err != nil {
				t.Fatal(err)
			}
			out, err := m.Call(t.Context(), abi.ExportDecide, input)
			var fault *module.Error
			if errors.As(err, &fault) && fault.Cause != module.CauseReported {
				t.Fatalf("%s: %s: %v", v.Kind, v.Name, err)
			}
			var got struct{ State string }
			if err == nil {
				if err := json.Unmarshal(out, &got); err != nil {
					t.Fatal(err)
				}
			}
			if v.Valid != (err == nil) || got.State != v.Expect {
				t.Errorf("%s: %s: valid %v\n got %s, %v\nwant %s", v.Kind, v.Name, v.Valid, got.State, err, v.Expect)
			}
		}
	}
}

// hostFunctions logs and sends from within the guest.
func hostFunctions(t *testing.T, name string, wasm []byte) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s: %s", r.Method, body)
	}))
	defer server.Close()
	m := load(t, wasm, server.URL)
	if out, err := observe(t, m, order{"send", server.URL}); err != nil || string(out) != `"418 POST: ping"` {
		t.Errorf("granted: %s, %v", out, err)
	}
	if out, err := observe(t, m, order{"send", "http://192.0.2.1/"}); err == nil || !strings.Contains(err.Error(), "denied") {
		t.Errorf("not granted: %s, %v", out, err)
	}

	var log bytes.Buffer
	h, err := module.NewHost(module.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Limits: module.Limits{OtherTime: time.Minute, ObserveTime: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	logging, err := h.Load(t.Context(), module.Source{Name: "codec", Wasm: wasm})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := observe(t, logging, order{"log", "hellö, \"agent\""}); err != nil || len(out) != 0 {
		t.Errorf("log: %s, %v", out, err)
	}
	if got := log.String(); !strings.Contains(got, `msg="hellö, \"agent\""`) || !strings.Contains(got, "guest.from="+name) {
		t.Errorf("the log says %s", got)
	}
}

// failures tells what the guest reports by itself from a crash.
func failures(t *testing.T, wasm []byte) {
	m := load(t, wasm)
	for name, tc := range map[string]struct {
		order order
		cause module.Cause
		want  string
	}{
		"reported": {order{"dance", ""}, module.CauseReported, `no order "dance"`},
		"a crash":  {order{"panic", "boom"}, module.CauseTrap, "boom"},
	} {
		_, err := observe(t, m, tc.order)
		var fault *module.Error
		if !errors.As(err, &fault) || fault.Cause != tc.cause || !strings.Contains(fault.Text, tc.want) {
			t.Errorf("%s: %v, want %s: %q", name, err, tc.cause, tc.want)
		}
	}
	if out, err := observe(t, m, order{"nothing", ""}); err != nil || len(out) != 0 {
		t.Errorf("nothing to observe: %q, %v", out, err)
	}
	if out, err := m.Call(t.Context(), abi.ExportDecide, []byte("junk")); err == nil || !strings.HasPrefix(err.Error(), "codec: decide: decide: input: ") {
		t.Errorf("junk: %s, %v", out, err)
	}
}

func observe(t *testing.T, m *module.Module, o order) ([]byte, error) {
	t.Helper()
	input, err := json.Marshal(abi.ObserveRequest{ABI: abi.Version, Config: o.json(t)})
	if err != nil {
		t.Fatal(err)
	}
	return m.Call(t.Context(), abi.ExportObserve, input)
}
