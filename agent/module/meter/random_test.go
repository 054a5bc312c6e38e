package meter

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// importPrice is what a call of the host costs in random programs.
const importPrice = 7

// steps is how often a random program enters a function or a loop before it traps, so that all of them end.
const steps = 2000

// randomProgram writes programs that are valid and end. From the same source of chance it writes the same program, or its twin, which
// also counts each instruction just before it runs: what metering by segments must arrive at as well.
type randomProgram struct {
	*rand.Rand
	p      *program
	twin   bool
	frames []int64 // entry prices, for the twin
	out    []byte
	types  []signature // of the functions
	locals int         // of the function being written, all i32
	params int
	labels int // open blocks, the function included
	budget int // of nodes
}

// Globals of random programs.
const (
	globalSteps = iota
	globalOwn
	globalCount // in the twin
)

// newRandom writes a program. Its functions are exported as a, b, and so on.
func newRandom(seed uint64, twin bool, entryPrices []int64) *randomProgram {
	g := &randomProgram{Rand: rand.New(rand.NewPCG(seed, 1)), twin: twin, frames: entryPrices, p: &program{pages: 1, maxPages: 3}}
	g.p.imported("env", "double", op(i32), op(i32))
	g.p.globals = [][]byte{append(append(op(i32, 1), constI32(steps)...), 0x0b), {i32, 1, 0x41, 0, 0x0b}}
	if twin {
		g.p.globals = append(g.p.globals, op(i64, 1, 0x42, 0, 0x0b))
		g.p.exports = append(g.p.exports, exported{"count", 3, globalCount})
	}
	for range 1 + g.IntN(4) {
		s := signature{params: slices.Repeat(op(i32), g.IntN(4)), results: op(i32)}
		if g.IntN(4) == 0 {
			s.results = op(i32, i32)
		}
		g.types = append(g.types, s)
	}
	n := byte(len(g.types) + 1)
	g.p.tables = [][]byte{{0x70, 1, n, 20}}
	all := []byte{0, 0x41, 0, 0x0b, n}
	for i := range n {
		all = append(all, i)
	}
	g.p.elements = [][]byte{all, {1, 0, 2, 0, 1}}
	g.p.datas = [][]byte{append(op(1, 100), bytes.Repeat(op('x'), 100)...)}
	for i := range g.types {
		g.function(i)
	}
	return g
}

func (g *randomProgram) function(i int) {
	s := g.types[i]
	g.out, g.params, g.labels, g.budget = nil, len(s.params), 1, 20+g.IntN(120)
	g.locals = g.params + 1 + g.IntN(4)
	if g.twin {
		g.counts(g.frames[i])
	}
	g.step()
	g.statements(3)
	for range s.results {
		g.value(2)
	}
	g.p.add(string('a'+rune(i)), s.params, s.results, slices.Repeat(op(i32), g.locals-g.params), g.out)
}

// counts adds to the twin's count.
func (g *randomProgram) counts(n int64) {
	if g.twin && n > 0 {
		g.out = slices.Concat(g.out, op(0x23, globalCount), constI64(n), addI64, op(0x24, globalCount))
	}
}

// ins writes an instruction of the usual price.
func (g *randomProgram) ins(code ...byte) { g.priced(1, code) }

func (g *randomProgram) priced(cost int64, code []byte) {
	g.counts(cost)
	g.out = append(g.out, code...)
}

// step takes one of the program's own steps, or traps.
func (g *randomProgram) step() {
	g.ins(0x23, globalSteps)
	g.ins(0x45)
	g.ins(0x04, 0x40)
	g.ins(0x00)
	g.priced(0, op(0x0b))
	g.ins(0x23, globalSteps)
	g.ins(0x41, 1)
	g.ins(0x6b)
	g.ins(0x24, globalSteps)
}

func (g *randomProgram) local() byte { return byte(g.IntN(g.locals)) }

func (g *randomProgram) statements(depth int) {
	for range g.IntN(5) {
		if g.budget--; g.budget < 0 {
			return
		}
		g.statement(depth)
	}
}

func (g *randomProgram) statement(depth int) {
	kind := g.IntN(17)
	if depth == 0 {
		kind = 5 + g.IntN(12)
	}
	inside := func(opening ...byte) {
		g.priced(0, opening)
		g.labels++
	}
	end := func() {
		g.labels--
		g.priced(0, op(0x0b))
	}
	switch kind {
	case 0, 1: // a block
		inside(0x02, 0x40)
		g.statements(depth - 1)
		end()
	case 2: // a loop, which may go round
		inside(0x03, 0x40)
		g.step()
		g.statements(depth - 1)
		if g.IntN(3) > 0 { // sometimes many times
			g.ins(0x23, globalSteps)
			g.ins(constI32(7)...)
			g.ins(0x71)
			g.ins(0x0d, 0)
		}
		end()
	case 3, 4: // an if
		g.value(2)
		g.ins(0x04, 0x40)
		g.labels++
		g.statements(depth - 1)
		if g.IntN(2) == 0 {
			g.priced(0, op(0x05))
			g.statements(depth - 1)
		}
		end()
	case 5: // a branch
		if g.IntN(3) == 0 && g.labels > 1 {
			g.ins(0x0c, byte(g.IntN(g.labels-1)))
		}
	case 6, 7:
		if g.labels > 1 {
			g.value(1)
			g.ins(0x0d, byte(g.IntN(g.labels-1)))
		}
	case 8:
		if g.labels > 1 {
			g.value(1)
			g.ins(0x0e, 2, byte(g.IntN(g.labels-1)), byte(g.IntN(g.labels-1)), byte(g.IntN(g.labels-1)))
		}
	case 9:
		g.address(2)
		g.value(2)
		g.ins(op(0x36, 0x3a, 0x3b)[g.IntN(3)], 0, byte(g.IntN(100)))
	case 10:
		g.lengthy()
	case 11:
		g.priced(0, op(0x01))
	case 12:
		g.value(2)
		g.ins(0x24, globalOwn)
	case 13:
		if g.IntN(20) == 0 {
			g.ins(0x00)
		}
	default:
		g.value(3)
		g.ins(0x21, g.local())
	}
}

// lengthy writes an instruction that is paid by its length, which is constant or in a local.
func (g *randomProgram) lengthy() {
	type kind struct {
		code     []byte
		operands int // before the length
		unit     lengthUnit
		most     int32
		ref      bool // whether the operand before the length is a reference
	}
	k := []kind{
		{memoryFill, 2, inBytes, 3000, false}, {memoryCopy, 2, inBytes, 3000, false}, {op(0xfc, 0x08, 0, 0), 2, inBytes, 120, false},
		{memoryGrow, 0, inPages, 1, false}, {op(0xfc, 0x0c, 1, 0), 2, inReferences, 3, false}, {op(0xfc, 0x0e, 0, 0), 2, inReferences, 5, false},
		{op(0xfc, 0x0f, 0), 1, inReferences, 3, true}, {op(0xfc, 0x11, 0), 2, inReferences, 4, true},
	}[g.IntN(8)]
	constant, length := g.IntN(2) == 0, g.Int32N(k.most+1)
	target := g.local()
	if !constant { // of a length that depends on what ran before
		g.ins(0x20, target)
		g.ins(appendSigned([]byte{0x41}, int64(k.most))...)
		g.ins(0x71)
		g.ins(0x21, target)
	}
	for i := range k.operands {
		if k.ref && i == k.operands-1 {
			g.ins(0xd0, 0x70)
		} else {
			g.ins(append(op(0x41), appendSigned(nil, int64(g.IntN(20)))...)...)
		}
	}
	if constant {
		g.ins(constI32(length)...)
		g.priced(1+lengthPrice(int64(length), k.unit), k.code)
	} else {
		g.ins(0x20, target)
		if g.twin { // count + what the length costs
			price := map[lengthUnit][]byte{
				inBytes: slices.Concat(constI64(8), op(0x80)), inPages: slices.Concat(constI64(8192), op(0x7e)), inReferences: nil,
			}[k.unit]
			g.out = slices.Concat(g.out, op(0x23, globalCount), get(uint32(target)), op(0xad), price, addI64, op(0x24, globalCount))
		}
		g.ins(k.code...)
	}
	if last := k.code[0]; last == 0x40 || k.code[1] == 0x0f && last == 0xfc { // they return the size before
		g.ins(0x1a)
	}
}

// value writes code that leaves an i32.
func (g *randomProgram) value(depth int) {
	kind := g.IntN(16)
	if g.budget--; depth == 0 || g.budget < 0 {
		kind = g.IntN(3)
	}
	sub := func() { g.value(depth - 1) }
	switch kind {
	case 0:
		g.ins(constI32(g.Int32N(20) - 5)...)
	case 1:
		g.ins(0x20, g.local())
	case 2:
		g.ins(0x23, globalOwn)
	case 3: // division may trap
		sub()
		sub()
		g.mostly(constI32(3), op(0x72))
		g.ins(byte(0x6d + g.IntN(4)))
	case 4, 5, 6:
		sub()
		sub()
		g.ins(op(0x46, 0x48, 0x4b, 0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77)[g.IntN(13)])
	case 7:
		sub()
		g.ins(op(0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1)[g.IntN(6)])
	case 8: // a load
		g.address(depth - 1)
		g.ins(op(0x28, 0x2c, 0x2d, 0x2e, 0x2f)[g.IntN(5)], 0, byte(g.IntN(100)))
	case 9:
		sub()
		sub()
		sub()
		g.ins(0x1b)
	case 10: // by way of other types
		sub()
		g.ins(0xac)
		g.ins(constI64(g.Int64N(1 << 40))...)
		g.ins(op(0x7c, 0x7d, 0x7e, 0x83, 0x89)[g.IntN(5)])
		g.ins(0xa7)
	case 11:
		sub()
		g.ins(0xb7)
		g.ins(0x9f)
		g.ins(0xfc, 0x02)
	case 12:
		sub()
		g.ins(0xfd, 0x11)
		sub()
		g.ins(0xfd, 0x11)
		g.ins(0xfd, 0xae, 0x01)
		g.ins(0xfd, 0x1b, 3)
	case 13: // an if that leaves a value, left from its middle
		sub()
		g.ins(0x04, i32)
		g.labels++
		sub()
		g.priced(0, op(0x05))
		sub()
		sub()
		g.ins(0x0d, 0)
		g.labels--
		g.priced(0, op(0x0b))
	default:
		g.call(depth)
	}
}

// address writes a value that mostly lies in memory.
func (g *randomProgram) address(depth int) {
	g.value(depth)
	g.mostly(constI32(0xfff), op(0x71))
}

// mostly writes the instructions, but not always.
func (g *randomProgram) mostly(code ...[]byte) {
	if g.IntN(30) == 0 {
		return
	}
	for _, c := range code {
		g.ins(c...)
	}
}

func (g *randomProgram) call(depth int) {
	f := g.IntN(len(g.types) + 1)
	if g.IntN(3) > 0 {
		f = 0
	}
	s := signature{op(i32), op(i32)}
	if f > 0 {
		s = g.types[f-1]
	}
	for range s.params {
		g.value(depth - 1)
	}
	cost := int64(1)
	if f == 0 {
		cost += importPrice
	}
	if g.IntN(3) > 0 {
		g.priced(cost, call(uint32(f)))
	} else {
		g.ins(constI32(int32(f))...)
		g.priced(cost, op(0x11, byte(g.p.typ(s.params, s.results)), 0))
	}
	for range len(s.results) - 1 {
		g.ins(0x6a)
	}
}

// TestRandomPrograms holds that random programs do the same with the meter as without, and that the fuel is what their twins count.
func TestRandomPrograms(t *testing.T) {
	traps := map[string]int{}
	for seed := range uint64(150) {
		traps[checkRandom(t, seed)]++
	}
	t.Logf("they ended with %v", traps)
	if traps[""] < 75 {
		t.Errorf("%d of 150 ended well: that proves too little", traps[""])
	}
}

func FuzzPrograms(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { checkRandom(t, seed) })
}

// checkRandom returns the first trap, if there was one.
func checkRandom(t *testing.T, seed uint64) string {
	t.Helper()
	plain := newRandom(seed, false, nil)
	wasm := plain.p.bytes()
	twin := newRandom(seed, true, entryPrices(t, wasm)).p.bytes()
	metered, err := Rewrite(wasm, Options{Price: func(string, string) int64 { return importPrice }})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	args := []uint64{3, 0, 0xfffffff0}
	for f := range plain.types {
		name := string('a' + rune(f))
		in := args[:len(plain.types[f].params)]
		want, wantMemory, wantErr, _ := runRandom(t, wasm, name, in, nil)
		m := &Meter{}
		got, memory, err, _ := runRandom(t, metered, name, in, m)
		if !slices.Equal(got, want) || !bytes.Equal(memory, wantMemory) || trapOf(err) != trapOf(wantErr) {
			t.Fatalf("seed %d: %s: plain %v %v, metered %v %v, memory the same: %v", seed, name, want, wantErr, got, err, bytes.Equal(memory, wantMemory))
		}
		_, _, twinErr, counted := runRandom(t, twin, name, in, nil)
		if trapOf(twinErr) != trapOf(err) {
			t.Fatalf("seed %d: %s: the twin ends with %v, not %v", seed, name, twinErr, err)
		}
		if err == nil && counted != m.Used() {
			t.Fatalf("seed %d: %s: %d were counted and %d fuel used", seed, name, counted, m.Used())
		}
		if err != nil {
			return trapOf(err)
		}
	}
	return ""
}

// entryPrices returns what entering each function costs, which depends on all of its code.
func entryPrices(t *testing.T, wasm []byte) []int64 {
	t.Helper()
	l := Limits{}.withDefaults()
	m, err := parse(wasm, &l)
	if err != nil {
		t.Fatal(err)
	}
	var prices []int64
	for i, c := range m.codes {
		s := m.types[m.functions[i]]
		n := len(s.params) + c.count
		p := makePlan(m, new(body).reset(reader{data: c.body}, m.scope(n), &l))
		frame := int64(0)
		if p.calls > 0 {
			frame = p.frame(c.slots + slots(s.params) + slots(s.results))
		}
		prices = append(prices, entryPrice(n, frame))
	}
	return prices
}

// runRandom runs one export in a new instance and returns what it returned, what is in its memory, and what it has counted if it counts.
func runRandom(t *testing.T, code []byte, export string, args []uint64, m *Meter) (results []uint64, memory []byte, err error, count int64) {
	t.Helper()
	rt := newRuntime(t, t.Context())
	environment(t, rt)
	defer rt.Close(t.Context())
	ctx := t.Context()
	if m != nil {
		ctx = With(ctx, m)
	}
	mod, err := rt.Instantiate(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	results, err = mod.ExportedFunction(export).Call(ctx, args...)
	memory, _ = mod.Memory().Read(0, mod.Memory().Size())
	if g := mod.ExportedGlobal("count"); g != nil {
		count = int64(g.Get())
	}
	return results, bytes.Clone(memory), err, count
}

func trapOf(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
