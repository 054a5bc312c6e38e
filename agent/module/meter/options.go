package meter

import "cmp"

// Module and Name are the function that Rewrite adds to a module's imports. Refill is what the host offers by that name.
const (
	Module = "millwright"
	Name   = "fuel"
)

// Options say how to meter a module. The zero value works.
type Options struct {
	Limits Limits
	// Price returns what a call of an imported function costs, in fuel. With nil a call costs a whole slice, unless it is one of the
	// functions of WASI and Extism that are known to be cheap.
	Price func(module, name string) int64
	// Rename gives import modules another name, so that a guest's imports can lead elsewhere without its knowledge.
	Rename map[string]string
}

func (o *Options) price(module, name string) int64 {
	if o.Price != nil {
		return min(max(o.Price(module, name), 0), 1<<28)
	}
	return hostPrice(module, name)
}

// module returns where an import module is to be found.
func (o *Options) module(name string) string { return cmp.Or(o.Rename[name], name) }

// Limits bound what a module may be made of. They are there for the compiler, which takes time and memory by these counts before any
// fuel is burnt. A zero field means its default, which leaves room for modules ten times the size of the largest that are known.
type Limits struct {
	Functions     int // 100,000 by default; also how many types there may be
	FunctionBytes int // of code in one function; 512 KB by default
	Instructions  int // of all functions together; 5 million by default, about 14 MB
	Locals        int // of one function; 10,000 by default
	AllLocals     int // of all functions together; 4 million by default
	Values        int // that a function takes, or returns; 100 by default
	Nesting       int // of blocks in a function; 5,000 by default
	Labels        int // of one br_table; 20,000 by default
	Entries       int // imports, exports, globals and element segments, of each kind; 10,000 by default
	Datas         int // data segments, of which Go's linker makes many; 500,000 by default
	Tables        int // 16 by default
	TableElements int // in all tables together, however they grow, and in all segments for them; 262,144 by default
	// FunctionWork and Work bound how long the compiler may take for one function and for all, in units of about 50 ns; see work.go.
	// 50 million and 800 million by default: less than 3 s, 200 MB and 40 s.
	FunctionWork, Work int64
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Functions:     cmp.Or(l.Functions, 100_000),
		FunctionBytes: cmp.Or(l.FunctionBytes, 512<<10),
		Instructions:  cmp.Or(l.Instructions, 5_000_000),
		Locals:        cmp.Or(l.Locals, 10_000),
		AllLocals:     cmp.Or(l.AllLocals, 4<<20),
		Values:        cmp.Or(l.Values, 100),
		Nesting:       cmp.Or(l.Nesting, 5_000),
		Labels:        cmp.Or(l.Labels, 20_000),
		Entries:       cmp.Or(l.Entries, 10_000),
		Datas:         cmp.Or(l.Datas, 500_000),
		Tables:        cmp.Or(l.Tables, 16),
		TableElements: cmp.Or(l.TableElements, 1<<18),
		FunctionWork:  cmp.Or(l.FunctionWork, 50_000_000),
		Work:          cmp.Or(l.Work, 800_000_000),
	}
}
