package meter

import (
	"cmp"
	"slices"
)

// maxGap is over how many zero bytes two data segments are made one. The engine keeps about a hundred bytes for each segment of a module,
// and more in each of its instances; Go's linker leaves out every run of eight zeros, which makes tens of thousands of segments.
const maxGap = 64

var zeros [maxGap]byte

// mergeDatas makes neighbouring data segments one where that means the same: a memory of the module's own starts out as zeros, so a gap
// may be written as such, as long as nobody else writes there and no instruction names a segment by its number.
func (m *module) mergeDatas() {
	if m.memory == nil || m.dataCount >= 0 {
		return
	}
	for _, d := range m.datas {
		if d.mode != active || d.offset.op != opI32Const {
			return
		}
	}
	sorted := slices.Clone(m.datas)
	slices.SortStableFunc(sorted, func(a, b dataSegment) int { return cmp.Compare(a.start(), b.start()) })
	merged := sorted[:0]
	for _, d := range sorted {
		if len(merged) > 0 {
			last := &merged[len(merged)-1]
			gap := d.start() - last.end()
			if gap < 0 { // the order counts
				return
			}
			if gap <= maxGap {
				// What was read ends where its capacity does, so that append never writes into the module.
				last.bytes = append(append(last.bytes, zeros[:gap]...), d.bytes...)
				continue
			}
		}
		merged = append(merged, d)
	}
	m.datas = merged
}

// start is where the first byte goes; an address is unsigned, whatever the constant looks like.
func (d *dataSegment) start() int64 { return int64(uint32(d.offset.value)) }

func (d *dataSegment) end() int64 { return d.start() + int64(len(d.bytes)) }
