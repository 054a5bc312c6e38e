package meter

// This file writes the binary format. Numbers are always written in their shortest form, whatever form they were read in: the engine
// behind us reads some of them as one byte, and must see the same program as we did.

func appendU32(out []byte, v uint32) []byte {
	for v >= 0x80 {
		out = append(out, byte(v)|0x80)
		v >>= 7
	}
	return append(out, byte(v))
}

func appendSigned(out []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func appendName(out []byte, name string) []byte {
	return append(appendU32(out, uint32(len(name))), name...)
}

func appendBytes(out, data []byte) []byte {
	return append(appendU32(out, uint32(len(data))), data...)
}

// appendSection appends a section whose content is written by write.
func appendSection(out []byte, id byte, write func(out []byte) []byte) []byte {
	return appendSized(append(out, id), write)
}

// appendSized appends what write writes, with its length before it.
func appendSized(out []byte, write func(out []byte) []byte) []byte {
	const room = 5 // for the length, which is known only afterwards
	start := len(out)
	out = write(append(out, make([]byte, room)...))
	size := len(out) - start - room
	head := appendU32(out[start:start], uint32(size))
	copy(out[start+len(head):], out[start+room:])
	return out[:start+len(head)+size]
}
