package meter

import (
	"maps"
	"slices"
)

// appendState appends the tables, the memory and the globals, the fuel as the last.
func (w *rewriter) appendState(out []byte) []byte {
	m := w.m
	if len(m.tables) > 0 {
		out = appendSection(out, sectionTable, func(out []byte) []byte {
			out = appendU32(out, uint32(len(m.tables)))
			for _, t := range m.tables {
				out = t.limits.append(append(out, t.refType))
			}
			return out
		})
	}
	if m.memory != nil {
		out = appendSection(out, sectionMemory, func(out []byte) []byte { return m.memory.append(append(out, 1)) })
	}
	return appendSection(out, sectionGlobal, func(out []byte) []byte {
		fuel := globalVar{valueType: typeI64, mutable: 1, value: instruction{op: opI64Const}}
		out = appendU32(out, uint32(len(m.globals))+1)
		for _, g := range append(slices.Clip(m.globals), fuel) {
			out = w.appendConstant(append(out, g.valueType, g.mutable), g.value)
		}
		return out
	})
}

func (l *limits) append(out []byte) []byte {
	if !l.hasMax {
		return appendU32(append(out, 0), l.min)
	}
	return appendU32(appendU32(append(out, 1), l.min), l.max)
}

func (w *rewriter) appendConstant(out []byte, ins instruction) []byte {
	if ins.op == opRefFunc {
		ins.a = w.callee(ins.a)
	}
	return appendOp(appendInstruction(out, &ins), opEnd)
}

func (w *rewriter) appendExports(out []byte) []byte {
	if len(w.m.exports) == 0 {
		return out
	}
	return appendSection(out, sectionExport, func(out []byte) []byte {
		out = appendU32(out, uint32(len(w.m.exports)))
		for _, e := range w.m.exports {
			at := e.index
			if e.kind == externFunction {
				at = w.wrappers[e.index]
			}
			out = appendU32(append(appendName(out, e.name), e.kind), at)
		}
		return out
	})
}

// appendElements appends the element segments and one more that names all functions which ref.func takes: the specification asks that
// each of those stands outside the code, and where an export was such a place it now names another function.
func (w *rewriter) appendElements(out []byte) []byte {
	all := w.m.elements
	if len(w.refFuncs) > 0 {
		taken := elements{mode: declarative, functions: slices.Sorted(maps.Keys(w.refFuncs))}
		all = append(slices.Clip(all), taken)
	}
	if len(all) == 0 {
		return out
	}
	return appendSection(out, sectionElement, func(out []byte) []byte {
		out = appendU32(out, uint32(len(all)))
		for i := range all {
			out = w.appendSegment(out, &all[i])
		}
		return out
	})
}

// appendSegment appends one segment. Its first number is explained at readElements.
func (w *rewriter) appendSegment(out []byte, e *elements) []byte {
	flags := map[segmentMode]byte{active: 0, passive: 1, declarative: 3}[e.mode]
	if e.mode == active && (e.table != 0 || e.refType != funcRef) {
		flags = 2
	}
	if e.inValues {
		flags |= 4
	}
	out = append(out, flags)
	if e.mode == active {
		if flags&2 != 0 {
			out = appendU32(out, e.table)
		}
		out = w.appendConstant(out, e.offset)
	}
	if flags&3 != 0 {
		if e.inValues {
			out = append(out, e.refType)
		} else {
			out = append(out, 0)
		}
	}
	if e.inValues {
		out = appendU32(out, uint32(len(e.values)))
		for _, v := range e.values {
			out = w.appendConstant(out, v)
		}
		return out
	}
	out = appendU32(out, uint32(len(e.functions)))
	for _, f := range e.functions {
		out = appendU32(out, w.callee(f))
	}
	return out
}

func (w *rewriter) appendDatas(out []byte) []byte {
	if len(w.m.datas) == 0 {
		return out
	}
	return appendSection(out, sectionData, func(out []byte) []byte {
		out = appendU32(out, uint32(len(w.m.datas)))
		for _, d := range w.m.datas {
			if d.mode == passive {
				out = append(out, 1)
			} else {
				out = w.appendConstant(append(out, 0), d.offset)
			}
			out = appendBytes(out, d.bytes)
		}
		return out
	})
}
