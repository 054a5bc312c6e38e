package meter

import (
	"fmt"
	"maps"
	"slices"
)

// The encodings of types that the rewriting itself uses.
const (
	typeI32    = 0x7f
	typeI64    = 0x7e
	typeV128   = 0x7b
	funcRef    = 0x70
	emptyBlock = 0x40
)

// rewriter puts a metered module together. In it the guest's own functions stand one higher than before, behind the host's function
// that was added to the imports. Behind them come refill, a function for each import and one for each export:
//
//   - refill asks the host for fuel. It is called wherever the fuel is found to be below zero.
//   - An import is reached only through a function that pays for it, however the guest gets at it: by a call, a table or an export.
//   - An export starts with nothing, runs the guest's function and then tells the host what is left.
type rewriter struct {
	m    *module
	o    Options
	body body // the one that is being read

	types   []signature // that were added
	mutable int         // globals of the guest
	work    int64       // of the compiler, for the functions so far

	instructions int    // of them
	host         uint32 // the function of the host
	refill       uint32
	fuel         uint32 // the global
	wrapped      []uint32
	wrappers     map[uint32]uint32 // by the guest's function
	refFuncs     map[uint32]struct{}
}

// Rewrite returns a module that does the same as wasm and pays for it with fuel; see the package's comment. An error says what in
// the module can't be metered. The memory that Rewrite takes is bounded by a multiple of the module's length.
func Rewrite(wasm []byte, o Options) ([]byte, error) {
	o.Limits = o.Limits.withDefaults()
	m, err := parse(wasm, &o.Limits)
	if err != nil {
		return nil, fmt.Errorf("can't be metered: %w", err)
	}
	m.mergeDatas()
	n := uint32(m.functionCount())
	w := &rewriter{
		m: m, o: o, host: uint32(len(m.imports)), refill: n + 1, fuel: uint32(len(m.globals)),
		wrappers: map[uint32]uint32{}, refFuncs: map[uint32]struct{}{},
	}
	for _, g := range m.globals {
		w.mutable += int(g.mutable)
	}
	for _, e := range m.exports {
		if e.kind == externFunction {
			w.wrap(e.index)
		}
	}
	if m.start >= 0 {
		w.wrap(uint32(m.start))
	}
	out, err := w.append(make([]byte, 0, len(wasm)+len(wasm)/2))
	if err != nil {
		return nil, fmt.Errorf("can't be metered: %w", err)
	}
	return out, nil
}

// budget notes what a function takes to compile and refuses what is too much.
func (w *rewriter) budget(p *plan, locals int) error {
	l, work := &w.o.Limits, p.work(locals+w.mutable)
	w.work += work
	w.instructions += p.count
	switch {
	case work > l.FunctionWork:
		return fmt.Errorf("it would take too long to compile (%d units of work, at most %d are allowed); split it, or use fewer branches and locals", work, l.FunctionWork)
	case w.work > l.Work:
		return fmt.Errorf("up to here the module would take too long to compile (at most %d units of work are allowed); make it smaller", l.Work)
	case w.instructions > l.Instructions:
		return fmt.Errorf("up to here the module has more than %d instructions; make it smaller", l.Instructions)
	}
	return nil
}

// callee returns where a function of the guest is found now, an import by the function that pays for it.
func (w *rewriter) callee(function uint32) uint32 {
	if int(function) < len(w.m.imports) {
		return w.refill + 1 + function
	}
	return function + 1
}

// wrap makes a function for an export, unless there is one.
func (w *rewriter) wrap(function uint32) {
	if _, ok := w.wrappers[function]; !ok {
		w.wrappers[function] = w.refill + 1 + uint32(len(w.m.imports)+len(w.wrapped))
		w.wrapped = append(w.wrapped, function)
	}
}

// typeFor returns the index of a type, which is added if it is not there.
func (w *rewriter) typeFor(params, results []byte) uint32 {
	same := func(s signature) bool { return slices.Equal(s.params, params) && slices.Equal(s.results, results) }
	i := slices.IndexFunc(w.types, same)
	if i < 0 {
		i = len(w.types)
		w.types = append(w.types, signature{params, results})
	}
	return uint32(len(w.m.types) + i)
}

// blockOf returns the type of a block that takes nothing and leaves results.
func (w *rewriter) blockOf(results []byte) int64 {
	switch len(results) {
	case 0:
		return emptyBlock - 0x80
	case 1:
		return int64(results[0]) - 0x80
	}
	return int64(w.typeFor(nil, results))
}

func (w *rewriter) append(out []byte) ([]byte, error) {
	m := w.m
	hostType, refillType := w.typeFor([]byte{typeI64, typeI32}, []byte{typeI64}), w.typeFor(nil, nil)
	codes, err := w.codes(make([]byte, 0, cap(out))) // which adds types
	if err != nil {
		return nil, err
	}
	out = append(out, header...)
	out = appendSection(out, sectionType, w.appendTypes)
	out = appendSection(out, sectionImport, func(out []byte) []byte {
		out = appendU32(out, uint32(len(m.imports))+1)
		for _, i := range append(slices.Clip(m.imports), imported{Module, Name, hostType}) {
			out = appendU32(append(appendName(appendName(out, w.o.module(i.module)), i.name), externFunction), i.typ)
		}
		return out
	})
	out = appendSection(out, sectionFunction, func(out []byte) []byte {
		types := append(slices.Clone(m.functions), refillType)
		for _, i := range m.imports {
			types = append(types, i.typ)
		}
		for _, f := range w.wrapped {
			types = append(types, m.typeOf(f))
		}
		out = appendU32(out, uint32(len(types)))
		for _, t := range types {
			out = appendU32(out, t)
		}
		return out
	})
	out = w.appendState(out)
	out = w.appendExports(out)
	if m.start >= 0 {
		out = appendSection(out, sectionStart, func(out []byte) []byte { return appendU32(out, w.wrappers[uint32(m.start)]) })
	}
	out = w.appendElements(out)
	if m.dataCount >= 0 {
		out = appendSection(out, sectionDataCount, func(out []byte) []byte { return appendU32(out, uint32(m.dataCount)) })
	}
	out = append(out, codes...)
	out = w.appendDatas(out)
	return w.appendNames(out), nil
}

// codes returns the section of the functions' code.
func (w *rewriter) codes(out []byte) ([]byte, error) {
	m := w.m
	var err error
	out = appendSection(out, sectionCode, func(out []byte) []byte {
		out = appendU32(out, uint32(len(m.codes)+1+len(m.imports)+len(w.wrapped)))
		for i := range m.codes {
			grown, failed := w.appendFunction(out, i)
			if failed != nil {
				err = fmt.Errorf("function %d: %w", i+len(m.imports), failed)
				return out
			}
			out = grown
		}
		out = appendHelper(out, func(out []byte) []byte { return w.appendTell(out, 0) })
		for i, imp := range m.imports {
			out = appendHelper(out, func(out []byte) []byte {
				out = w.appendLook(w.appendCharge(out, w.o.price(imp.module, imp.name)))
				return appendPassOn(out, m.signature(uint32(i)), uint32(i))
			})
		}
		for _, f := range w.wrapped {
			out = appendHelper(out, func(out []byte) []byte {
				out = append(appendOp(out, opI64Const), 0) // a trap may have left something
				out = appendU32(appendOp(out, opGlobalSet), w.fuel)
				return w.appendTell(appendPassOn(out, m.signature(f), w.callee(f)), 1)
			})
		}
		return out
	})
	return out, err
}

// appendHelper appends a function without locals of its own.
func appendHelper(out []byte, write func(out []byte) []byte) []byte {
	return appendSized(out, func(out []byte) []byte { return appendOp(write(append(out, 0)), opEnd) })
}

// appendPassOn appends a call of a function with the parameters of the present one.
func appendPassOn(out []byte, s *signature, function uint32) []byte {
	for i := range s.params {
		out = appendU32(appendOp(out, opLocalGet), uint32(i))
	}
	return appendU32(appendOp(out, opCall), function)
}

func (w *rewriter) appendTypes(out []byte) []byte {
	out = appendU32(out, uint32(len(w.m.types)+len(w.types)))
	for _, types := range [][]signature{w.m.types, w.types} {
		for _, t := range types {
			out = appendBytes(appendBytes(append(out, functionType), t.params), t.results)
		}
	}
	return out
}

// appendNames appends the names of functions, as far as there are any.
func (w *rewriter) appendNames(out []byte) []byte {
	if len(w.m.names) == 0 {
		return out
	}
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(w.m.names)), func(f uint32) bool { return int(f) >= w.m.functionCount() })
	return appendSection(out, sectionCustom, func(out []byte) []byte {
		return appendSized(append(appendName(out, "name"), 1), func(out []byte) []byte {
			out = appendU32(out, uint32(len(known)))
			for _, f := range known {
				at := f
				if int(f) >= len(w.m.imports) {
					at = w.callee(f)
				}
				out = appendName(appendU32(out, at), w.m.names[f])
			}
			return out
		})
	})
}
