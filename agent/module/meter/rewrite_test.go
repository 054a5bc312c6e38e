package meter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// everything uses each thing that the rewriting moves: functions that are called, imported, exported, started, put into tables in all
// ways that the format has, and taken as references.
func everything() *program {
	p := &program{pages: 1, maxPages: 3, tables: [][]byte{{0x70, 0, 8}, {0x70, 1, 8, 9}, {0x6f, 0, 2}}}
	double := p.imported("env", "double", op(i32), op(i32))
	p.imported("env", "unused", nil, nil)
	triple := p.add("triple", op(i32), op(i32), nil, get(0), constI32(3), op(0x6c))
	pair := p.add("pair", op(i32), op(i32, i64), nil, // several results, and a return among blocks
		get(0), op(0x04, 0x40), block(constI32(1), constI64(2), ret), op(0x0b), constI32(3), constI64(4))
	p.globals = [][]byte{
		{i32, 1, 0x41, 7, 0x0b}, {0x70, 0, 0xd2, byte(triple), 0x0b}, {0x6f, 0, 0xd0, 0x6f, 0x0b},
	}
	p.add("indirect", op(i32, i32), op(i32), nil, get(0), get(1), op(0x11, byte(p.typ(op(i32), op(i32))), 0))
	p.add("indirect1", op(i32, i32), op(i32), nil, get(0), get(1), op(0x11, byte(p.typ(op(i32), op(i32))), 1))
	p.add("direct", op(i32), op(i32), nil, get(0), call(double), call(triple))
	p.add("reference", op(i32), op(i32), nil, // what only an export names is taken as a reference
		constI32(7), op(0xd2, byte(triple)), op(0x26, 0), get(0), constI32(7), op(0x11, byte(p.typ(op(i32), op(i32))), 0))
	p.add("segments", nil, op(i32), nil, // passive ones, of functions and of data
		constI32(4), constI32(0), constI32(2), op(0xfc, 0x0c, 1, 0), constI32(2), constI32(0), constI32(1), op(0xfc, 0x0c, 4, 1),
		op(0xfc, 0x0d, 1), constI32(100), constI32(1), constI32(2), op(0xfc, 0x08, 1, 0), op(0xfc, 0x09, 1), constI32(100), op(0x2f, 0, 0))
	p.add("global", nil, op(i32), nil, op(0x23, 0))
	p.add("pairs", op(i32), op(i32), op(i64), get(0), call(pair), set(1), get(1), op(0xa7), addI32)
	p.start = int(p.add("", nil, nil, nil, constI32(70), op(0x24, 0)))
	p.exports = []exported{{"double", 0, double}, {"twice the same", 0, triple}, {"memory", 2, 0}, {"table", 1, 0}, {"seven", 3, 0}}
	p.elements = [][]byte{
		{0, 0x41, 0, 0x0b, 2, byte(double), byte(triple)},                       // active
		{1, 0, 2, byte(triple), byte(double)},                                   // passive
		{2, 1, 0x41, 0, 0x0b, 0, 1, byte(triple)},                               // active, in the second table
		{3, 0, 1, byte(double)},                                                 // declarative
		{5, 0x70, 2, 0xd2, byte(double), 0x0b, 0xd0, 0x70, 0x0b},                // passive, expressions
		{4, 0x41, 2, 0x0b, 1, 0xd2, byte(triple), 0x0b},                         // active, expressions
		{6, 1, 0x41, 3, 0x0b, 0x70, 2, 0xd2, byte(double), 0x0b, 0x23, 1, 0x0b}, // active, in the second table, with a global
		{7, 0x70, 0}, {6, 2, 0x41, 0, 0x0b, 0x6f, 0}, {6, 2, 0x41, 0, 0x0b, 0x6f, 1, 0xd0, 0x6f, 0x0b}, // none, and of externref
	}
	p.elements[6] = []byte{6, 1, 0x41, 3, 0x0b, 0x70, 1, 0xd2, byte(double), 0x0b}
	p.datas = [][]byte{{0, 0x41, 10, 0x0b, 2, 'a', 'b'}, {1, 3, 'c', 'd', 'e'}, {2, 0, 0x41, 20, 0x0b, 1, 'f'}}
	return p
}

// environment is what the programs of the tests import.
func environment(t testing.TB, rt wazero.Runtime) {
	t.Helper()
	_, err := rt.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(func(v int32) int32 { return 2 * v }).Export("double").
		NewFunctionBuilder().WithFunc(func() {}).Export("unused").
		Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverythingStillMeansTheSame(t *testing.T) {
	wasm := everything().bytes()
	metered, err := Rewrite(wasm, Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := func(code []byte) api.Module {
		rt := newRuntime(t, t.Context())
		environment(t, rt)
		mod, err := rt.Instantiate(With(t.Context(), &Meter{}), code)
		if err != nil {
			t.Fatal(err)
		}
		return mod
	}
	mods := []api.Module{start(wasm), start(metered)}
	for _, tt := range []struct {
		export string
		args   []uint64
		want   []uint64
	}{
		{"global", nil, []uint64{70}},
		{"triple", []uint64{5}, []uint64{15}}, {"twice the same", []uint64{5}, []uint64{15}}, {"double", []uint64{5}, []uint64{10}},
		{"direct", []uint64{5}, []uint64{30}}, {"pair", []uint64{0}, []uint64{3, 4}}, {"pair", []uint64{1}, []uint64{1, 2}},
		{"pairs", []uint64{1}, []uint64{3}},
		{"indirect", []uint64{5, 0}, []uint64{10}}, {"indirect", []uint64{5, 1}, []uint64{15}}, {"indirect", []uint64{5, 2}, []uint64{15}},
		{"indirect1", []uint64{5, 3}, []uint64{10}}, {"segments", nil, []uint64{'d' | 'e'<<8}},
		{"indirect", []uint64{5, 4}, []uint64{15}}, {"indirect", []uint64{5, 5}, []uint64{10}}, {"indirect1", []uint64{5, 2}, []uint64{10}},
		{"reference", []uint64{5}, []uint64{15}},
		{"segments", nil, nil}, // they are gone; and after a trap the instance is of no use
	} {
		for i, mod := range mods {
			m := &Meter{}
			got, err := mod.ExportedFunction(tt.export).Call(With(t.Context(), m), tt.args...)
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("metered %v: %s%v = %v, %v; want %v", i == 1, tt.export, tt.args, got, err, tt.want)
			}
			if err == nil && (m.Used() > 0) != (i == 1) {
				t.Errorf("metered %v: %s%v used %d", i == 1, tt.export, tt.args, m.Used())
			}
		}
	}
	plain, _ := mods[0].Memory().Read(0, 1<<16)
	if with, _ := mods[1].Memory().Read(0, 1<<16); !slices.Equal(plain, with) {
		t.Error("the memories differ")
	}
}

func TestTablesGrowToTheirCapOnly(t *testing.T) {
	p := &program{pages: -1, tables: [][]byte{{0x70, 0, 1}, {0x70, 1, 1, 5}}}
	for i := range byte(2) {
		p.add(string('a'+rune(i)), op(i32), op(i32), nil, op(0xd0, 0x70), get(0), op(0xfc, 0x0f, i))
	}
	metered, err := Rewrite(p.bytes(), Options{Limits: Limits{TableElements: 200}})
	if err != nil {
		t.Fatal(err)
	}
	mod := instantiate(t, t.Context(), metered)
	for _, tt := range []struct {
		table string
		by    uint64
		want  int32
	}{{"a", 99, 1}, {"a", 1, -1}, {"b", 4, 1}, {"b", 1, -1}, {"b", 1<<32 - 1, -1}} {
		got, err := mod.ExportedFunction(tt.table).Call(With(t.Context(), &Meter{}), tt.by)
		if err != nil || int32(got[0]) != tt.want {
			t.Errorf("table %s by %d: %v, %v", tt.table, tt.by, got, err)
		}
	}
}

func TestStackTraceHasNames(t *testing.T) {
	p := &program{pages: -1}
	p.imported("env", "unused", nil, nil)
	inner := p.add("", nil, nil, nil, unreachable)
	p.add("run", nil, nil, nil, call(inner))
	names := appendSized(op(1), func(out []byte) []byte {
		return append(appendName(append(appendName(append(out, 3, 1), "inner"), 2), "out\xff"), 0xff, 0x7f, 1, 'x')
	})
	p.more = [][]byte{append([]byte{0}, appendBytes(nil, append(appendName(nil, "name"), names...))...)}
	metered, err := Rewrite(p.bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	rt := newRuntime(t, t.Context())
	environment(t, rt)
	mod, err := rt.Instantiate(t.Context(), metered)
	if err != nil {
		t.Fatal(err)
	}
	_, err = mod.ExportedFunction("run").Call(With(t.Context(), &Meter{}))
	if err == nil || !strings.Contains(err.Error(), ".inner(") || !strings.Contains(err.Error(), ".out?(") {
		t.Errorf("the trap is told as %v", err)
	}
}

func TestRefuses(t *testing.T) {
	code := func(code ...[]byte) []byte {
		p := host(slices.Concat(code...))
		return p.bytes()
	}
	raw := func(sections ...[]byte) []byte {
		return slices.Concat(append([][]byte{[]byte(header)}, sections...)...)
	}
	types := op(1, 4, 1, 0x60, 0, 0)
	tests := []struct {
		name string
		wasm []byte
		want string
	}{
		{"nothing", nil, "is no WebAssembly core module"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "is no WebAssembly core module"},
		{"a section that is cut off", raw(op(1, 100, 0)), "100 bytes are promised and 1 are left"},
		{"an unknown section", raw(op(13, 1, 0)), "the section 13 is not known"},
		{"sections in another order", raw(op(3, 1, 0), types), "section 1 is there twice or too late"},
		{"a section twice", raw(types, types), "section 1 is there twice or too late"},
		{"a section with more than it says", raw(op(1, 5, 1, 0x60, 0, 0, 0)), "it goes on after its last element"},
		{"four billion types", raw(op(1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f)), "4294967295 types are promised"},
		{"four billion imports", raw(op(2, 5, 0xff, 0xff, 0xff, 0xff, 0x0f)), "4294967295 imports are promised"},
		{"a structure type", raw(op(1, 3, 1, 0x5f, 0)), "1 types are promised and 2 bytes"},
		{"a group of types", raw(op(1, 4, 1, 0x4e, 0, 0)), "the type form 0x4e is not known"},
		{"a typed reference", raw(op(1, 6, 1, 0x60, 2, 0x64, 0, 0)), "the value type 0x64 is not known"},
		{"code without a function", raw(types, op(10, 4, 1, 2, 0, 0x0b)), "it has 0 functions and the code of 1"},
		{"a function without code", raw(types, op(3, 2, 1, 0)), "it has 1 functions and the code of 0"},
		{"data that is announced only", raw(types, op(12, 1, 5)), "it announces 5 data segments and has 0"},
		{"two memories", raw(op(5, 5, 2, 0, 1, 0, 1)), "there are 2 memories, at most 1"},
		{"shared memory", raw(op(5, 4, 1, 3, 1, 1)), "the limits 0x3 are not known"},
		{"64-bit memory", raw(op(5, 3, 1, 4, 1)), "the limits 0x4 are not known"},
		{"an imported memory", raw(op(2, 7, 1, 1, 'a', 1, 'b', 2, 0)), `it imports "a"."b", which is no function`},
		{"a huge table", raw(op(4, 7, 1, 0x70, 0, 0x80, 0x80, 0x80, 0x40)), "a table of 134217728 elements is too large"},
		{"many tables", raw(append(op(4, 52, 17), slices.Repeat(op(0x70, 0, 0), 17)...)), "there are 17 tables, at most 16"},
		{"the agent's own import", func() []byte {
			p := &program{pages: -1}
			p.imported(Module, Name, nil, nil)
			return p.bytes()
		}(), "which is the agent's own"},
		{"many locals", raw(types, op(3, 2, 1, 0), op(10, 9, 1, 7, 1, 0xff, 0xff, 0xff, 0x7f, i32, 0x0b)), "there are more than 10000 locals"},
		{"a call of what will be added", code(call(1)), "there is no function 1"},
		{"a reference to what will be added", code(op(0xd2, 1)), "there is no function 1"},
		{"the global that will be added", code(constI64(1<<40), op(0x24, 1)), "there is no global 1"},
		{"reading it", code(op(0x23, 1), drop), "there is no global 1"},
		{"a local that will be added", code(get(1), drop), "there is no local 1"},
		{"a type that will be added", code(op(0x02, 3, 0x00, 0x0b)), "there is no type 3"},
		{"the block that will be added", code(br(1)), "there is no label 1"},
		{"a table that is not there", code(constI32(0), op(0x25, 1), drop), "there is no table 1"},
		{"a segment that will be added", code(op(0xfc, 0x0d, 1)), "there is no element segment 1"},
		{"a data segment that is not there", code(op(0xfc, 0x09, 1)), "there is no data segment 1"},
		{"an end too many", code(op(0x0b)), "it goes on after its end"},
		{"an end too few", code(op(0x02, 0x40)), "it ends before its last block does"},
		{"an else alone", code(op(0x05)), "an else belongs to no if"},
		{"a second else", code(constI32(0), op(0x04, 0x40, 0x05, 0x05, 0x0b)), "an else belongs to no if"},
		{"a tail call", code(op(0x12, 0)), "the instruction 0x12 is not known"},
		{"an atomic instruction", code(op(0xfe, 0x00, 0x02, 0x00)), "the instruction 0xfe is not known"},
		{"an exception", code(op(0x06, 0x40, 0x0b)), "the instruction 0x6 is not known"},
		{"a relaxed vector instruction", code(op(0xfd, 0x80, 0x02)), "the instruction 0xfd 0x100 is not known"},
		{"a number of two bytes", code(op(0xfc, 0xff, 0x01)), "the instruction 0xfc 0xff is not known"},
		{"another memory", code(constI32(0), op(0x28, 0x40, 0, 0), drop), "the alignment 2^64 is not known"},
		{"filling another memory", code(constI32(0), constI32(0), constI32(0), op(0xfc, 0x0b, 1)), "it names the memory 1"},
		{"a select of two types", code(op(0x1c, 2, i32, i32)), "a select of 2 types is not known"},
		{"a reference of a new type", code(op(0xd0, 0x6e), drop), "the reference type 0x6e is not known"},
		{"blocks in blocks", code(repeat(5001, op(0x02, 0x40))), "its blocks nest deeper than 5000"},
		{"a constant that computes", func() []byte {
			p := &program{pages: -1, globals: [][]byte{{i32, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b}}}
			return p.bytes()
		}(), "a constant of several instructions"},
		{"a constant that calls", func() []byte {
			p := host(nil)
			p.globals = [][]byte{{i32, 0, 0x10, 0, 0x0b}}
			return p.bytes()
		}(), "the instruction 0x10 in a constant is not known"},
		{"branches without end", code(repeat(11_000, constI32(0), brIf(0))), "would take too long to compile"},
		{"branches and locals", func() []byte {
			p := &program{pages: -1}
			p.add("run", nil, nil, slices.Repeat(op(i32), 2000), repeat(2000, constI32(0), brIf(0)))
			return p.bytes()
		}(), "would take too long to compile"},
		{"many functions with branches", func() []byte {
			p := &program{pages: -1}
			for range 25 {
				p.add("", nil, nil, nil, repeat(6_500, constI32(0), brIf(0)))
			}
			return p.bytes()
		}(), "up to here the module would take too long"},
		{"calls without end", code(repeat(30_000, call(0))), "would take too long to compile"},
		{"more instructions than the compiler has room for", func() []byte {
			p := &program{pages: -1}
			for range 26 {
				p.add("", nil, nil, nil, repeat(200_000, op(0x01)))
			}
			return p.bytes()
		}(), "up to here the module has more than 5000000 instructions"},
		{"a function of 2 MB", func() []byte {
			p := &program{pages: -1}
			p.add("run", nil, nil, nil, repeat(2<<20, op(0x01)))
			return p.bytes()
		}(), "its code of 2097154 bytes is too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Rewrite(tt.wasm, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%d bytes, %v; want %q", len(out), err, tt.want)
			}
		})
	}
}

// TestReadsAsTheEngineDoes holds that the engine behind the rewriting never sees a form that it reads in another way than we do: it takes
// one byte for the number of a vector instruction, whatever the byte says of a second one.
func TestReadsAsTheEngineDoes(t *testing.T) {
	// For us: v128.load with its number padded, at a legal alignment and offset. For an engine that reads one byte: i16x8.abs, then
	// whatever the immediates mean as instructions.
	p := &program{pages: 1}
	p.add("run", nil, nil, nil, constI32(0), op(0xfd, 0x80, 0x00), op(0x00, 0x00), drop)
	metered, err := Rewrite(p.bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := instantiate(t, t.Context(), metered).ExportedFunction("run").Call(With(t.Context(), &Meter{})); err != nil {
		t.Error(err)
	}
}

func TestWithoutMeter(t *testing.T) {
	p := &program{pages: -1}
	p.add("run", nil, nil, nil, loop(br(0)))
	metered, err := Rewrite(p.bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = instantiate(t, t.Context(), metered).ExportedFunction("run").Call(t.Context())
	if err == nil || !strings.Contains(err.Error(), "called without a meter") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(With(t.Context(), &Meter{}))
	cancel()
	if _, err = instantiate(t, t.Context(), metered).ExportedFunction("run").Call(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
