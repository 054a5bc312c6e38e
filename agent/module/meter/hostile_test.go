package meter

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/millwright-ci/millwright/agent/internal/heartbeat"
)

// hostile are programs that never end, each in its own way. Their export is run.
func hostile() map[string]*program {
	all := map[string]*program{}
	add := func(name string, pages int, code ...[]byte) *program {
		all[name] = &program{pages: pages}
		all[name].add("run", nil, nil, op(i32, i32), code...)
		return all[name]
	}
	forever := func(code ...[]byte) []byte { return loop(slices.Concat(code...), br(0)) }
	fill := func(n int32) []byte { return slices.Concat(constI32(0), constI32(1), constI32(n), memoryFill) }
	const megabyte = 1 << 20

	add("endless loop", -1, forever())
	add("endless loop over nothing", -1, forever(repeat(100, op(0x01))))
	add("loop in loops", -1, forever(loop(loop(constI32(0), brIf(0)), br(1))))
	add("loop by br_table", -1, forever(constI32(7), op(0x0e, 1, 0, 0)))
	add("loop whose body is long", -1, forever(repeat(100_000, get(0), set(0))))
	add("start that loops", -1).start = 1
	all["start that loops"].add("", nil, nil, nil, forever())

	p := add("recursion twice", -1)
	twice := uint32(1)
	p.funcs[0].code = slices.Concat(constI32(60), call(twice))
	p.add("", op(i32), nil, nil, get(0), op(0x45, 0x04, 0x40, 0x0f, 0x0b), get(0), constI32(1), subI32, call(twice), get(0), constI32(1), subI32, call(twice))

	p = add("recursion before a loop", -1)
	p.funcs[0].code = slices.Concat(constI32(60), call(1))
	p.add("", op(i32), nil, nil, get(0), op(0x45), brIf(0), get(0), constI32(1), subI32, call(1), get(0), constI32(1), subI32, call(1), loop())
	p = add("recursion before a loop, at once", -1)
	p.funcs[0].code = slices.Concat(call(1))
	p.add("", nil, nil, nil, block(call(1), call(1), loop(op(0x01))))
	p = add("recursion in a loop", -1)
	p.funcs[0].code = slices.Concat(constI32(60), call(1))
	p.add("", op(i32), nil, nil, loop(get(0), op(0x45), brIf(1), get(0), constI32(1), subI32, op(0x22, 0), call(1), br(0)))

	p = add("calls of calls", -1) // ten functions that call the next one a thousand times each
	p.funcs[0].code = call(1)
	for i := range uint32(10) {
		p.add("", nil, nil, nil, repeat(1000, call(min(i+2, 11))))
	}
	p.add("", nil, nil, nil, repeat(20, get(0), drop))
	p.funcs[len(p.funcs)-1].locals = op(i32)

	add("fill, straight", 1024, repeat(1500, fill(64*megabyte)))
	add("fill, straight and of unknown length", 1024, repeat(1500, constI32(0), constI32(1), get(0), op(0x45), constI32(26), op(0x74), memoryFill))
	add("fill in a loop", 1024, forever(fill(16*megabyte)))
	add("fill of a kilobyte, straight", 1, constI32(0), set(1), forever(repeat(2_000, get(0), get(0), constI32(1000), memoryFill)))
	add("copy, straight", 1024, repeat(1500, constI32(1), constI32(0), constI32(64*megabyte-1), memoryCopy))
	p = add("init in a loop", 16, forever(constI32(0), constI32(0), constI32(megabyte), op(0xfc, 0x08, 0, 0)))
	p.datas = [][]byte{append(append([]byte{1}, leb(megabyte)...), make([]byte, megabyte)...)}
	add("grow by one", 1, forever(constI32(1), memoryGrow, drop)).maxPages = 512 // as a driver may
	add("grow by too much", 1, forever(constI32(-1), memoryGrow, drop))

	p = add("table growth", -1, forever(op(0xd0, 0x70), constI32(1000), op(0xfc, 0x0f, 0), drop))
	p.tables = [][]byte{{0x70, 0, 1}}
	p = add("table fill and copy", -1, forever(constI32(0), op(0xd0, 0x70), constI32(200_000), op(0xfc, 0x11, 0), constI32(1), constI32(0), constI32(199_999), op(0xfc, 0x0e, 0, 0)))
	p.tables = [][]byte{append([]byte{0x70, 0}, leb(200_000)...)}
	p = add("ref.func, straight", -1, forever(repeat(50_000, op(0xd2, 0), drop)))
	p.elements = [][]byte{{3, 0, 1, 0}}

	add("huge br_table", -1, forever(get(0), constI32(1), addI32, op(0x22, 0), append(append(op(0x0e), leb(10_000)...), make([]byte, 10_001)...)))
	add("deep nesting", -1, forever(slices.Concat(repeat(3000, op(0x02, 0x40)), get(0), constI32(0x1fff), op(0x71), table3000(), repeat(3000, op(0x0b, 0x01)))))
	hosted := func(name, function string, params []byte, code func(f uint32) []byte) {
		p := &program{pages: 256}
		f := p.imported("wasi_snapshot_preview1", function, params, op(i32))
		p.add("run", nil, nil, op(i32, i32), code(f))
		all[name] = p
	}
	hosted("random bytes", "random_get", op(i32, i32), func(f uint32) []byte {
		return forever(constI32(0), constI32(16*megabyte), call(f), drop)
	})
	hosted("random bytes by the table", "random_get", op(i32, i32), func(f uint32) []byte {
		return forever(constI32(0), constI32(16*megabyte), constI32(0), op(0x11, 0, 0), drop)
	})
	all["random bytes by the table"].tables = [][]byte{{0x70, 0, 1}}
	all["random bytes by the table"].elements = [][]byte{{0, 0x41, 0, 0x0b, 1, 0}}
	hosted("a million writes of 16 MB", "fd_write", op(i32, i32, i32, i32), func(f uint32) []byte {
		fillTable := loop(get(0), constI32(16*megabyte), op(0x36, 2, 4), get(0), constI32(8), subI32, op(0x22, 0), brIf(0))
		return slices.Concat(constI32(8*megabyte-8), set(0), fillTable, forever(constI32(2), constI32(8), constI32(megabyte-1), constI32(0), call(f), drop))
	})
	hosted("a long sleep", "poll_oneoff", op(i32, i32, i32, i32), func(f uint32) []byte {
		return slices.Concat(constI32(24), constI64(1<<62), op(0x37, 3, 0), forever(constI32(0), constI32(megabyte), constI32(1), constI32(0), call(f), drop))
	})
	hosted("looking at the clock", "clock_time_get", op(i32, i64, i32), func(f uint32) []byte {
		return forever(constI32(1), constI64(0), constI32(0), call(f), drop)
	})
	return all
}

// table3000 is a br_table of 3000 labels.
func table3000() []byte {
	out := append(op(0x0e), leb(2999)...)
	for i := range uint32(3000) {
		out = append(out, leb(i)...)
	}
	return out
}

// TestEndsAtTheDeadline runs what never ends, beside a goroutine that wants to run every millisecond. A garbage collection is under way
// all the time: that is what an unmetered guest stops, and everybody else with it.
func TestEndsAtTheDeadline(t *testing.T) {
	const deadline = 200 * time.Millisecond
	allowed := 10 * time.Second // a busy machine is no failure: what is not held never ends, and the benchmark tells the worst
	for name, p := range hostile() {
		t.Run(name, func(t *testing.T) {
			over, late := runHostile(t, p.bytes(), deadline)
			if over > allowed || late > allowed {
				t.Errorf("it ran %v beyond its deadline, and the heartbeat was late by %v", over, late)
			}
		})
	}
}

// BenchmarkHostile prints the worst that was seen:
//
//	go test -bench Hostile -benchtime 1x -run '^$' ./agent/module/meter
func BenchmarkHostile(b *testing.B) {
	programs := hostile()
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		p := programs[name]
		b.Run(name, func(b *testing.B) {
			var over, late time.Duration
			for b.Loop() {
				o, l := runHostile(b, p.bytes(), 200*time.Millisecond)
				over, late = max(over, o), max(late, l)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(over.Microseconds())/1e3, "over-ms")
			b.ReportMetric(float64(late.Microseconds())/1e3, "late-ms")
		})
	}
}

// runHostile returns how long after its deadline the program ended, and how late a heartbeat of a millisecond was at worst.
func runHostile(t testing.TB, wasm []byte, deadline time.Duration) (over, late time.Duration) {
	t.Helper()
	metered, err := Rewrite(wasm, Options{})
	if err != nil {
		t.Fatal(err)
	}
	rt := newRuntime(t, t.Context())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), rt)
	compiled, err := rt.CompileModule(t.Context(), metered)
	if err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	beats := heartbeat.Start()
	go collect(stop)
	ctx, cancel := context.WithTimeout(With(t.Context(), &Meter{}), deadline)
	defer cancel()
	end := time.Now().Add(deadline)
	mod, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig())
	if err == nil {
		_, err = mod.ExportedFunction("run").Call(ctx)
	}
	over = time.Since(end)
	close(stop)
	late = beats()
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrStack) {
		t.Errorf("it ended with %v", err)
	}
	return over, late
}

func collect(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			runtime.GC()
		}
	}
}
