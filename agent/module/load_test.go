package module_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(closing{m}) }

// closing closes what tests share when all have run.
type closing struct{ *testing.M }

func (c closing) Run() int {
	code := c.M.Run()
	if shared.host != nil {
		if err := shared.host.Close(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// shared is what theProbe gives.
var shared struct {
	host  *module.Host
	probe *module.Module
}

// theProbe is the probe with the limits of tests and nothing granted, which is loaded once: that takes seconds with the race detector. Tests
// that share it do not run side by side.
func theProbe(t testing.TB) *module.Module {
	t.Helper()
	if shared.probe != nil {
		return shared.probe
	}
	h, err := module.NewHost(module.Options{
		CacheDir: guests.CompilationCache(t), Logger: slog.New(slog.DiscardHandler),
		Limits: module.Limits{DecideTime: time.Minute, ObserveTime: time.Minute, OtherTime: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	shared.host, shared.probe = h, moduletest.Load(t, h, probe)
	h.Settle() // now, and not while another test counts native code
	return shared.probe
}

const describesItself = `{"abi":1,"kind":"policy","name":"tiny"}`

// tiny is a policy of a few hundred bytes whose decide is the given code.
func tiny(decide []byte) wasm {
	return wasm{functions: []function{{name: "describe", code: returns(describesItself)}, {name: "decide", code: decide}}}
}

func load(t testing.TB, h *module.Host, w wasm) *module.Module {
	t.Helper()
	m, err := h.Load(t.Context(), module.Source{Name: "tiny.wasm", Wasm: w.bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLoad(t *testing.T) {
	m := load(t, moduletest.Host(t, module.Limits{}), tiny(returns(`{}`)))
	if d := m.Describe(); d.Name != "tiny" || m.Name() != "tiny" || m.Builtin() || len(m.Hash()) != 64 || !m.Exports("decide") || m.Exports("observe") {
		t.Errorf("loaded %+v", d)
	}
}

// What runs before the first call is metered like a call: AssemblyScript's modules are made so.
func TestLoadStartFunction(t *testing.T) {
	counting := func(to int64) []byte { // a loop that lasts so many rounds
		return slices.Concat([]byte{0x03, void, 0x20, 0, opI64Const, 1, 0x7c, 0x22, 0, opI64Const}, sleb(to), []byte{0x54, 0x0d, 0, opEnd})
	}
	w := tiny(returns(`{}`))
	w.start = counting(100_000)
	load(t, moduletest.Host(t, module.Limits{}), w)
	w.start = counting(1 << 40)
	_, err := moduletest.Host(t, module.Limits{Fuel: 1_000_000}).Load(t.Context(), module.Source{Name: "tiny.wasm", Wasm: w.bytes()})
	if err == nil || !strings.Contains(err.Error(), "fuel") {
		t.Errorf("a start function without end: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	good := tiny(returns(`{}`)).bytes()
	describing := func(as string) []byte {
		w := tiny(returns(`{}`))
		w.functions[0].code = returns(as)
		return w.bytes()
	}
	parameter := tiny(returns(`{}`))
	parameter.functions[1].params = 1
	stranger := tiny(returns(`{}`))
	stranger.imports = []string{"env", "open_file"}
	refill := tiny(returns(`{}`))
	refill.imports = []string{"millwright", "fuel"}
	unknown := tiny(returns(`{}`))
	unknown.imports = []string{"millwright", "reboot"}
	extismUnknown := tiny(returns(`{}`))
	extismUnknown.imports = []string{"extism:host/env", "reboot"}
	hungry := tiny(returns(`{}`))
	hungry.minPages = 257

	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"empty":                   {nil, "is not WebAssembly"},
		"text form":               {[]byte("(module)"), "is not WebAssembly"},
		"component":               {[]byte("\x00asm\x0d\x00\x01\x00"), "is a WebAssembly component, not a core module"},
		"another version":         {[]byte("\x00asm\x02\x00\x00\x00"), "is WebAssembly of version 2"},
		"cut":                     {good[:len(good)/2], "is broken WebAssembly"},
		"broken code":             {append(bytes.Clone(good[:len(good)-2]), 0xff, 0xff), "can't be metered"},
		"badly typed code":        {tiny([]byte{opI64Const, 0}).bytes(), "does not compile"},
		"nothing in it":           {[]byte("\x00asm\x01\x00\x00\x00"), "does not export describe, decide, which a policy must"},
		"missing export":          {wasm{functions: []function{{name: "describe", code: returns(describesItself)}}}.bytes(), "does not export decide"},
		"missing driver exports":  {wasm{functions: []function{{name: "create", code: traps}}}.bytes(), "does not export describe, validate, list, remove, which a driver must"},
		"wrong signature":         {parameter.bytes(), "exports decide with 1 parameters"},
		"unknown import":          {stranger.bytes(), "imports env.open_file, which the host does not offer"},
		"unknown host function":   {unknown.bytes(), "imports millwright.reboot, which the host does not offer"},
		"the meter's function":    {refill.bytes(), "imports millwright.fuel, which the host does not offer"},
		"unknown Extism function": {extismUnknown.bytes(), "reboot"},
		"too much memory":         {hungry.bytes(), "wants 16448 KB of memory from the start and may have 16384 KB"},
		"another ABI":             {describing(`{"abi":2,"kind":"policy","name":"tiny"}`), "speaks version 2 of the ABI and this agent speaks version 1"},
		"no ABI":                  {describing(`{"kind":"policy","name":"tiny"}`), "speaks version 0 of the ABI"},
		"another kind":            {describing(`{"abi":1,"kind":"driver","name":"tiny"}`), `describes itself as a "driver"`},
		"bad name":                {describing(`{"abi":1,"kind":"policy","name":"../etc"}`), `has the name "../etc"`},
		"describes junk":          {describing(`hello`), "returned no JSON"},
		"describes nothing":       {describing(``), "returned nothing"},
		"traps at once":           {wasm{functions: []function{{name: "describe", code: traps}, {name: "decide", code: traps}}}.bytes(), "trap: unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			h := moduletest.Host(t, module.Limits{})
			_, err := h.Load(t.Context(), module.Source{Name: "bad.wasm", Wasm: tc.wasm})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "module bad.wasm: ") {
				t.Errorf("got %v\nwant %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the refusal has several lines: %v", err)
			}
		})
	}
}

func TestLoadRefusesABadGrant(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	_, err := h.Load(t.Context(), module.Source{Name: "a.wasm", Wasm: tiny(returns(`{}`)).bytes(), Hostnames: []string{"*"}})
	if err == nil || !strings.Contains(err.Error(), "names no host") {
		t.Errorf("got %v", err)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(tiny(returns(`{}`)).bytes())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { module.Inspect(data) })
}

func TestBuiltinWithoutGuests(t *testing.T) {
	dist := fstest.MapFS{"dist/README.md": {}}
	empty, err := module.NewHost(module.Options{Builtins: []fs.FS{dist}})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close(t.Context())
	_, err = empty.Builtin(t.Context(), "periods")
	if want := "this binary was built without its modules; run `go tool task guests build`"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without guests: %v, want %q", err, want)
	}
	if _, err := empty.BuiltinChain(t.Context()); err == nil {
		t.Error("a chain came from nowhere")
	}
}

func TestBuiltinIsLoadedOnce(t *testing.T) {
	h := builtinHost(t)
	const callers = 8
	got := make(chan *module.Module, callers)
	for range callers {
		go func() {
			m, err := h.Builtin(t.Context(), "periods")
			if err != nil {
				t.Error(err)
			}
			got <- m
		}()
	}
	first := <-got
	for range callers - 1 {
		if m := <-got; m != first {
			t.Error("a second one was loaded")
		}
	}
	if first == nil || !first.Builtin() || first.Describe().Position != 10 {
		t.Errorf("loaded %+v", first)
	}
	if _, err := h.Builtin(t.Context(), "../periods"); err == nil || !strings.Contains(err.Error(), "there are idlescale, instances, periods") {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
}

// policiesDist is what a release embeds of the policies, compiled for the tests.
func policiesDist(t testing.TB) fs.FS {
	t.Helper()
	dist := fstest.MapFS{}
	for _, name := range module.BuiltinPolicies {
		dist["dist/"+name+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, "policies/"+name)}
	}
	return dist
}

// builtinHost is a host whose built-in modules are the policies.
func builtinHost(t testing.TB) *module.Host {
	t.Helper()
	h, err := module.NewHost(module.Options{
		CacheDir: guests.CompilationCache(t), Builtins: []fs.FS{policiesDist(t)}, Logger: slog.New(slog.DiscardHandler),
		Limits: module.Limits{DecideTime: time.Minute, OtherTime: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestCacheFolderIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	h, err := module.NewHost(module.Options{CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := module.NewHost(module.Options{CacheDir: file}); err == nil {
		t.Error("a file was taken for a folder")
	}
}
