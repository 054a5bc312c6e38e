package meter

import (
	"errors"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// meterOf rewrites and starts a program.
func meterOf(t *testing.T, p *program) api.Module {
	t.Helper()
	metered, err := Rewrite(p.bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return instantiate(t, t.Context(), metered)
}

func TestFuel(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		want int64
	}{
		{"nothing", nil, 0},
		{"blocks, nops and ends", slices.Concat(block(block(op(0x01))), loop(op(0x01))), 0},
		{"straight", repeat(10, constI32(1), drop), 20},
		{"what lies behind a return", slices.Concat(ret, repeat(10, constI32(1), drop)), 1},
		{"what lies behind a branch", block(constI32(1), brIf(0), repeat(10, constI32(1), drop)), 2},
		{"what lies behind a branch not taken", block(constI32(0), brIf(0), repeat(10, constI32(1), drop)), 22},
		{"what lies behind a block left early", slices.Concat(block(br(0)), repeat(10, constI32(1), drop)), 21},
		{"a branch to the function's end", slices.Concat(constI32(1), brIf(0), repeat(10, constI32(1), drop)), 2},
		{"the first arm", slices.Concat(constI32(1), op(0x04, 0x40), constI32(1), drop, op(0x05), repeat(10, constI32(1), drop), op(0x0b)), 4},
		{"the second arm", slices.Concat(constI32(0), op(0x04, 0x40), constI32(1), drop, op(0x05), repeat(10, constI32(1), drop), op(0x0b)), 22},
		{"a loop of ten rounds", slices.Concat(constI32(10), set(0), loop(get(0), constI32(1), subI32, op(0x22, 0), brIf(0))), 2 + 50},
		{"a loop left in its middle", block(loop(constI32(1), brIf(1), br(0))), 2},
		{"a br_table", slices.Concat(block(block(constI32(0), op(0x0e, 1, 0, 1)), constI32(1), drop)), 4},
		{"64 KB filled", slices.Concat(constI32(0), constI32(1), constI32(65536), memoryFill), 4 + 8192},
		{"a little filled", slices.Concat(constI32(0), constI32(1), constI32(100), memoryFill), 4 + 12},
		{"as much as a local says", slices.Concat(constI32(0), constI32(1), constI32(80), set(0), get(0), memoryFill), 6 + 10},
		{"copied", slices.Concat(constI32(8), constI32(0), constI32(80), memoryCopy), 4 + 10},
		{"a page grown", slices.Concat(constI32(1), memoryGrow, drop), 3 + 8192},
		{"a page that there is no room for", slices.Concat(constI32(5000), memoryGrow, drop), 3 + 5000*8192},
		{"no page at all", slices.Concat(constI32(0), memoryGrow, drop), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &program{pages: 1}
			p.add("run", nil, nil, op(i32), tt.code)
			mod := meterOf(t, p)
			for range 2 { // and again the same in the same instance
				m := &Meter{}
				if _, err := mod.ExportedFunction("run").Call(With(t.Context(), m)); err != nil {
					t.Fatal(err)
				}
				if m.Used() != tt.want || m.Last() != tt.want {
					t.Errorf("it used %d, %d of it last; want %d", m.Used(), m.Last(), tt.want)
				}
			}
		})
	}
}

func TestBudget(t *testing.T) {
	p := &program{pages: -1}
	p.add("run", op(i32), nil, nil, loop(get(0), constI32(1), subI32, op(0x22, 0), brIf(0)))
	mod := meterOf(t, p)
	const rounds = 12_345
	for _, tt := range []struct {
		budget int64
		ok     bool
	}{{5 * rounds, true}, {5*rounds - 1, false}, {1, false}, {5*rounds + 1, true}, {0, true}} {
		m := &Meter{Budget: tt.budget}
		_, err := mod.ExportedFunction("run").Call(With(t.Context(), m), rounds)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrFuel) {
			t.Errorf("on a budget of %d it ended with %v", tt.budget, err)
		}
		if want := int64(5 * rounds); tt.ok && m.Used() != want || !tt.ok && m.Used() > tt.budget {
			t.Errorf("of a budget of %d it used %d", tt.budget, m.Used())
		}
	}
}

// TestSeveralExportsInOneCall is what Extism does: it initializes a guest in its first call.
func TestSeveralExportsInOneCall(t *testing.T) {
	p := &program{pages: -1}
	p.add("init", nil, nil, nil, repeat(50, constI32(1), drop))
	p.add("run", nil, nil, nil, repeat(40, constI32(1), drop))
	mod := meterOf(t, p)
	m := &Meter{Budget: 180}
	for _, name := range []string{"init", "run"} {
		if _, err := mod.ExportedFunction(name).Call(With(t.Context(), m)); err != nil {
			t.Fatal(err)
		}
	}
	if m.Used() != 180 || m.Last() != 80 {
		t.Errorf("it used %d, %d of it last", m.Used(), m.Last())
	}
	if _, err := mod.ExportedFunction("run").Call(With(t.Context(), m)); !errors.Is(err, ErrFuel) {
		t.Errorf("with an empty budget it ended with %v", err)
	}
}

func TestStack(t *testing.T) {
	endless := func(own, passed []byte, body ...[]byte) *program {
		p := &program{pages: 1, tables: [][]byte{{0x70, 0, 1}}, elements: [][]byte{{0, 0x41, 0, 0x0b, 1, 0}}}
		p.add("", passed, passed, own, body...)
		var args, rest []byte
		for _, v := range passed {
			args = append(args, map[byte][]byte{i32: constI32(1), i64: constI64(1), 0x7b: append(constI64(1), 0xfd, 0x12)}[v]...)
			rest = append(rest, drop...)
		}
		p.add("run", nil, nil, nil, args, call(0), rest)
		return p
	}
	var all []byte
	for i := range uint32(100) {
		all = append(all, get(i)...)
	}
	for name, p := range map[string]*program{
		"direct":         endless(nil, nil, call(0)),
		"by the table":   endless(nil, nil, constI32(0), op(0x11, 0, 0)),
		"by two":         endless(nil, nil, call(1)),
		"many arguments": endless(nil, slices.Repeat(op(i64), 100), all, call(0)),
		"many vectors":   endless(nil, slices.Repeat(op(0x7b), 100), all, call(0)),
		"many operands":  endless(op(i32), nil, repeat(1500, get(0), op(0x28, 0, 0), op(0x45)), call(0), repeat(1500, drop)),
	} {
		t.Run(name, func(t *testing.T) {
			mod := meterOf(t, p)
			m := &Meter{}
			_, err := mod.ExportedFunction("run").Call(With(t.Context(), m))
			if !errors.Is(err, ErrStack) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// TestStackIsGivenBack calls deeply and returns, in each way that a function can be left, many times.
func TestStackIsGivenBack(t *testing.T) {
	p := &program{pages: -1}
	p.add("run", op(i32), op(i32), nil, // calls itself as often as its argument says
		get(0), op(0x45, 0x04, 0x40), constI32(7), ret, op(0x0b), // by a return
		get(0), constI32(3), op(0x71), op(0x45, 0x04, 0x40), get(0), constI32(1), subI32, call(0), br(1), op(0x0b), // by a branch
		get(0), constI32(3), op(0x71), constI32(1), op(0x46, 0x04, 0x40),
		get(0), constI32(1), subI32, call(0), constI32(0), op(0x0e, 0, 1), op(0x0b), // by a table
		get(0), constI32(1), subI32, call(0)) // and at its end
	mod := meterOf(t, p)
	for range 100 {
		m := &Meter{StackBytes: 5000 * 400}
		got, err := mod.ExportedFunction("run").Call(With(t.Context(), m), 4000)
		if err != nil || got[0] != 7 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	// what a call leaves on its account would add up within one call
	p.add("often", nil, nil, op(i32), constI32(1000), set(0), loop(constI32(100), call(0), drop, get(0), constI32(1), subI32, op(0x22, 0), brIf(0)))
	if _, err := meterOf(t, p).ExportedFunction("often").Call(With(t.Context(), &Meter{StackBytes: 110 * 400})); err != nil {
		t.Error(err)
	}
	if _, err := meterOf(t, p).ExportedFunction("run").Call(With(t.Context(), &Meter{StackBytes: 110 * 400}), 4000); !errors.Is(err, ErrStack) {
		t.Errorf("4000 calls deep it ended with %v", err)
	}
}
