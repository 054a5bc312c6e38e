package meter

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/millwright-ci/millwright/agent/internal/guests"
)

// tight are loops that do next to nothing but loop or call, the worst that metering can meet. Each takes how often.
func tight() map[string]*program {
	all := map[string]*program{}
	make := func(name string, pages int) *program {
		all[name] = &program{pages: pages}
		return all[name]
	}
	counted := func(body ...[]byte) []byte { // local 0 counts down
		return loop(slices.Concat(body...), get(0), constI32(1), subI32, op(0x22, 0), brIf(0))
	}
	make("empty loop", -1).add("run", op(i32), op(i32), nil, counted(), get(0))
	make("sum", -1).add("run", op(i32), op(i32), op(i32), counted(get(1), get(0), addI32, set(1)), get(1))
	make("hash", -1).add("run", op(i32), op(i32), op(i32),
		counted(get(1), get(0), op(0x73), constI32(16777619), op(0x6c), set(1)), get(1))
	// bytes: sums 64 KB over and over
	make("load bytes", 1).add("run", op(i32), op(i32), op(i32),
		counted(get(1), get(0), constI32(0xffff), op(0x71), op(0x2d, 0, 0), addI32, set(1)), get(1))
	make("store words", 1).add("run", op(i32), op(i32), nil,
		counted(get(0), constI32(0xfff8), op(0x71), get(0), op(0x36, 2, 0)), get(0))
	p := make("calls of a leaf", -1)
	leaf := p.add("", op(i32), op(i32), nil, get(0), constI32(3), op(0x6c))
	p.add("run", op(i32), op(i32), op(i32), counted(get(1), call(leaf), get(0), addI32, set(1)), get(1))
	p = make("fib", -1)
	// fib of local 0, which the wrapper derives from nothing: 27 takes about 830,000 calls
	fib := uint32(0)
	fib = p.add("", op(i32), op(i32), nil,
		get(0), constI32(2), op(0x48), op(0x04, i32), get(0), op(0x05),
		get(0), constI32(1), subI32, call(fib), get(0), constI32(2), subI32, call(fib), addI32, op(0x0b))
	p.add("run", op(i32), op(i32), nil, constI32(27), call(fib))
	make("branches", -1).add("run", op(i32), op(i32), op(i32),
		counted(get(0), constI32(1), op(0x71), op(0x04, 0x40), get(1), constI32(3), addI32, set(1), op(0x05), get(1), constI32(5), op(0x6c), set(1), op(0x0b),
			get(0), constI32(2), op(0x71), op(0x04, 0x40), get(1), constI32(3), op(0x73), set(1), op(0x0b)), get(1))
	return all
}

// BenchmarkTight compares loops that do next to nothing else, metered and not:
//
//	go test -bench Tight -run '^$' ./agent/module/meter
func BenchmarkTight(b *testing.B) {
	programs := tight()
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		b.Run(name, func(b *testing.B) {
			compare(b, programs[name].bytes(), func(ctx context.Context, mod api.Module) error {
				_, err := mod.ExportedFunction("run").Call(ctx, 1_000_000)
				return err
			})
		})
	}
}

// BenchmarkRewrite is what metering adds to the load of a Go guest:
//
//	go test -bench Rewrite -run '^$' ./agent/module/meter
func BenchmarkRewrite(b *testing.B) {
	wasm := guests.Wasm(b, "policies/idlescale")
	var metered []byte
	for b.Loop() {
		var err error
		if metered, err = Rewrite(wasm, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(wasm)))
	b.ReportMetric(float64(len(wasm))/(1<<20), "MB")
	b.ReportMetric(float64(len(metered))/float64(len(wasm)), "size-ratio")
}

// BenchmarkCompileAtTheLimit is what the compiler takes at most for one function, in the shapes that it finds hardest:
//
//	go test -bench CompileAtTheLimit -benchtime 1x -run '^$' ./agent/module/meter
func BenchmarkCompileAtTheLimit(b *testing.B) {
	for name, shape := range map[string]func(n int) (locals, code []byte){
		"branches": func(n int) ([]byte, []byte) { return op(i32), repeat(n, get(0), brIf(0)) },
		"nested ifs": func(n int) ([]byte, []byte) {
			return op(i32), slices.Concat(repeat(n, get(0), op(0x04, 0x40)), constI32(1), set(0), repeat(n, op(0x0b)))
		},
		"loops that change locals": func(n int) ([]byte, []byte) {
			var code []byte
			for i := range n {
				code = slices.Concat(code, loop(get(uint32(i)), get(uint32((i+1)%n)), addI32, append(op(0x22), leb(uint32(i))...), brIf(0)))
			}
			return slices.Repeat(op(i32), n), loop(code, br(0))
		},
		"fills": func(n int) ([]byte, []byte) { return op(i32), repeat(n, get(0), get(0), get(0), memoryFill) },
		"loads": func(n int) ([]byte, []byte) { return op(i32), repeat(n, get(0), op(0x28, 0, 0), set(0)) },
	} {
		b.Run(name, func(b *testing.B) {
			var largest []byte
			for n := 100; ; n += n / 10 {
				p := &program{pages: 1}
				locals, code := shape(n)
				p.add("run", nil, nil, locals, code)
				metered, err := Rewrite(p.bytes(), Options{})
				if err != nil {
					break
				}
				largest = metered
			}
			for b.Loop() {
				compiled, err := newRuntime(b, b.Context()).CompileModule(b.Context(), largest)
				if err != nil {
					b.Fatal(err)
				}
				_ = compiled.Close(b.Context())
			}
			b.ReportMetric(float64(len(largest))/1024, "KB")
		})
	}
}

// compare runs the module as it is and metered, in turns, and reports the best times and their ratio.
func compare(b *testing.B, wasm []byte, run func(ctx context.Context, mod api.Module) error) {
	b.Helper()
	metered, err := Rewrite(wasm, Options{})
	if err != nil {
		b.Fatal(err)
	}
	var best [2]time.Duration
	var mods [2]api.Module
	for i, code := range [][]byte{wasm, metered} {
		mods[i] = instantiate(b, b.Context(), code)
	}
	m := &Meter{}
	for b.Loop() {
		for i, mod := range mods {
			*m = Meter{}
			start := time.Now()
			if err := run(With(b.Context(), m), mod); err != nil {
				b.Fatal(err)
			}
			if d := time.Since(start); best[i] == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(best[0].Nanoseconds())/1e3, "plain-µs")
	b.ReportMetric(float64(best[1].Nanoseconds())/1e3, "metered-µs")
	b.ReportMetric(float64(best[1])/float64(best[0]), "ratio")
	b.ReportMetric(float64(m.Used()), "fuel")
}

// compiledOnce holds what tests have compiled: half of their time would go by with the functions of the host.
var compiledOnce = wazero.NewCompilationCache()

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// instantiate runs code in a runtime of its own, with the host's side of metering.
func instantiate(t testing.TB, ctx context.Context, code []byte) api.Module {
	t.Helper()
	rt := newRuntime(t, ctx)
	mod, err := rt.InstantiateWithConfig(With(ctx, &Meter{}), code, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(fmt.Errorf("instantiate: %w", err))
	}
	return mod
}

func newRuntime(t testing.TB, ctx context.Context) wazero.Runtime {
	t.Helper()
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(1024)
	if _, ok := t.(*testing.T); ok { // a benchmark's runtimes share nothing
		config = config.WithCompilationCache(compiledOnce)
	}
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() {
		if err := rt.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	_, err := rt.NewHostModuleBuilder(Module).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(Refill), []api.ValueType{api.ValueTypeI64, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}).
		Export(Name).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}
