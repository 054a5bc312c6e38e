package meter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
)

// kernelImports are all functions that Extism offers, with their types.
var kernelImports = []struct {
	name            string
	params, results []byte
}{
	{"alloc", op(i64), op(i64)}, {"free", op(i64), nil}, {"length", op(i64), op(i64)}, {"length_unsafe", op(i64), op(i64)},
	{"memory_bytes", nil, op(i64)}, {"reset", nil, nil},
	{"load_u8", op(i64), op(i32)}, {"load_u64", op(i64), op(i64)}, {"store_u8", op(i64, i32), nil}, {"store_u64", op(i64, i64), nil},
	{"input_set", op(i64, i64), nil}, {"input_length", nil, op(i64)}, {"input_offset", nil, op(i64)},
	{"input_load_u8", op(i64), op(i32)}, {"input_load_u64", op(i64), op(i64)},
	{"output_set", op(i64, i64), nil}, {"output_length", nil, op(i64)}, {"output_offset", nil, op(i64)},
	{"error_set", op(i64), nil}, {"error_get", nil, op(i64)},
	{"config_get", op(i64), op(i64)}, {"var_get", op(i64), op(i64)}, {"var_set", op(i64, i64), nil},
	{"http_request", op(i64, i64), op(i64)}, {"http_status_code", nil, op(i32)}, {"http_headers", nil, op(i64)},
	{"log_trace", op(i64), nil}, {"log_debug", op(i64), nil}, {"log_info", op(i64), nil}, {"log_warn", op(i64), nil}, {"log_error", op(i64), nil},
	{"get_log_level", nil, op(i32)},
}

// kernelGuest is a guest that imports all of them. f returns the index of one by its name.
func kernelGuest(code func(f func(name string) uint32) []byte) []byte {
	p := &program{pages: -1}
	for _, i := range kernelImports {
		p.imported(kernel.Guest, i.name, i.params, i.results)
	}
	index := func(name string) uint32 {
		for i := range p.imports {
			if p.imports[i].name == name {
				return uint32(i)
			}
		}
		panic(name)
	}
	p.add("run", nil, op(i32), op(i64, i64), code(index), constI32(0))
	return p.bytes()
}

// startKernel starts a guest with the kernel in the host, or with Extism's own.
func startKernel(t *testing.T, wasm []byte, ours bool) *extism.Plugin {
	t.Helper()
	o := Options{}
	if ours {
		o.Rename = map[string]string{kernel.Guest: kernel.Namespace}
	}
	metered, err := Rewrite(wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := extism.NewCompiledPlugin(t.Context(), extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: metered}}},
		extism.PluginConfig{RuntimeConfig: wazero.NewRuntimeConfig()}, append(kernel.Functions(), HostFunction()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = compiled.Close(context.Background()) })
	p, err := compiled.Instance(t.Context(), extism.PluginInstanceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryFunctionOfExtismIsOffered(t *testing.T) {
	wasm := kernelGuest(func(func(string) uint32) []byte { return nil })
	for _, ours := range []bool{false, true} { // a function that lacked, or had another type, would be an error
		startKernel(t, wasm, ours)
	}
	for _, i := range kernelImports {
		if !kernel.Offers(i.name) {
			t.Errorf("%s is not offered", i.name)
		}
	}
	ofExtism := slices.DeleteFunc(kernel.Functions(), func(f extism.HostFunction) bool { return f.Namespace != kernel.Namespace })
	if n := len(ofExtism); n != len(kernelImports) {
		t.Errorf("%d functions are offered and %d known", n, len(kernelImports))
	}
}

// TestKernelAnswersAsExtisms holds the two kernels against each other, function by function.
func TestKernelAnswersAsExtisms(t *testing.T) {
	result := func(code ...[]byte) []byte { return slices.Concat(code...) }
	type index = func(string) uint32
	for name, code := range map[string]func(f index) []byte{
		"length of a block": func(f index) []byte { return result(constI64(20), call(f("alloc")), call(f("length"))) },
		"length inside of a block": func(f index) []byte {
			return result(constI64(20), call(f("alloc")), constI64(1), addI64, call(f("length")))
		},
		"length of a freed block": func(f index) []byte {
			return result(constI64(20), call(f("alloc")), op(0x22, 0), call(f("free")), get(0), call(f("length")))
		},
		"length of nothing":   func(f index) []byte { return result(constI64(0), call(f("length"))) },
		"a block of nothing":  func(f index) []byte { return result(constI64(0), call(f("alloc"))) },
		"a block of too much": func(f index) []byte { return result(constI64(1<<40), call(f("alloc"))) },
		"a word": func(f index) []byte {
			return result(constI64(8), call(f("alloc")), op(0x22, 0), constI64(77), call(f("store_u64")), get(0), call(f("load_u64")))
		},
		"a byte": func(f index) []byte {
			return result(constI64(8), call(f("alloc")), op(0x22, 0), constI32(77), call(f("store_u8")), get(0), call(f("load_u8")), op(0xad))
		},
		"a byte outside":      func(f index) []byte { return result(constI64(1<<40), call(f("load_u8")), op(0xad)) },
		"a byte put outside":  func(f index) []byte { return result(constI64(1<<40), constI32(1), call(f("store_u8")), constI64(5)) },
		"a word outside":      func(f index) []byte { return result(constI64(1<<31), call(f("load_u64"))) },
		"a word put outside":  func(f index) []byte { return result(constI64(1<<31), constI64(1), call(f("store_u64")), constI64(5)) },
		"length of the input": func(f index) []byte { return result(call(f("input_length"))) },
		"a word of the input": func(f index) []byte { return result(constI64(0), call(f("input_load_u64"))) },
		"a byte of the input": func(f index) []byte { return result(constI64(3), call(f("input_load_u8")), op(0xad)) },
		"a byte beyond it":    func(f index) []byte { return result(constI64(100), call(f("input_load_u8")), op(0xad)) },
		"the input by its way": func(f index) []byte {
			return result(call(f("input_offset")), constI64(2), addI64, call(f("load_u8")), op(0xad))
		},
		"the input freed":         func(f index) []byte { return result(call(f("input_offset")), call(f("free")), call(f("input_length"))) },
		"the length of its block": func(f index) []byte { return result(call(f("input_offset")), call(f("length"))) },
		"a configuration":         func(f index) []byte { return result(constI64(8), call(f("alloc")), call(f("config_get"))) },
		"a variable":              func(f index) []byte { return result(constI64(8), call(f("alloc")), call(f("var_get"))) },
		"a status":                func(f index) []byte { return result(call(f("http_status_code")), op(0xad)) },
		"headers":                 func(f index) []byte { return result(call(f("http_headers"))) },
		"an error": func(f index) []byte {
			return result(constI64(8), call(f("alloc")), op(0x22, 0), call(f("error_set")), call(f("error_get")), get(0), op(0x51, 0xad))
		},
		"a request": func(f index) []byte {
			return result(constI64(8), call(f("alloc")), constI64(0), call(f("http_request")))
		},
		"what output_set took": func(f index) []byte {
			return result(constI64(8), call(f("alloc")), constI64(8), call(f("output_set")), call(f("output_length")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			// the result becomes the output, as eight bytes
			wasm := kernelGuest(func(f func(string) uint32) []byte {
				return slices.Concat(code(f), set(1), constI64(0), call(f("error_set")), constI64(8), call(f("alloc")), op(0x22, 0),
					get(1), call(f("store_u64")), get(0), constI64(8), call(f("output_set")))
			})
			input := []byte("0123456789")
			_, want, wantErr := startKernel(t, wasm, false).CallWithContext(With(t.Context(), &Meter{}), "run", input)
			memory := kernel.New(input, 1<<20, nil)
			_, _, err := startKernel(t, wasm, true).CallWithContext(kernel.With(With(t.Context(), &Meter{}), memory), "run", nil)
			got, ok := memory.Output()
			if (err == nil) != (wantErr == nil) || err == nil && (!ok || !slices.Equal(got, want)) {
				t.Errorf("it gives %v %v, Extism's %v %v", got, err, want, wantErr)
			}
		})
	}
}

// TestKernelCantBeHeld runs guests that attack the kernel. The first two freeze the whole process with Extism's own, metered or not: a
// block that is its own successor, met inside of the call and after it.
func TestKernelCantBeHeld(t *testing.T) {
	type index = func(string) uint32
	bent := func(f index) []byte { // Extism keeps a block's length eight bytes before it
		return slices.Concat(constI64(16), call(f("alloc")), op(0x22, 0), constI64(8), op(0x7d), constI64(0xfffffff4|16<<32), call(f("store_u64")))
	}
	forever := func(code ...[]byte) []byte { return loop(slices.Concat(code...), br(0)) }
	for name, tt := range map[string]struct {
		code  func(f index) []byte
		holds bool // whether it runs to its deadline
	}{
		"a bent block":               {func(f index) []byte { return slices.Concat(bent(f), constI64(1000), call(f("length")), drop) }, false},
		"a bent block for the host":  {func(f index) []byte { return slices.Concat(bent(f), constI64(1000), call(f("error_set"))) }, false},
		"as many blocks as there go": {func(f index) []byte { return forever(constI64(1), call(f("alloc")), call(f("length")), drop) }, true},
		"large blocks, freed":        {func(f index) []byte { return forever(constI64(15<<20), call(f("alloc")), call(f("free"))) }, true},
		"a flood of messages":        {func(f index) []byte { return forever(constI64(1000), call(f("alloc")), call(f("log_info"))) }, true},
		"words without end":          {func(f index) []byte { return forever(constI64(0), call(f("load_u64")), drop) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := startKernel(t, kernelGuest(tt.code), true)
			memory := kernel.New(nil, 16<<20, func(string, string) {})
			ctx, cancel := context.WithTimeout(kernel.With(With(t.Context(), &Meter{}), memory), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, _, err := p.CallWithContext(ctx, "run", nil)
			if took := time.Since(start); took > 10*time.Second { // what is not held goes on for ever; a busy machine is no failure
				t.Errorf("it took %v", took)
			}
			if errors.Is(err, context.DeadlineExceeded) != tt.holds {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestKernelRefuses(t *testing.T) {
	for name, want := range map[string]string{"var_set": "keep state in the proposal", "http_request": "use http_send"} {
		wasm := kernelGuest(func(f func(string) uint32) []byte {
			code := slices.Concat(constI64(0), constI64(0), call(f(name)))
			if name == "http_request" {
				code = append(code, drop...)
			}
			return code
		})
		ctx := kernel.With(With(t.Context(), &Meter{}), kernel.New(nil, 1<<20, nil))
		if _, _, err := startKernel(t, wasm, true).CallWithContext(ctx, "run", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
