package trace

// masked stands for what is hidden.
const masked = "[MASKED]"

// secretMask replaces secrets by [MASKED] in one stream. Secrets that overlap in the text give a single [MASKED], so that no end of
// either shows; secrets side by side give one each. What may still become a secret is held back until the next write or the flush:
// never more than the longest secret. The output depends on the bytes alone, not on how the writes cut them.
type secretMask struct {
	secrets *matcher
	state   int32
	held    []byte
	spans   []span // what is hidden in held, in order, apart from each other
}

// span is a range of bytes to hide. One that begins before 0 has its [MASKED] in the output already.
type span struct{ start, end int }

// write appends to dst what can be told of the stream after p. A changed set of secrets applies to what is held and to all that
// follows; a set only ever grows.
func (s *secretMask) write(dst, p []byte, secrets *matcher) []byte {
	from := len(s.held)
	if s.secrets != secrets {
		s.secrets, s.state, from = secrets, 0, 0
		if len(s.spans) > 0 && s.spans[0].start >= 0 {
			s.spans = s.spans[:0]
		} else {
			s.spans = s.spans[:min(len(s.spans), 1)]
		}
	}
	if secrets == nil {
		return append(dst, p...)
	}
	text := p
	if len(s.held) > 0 {
		s.held = append(s.held, p...)
		text = s.held
	}
	s.scan(text, from)
	cut := len(text) - int(secrets.nodes[s.state].depth)
	dst = s.emit(dst, text, cut)
	s.held = append(s.held[:0], text[cut:]...)
	return dst
}

// flush appends what is held back: no more of it will come.
func (s *secretMask) flush(dst []byte) []byte {
	dst = s.emit(dst, s.held, len(s.held))
	s.held, s.spans, s.state = s.held[:0], s.spans[:0], 0
	return dst
}

// scan finds the secrets that end in text[from:] and joins those that overlap.
func (s *secretMask) scan(text []byte, from int) {
	for i := from; ; {
		end, state, length := s.secrets.next(text, i, s.state)
		s.state = state
		if length == 0 {
			return
		}
		found := span{end - length, end}
		for n := len(s.spans); n > 0 && s.spans[n-1].end > found.start; n-- {
			found.start = min(found.start, s.spans[n-1].start)
			s.spans = s.spans[:n-1]
		}
		s.spans = append(s.spans, found)
		i = end
	}
}

// emit appends text[:cut] with its spans hidden, and keeps the spans of the rest, counted from cut. Every secret that begins before
// cut has been found.
func (s *secretMask) emit(dst, text []byte, cut int) []byte {
	pos, kept := 0, s.spans[:0]
	for _, sp := range s.spans {
		if sp.start >= cut {
			kept = append(kept, span{sp.start - cut, sp.end - cut})
			continue
		}
		if sp.start >= 0 {
			dst = append(dst, text[pos:sp.start]...)
			dst = append(dst, masked...)
		}
		pos = min(sp.end, cut)
		if sp.end > cut {
			kept = append(kept, span{-1, sp.end - cut})
		}
	}
	s.spans = kept
	return append(dst, text[pos:cut]...)
}
