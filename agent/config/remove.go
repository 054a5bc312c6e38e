package config

import (
	"bytes"
	"fmt"
	"slices"
)

// RemoveRunner takes an entry out, with the comments in it and those right above its header.
func (d *Document) RemoveRunner(index int) error {
	if index < 0 || index >= len(d.runners) {
		return fmt.Errorf("runners[%d]: there are %d", index, len(d.runners))
	}
	all, err := d.entries()
	if err != nil {
		return err
	}
	cuts := cutsOf(d.data, all, index)
	var text []byte
	at := 0
	for _, c := range cuts {
		text = append(text, d.data[at:c[0]]...)
		at = c[1]
	}
	text = append(text, d.data[at:]...)
	return d.replace(0, len(d.data), string(text), func(root *table) {
		v := root.getFold("runners")
		v.list = slices.Delete(v.list, index, index+1)
		if len(v.list) == 0 {
			root.drop("runners")
		}
	})
}

// cutsOf are the ranges of an entry: one for each run of statements that no other part of the file interrupts.
func cutsOf(data []byte, all []placed, index int) [][2]int {
	var cuts [][2]int
	for i := 0; i < len(all); i++ {
		if all[i].runner != index {
			continue
		}
		start := above(data, all[i].start)
		for i+1 < len(all) && all[i+1].runner == index {
			i++
		}
		next := len(data)
		if i+1 < len(all) {
			next = above(data, all[i+1].start)
		}
		end := below(data, all[i].end, next)
		if end == len(data) { // nothing follows that the blank lines before would set apart
			start = len(bytes.TrimRight(data[:start], " \t\r\n"))
			if line := bytes.IndexByte(data[start:], '\n'); start > 0 && line >= 0 {
				start += line + 1
			}
		}
		cuts = append(cuts, [2]int{start, end})
	}
	return cuts
}

// above goes up over the comments that stand right above a line.
func above(data []byte, start int) int {
	for start > 0 {
		before := bytes.LastIndexByte(data[:start-1], '\n') + 1
		if line := bytes.TrimSpace(data[before:start]); len(line) == 0 || line[0] != '#' {
			break
		}
		start = before
	}
	return start
}

// below goes down over the comments right below a line, and then over blank lines, up to limit.
func below(data []byte, end, limit int) int {
	blank := false
	for end < limit {
		next := end + bytes.IndexByte(data[end:limit], '\n') + 1
		if next == end {
			next = limit
		}
		line := bytes.TrimSpace(data[end:next])
		if len(line) > 0 && blank {
			break
		}
		blank = blank || len(line) == 0
		end = next
	}
	return end
}
