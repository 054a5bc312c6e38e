package trace

// matcher finds byte strings in a stream. It is the automaton of Aho and Corasick, kept as a tree with failure links because its size
// then grows with the patterns alone: a masked private key of 3 KiB costs 72 KiB. It does not change once it is built, so the
// writers of a trace share it, each with a state of its own.
//
// The state is a node. Its depth is the length of the longest end of the text so far that some pattern begins with; so every match
// that is still possible begins within the last depth bytes.
//
// Source: A. V. Aho, M. J. Corasick, "Efficient string matching: an aid to bibliographic search", CACM 18 (1975).
type matcher struct {
	nodes []node
	// firsts holds the nodes below the root, after a 0; first says by the byte that leads there which one it is.
	firsts []int32
	first  [256]uint16
	// pairs has a bit for each two bytes that a pattern can begin with, and for those that share its place. In the root state, where
	// a scan spends nearly all of its time, one look at it passes over a byte. It is small, since each job has tables of its own.
	pairs [pairBits / 64]uint64
}

// pairBits is a power of two. A dozen secrets leave one byte in fifty of a text to a closer look.
const pairBits = 1 << 10

// place is the bit of two bytes. Letters that are near each other have places of their own.
func place(first, second byte) uint { return (uint(first)<<5 ^ uint(second)) % pairBits }

type node struct {
	fail    int32 // the longest proper end of this node's string that is a node too
	child   int32 // the first child; 0 is none
	sibling int32 // the next child of the same parent; 0 is none
	depth   int32
	longest int32 // length of the longest pattern that ends here; 0 is none
	b       byte  // the byte that leads here
}

// newMatcher builds the automaton. Empty patterns are left out; without any other the result is nil, which matches nothing.
func newMatcher(patterns []string) *matcher {
	m := &matcher{nodes: make([]node, 1), firsts: make([]int32, 1)}
	for _, p := range patterns {
		if p != "" {
			m.add(p)
		}
	}
	if len(m.nodes) == 1 {
		return nil
	}
	m.link()
	return m
}

func (m *matcher) add(pattern string) {
	at := int32(0)
	for i := range len(pattern) {
		b := pattern[i]
		next := m.childOf(at, b)
		if next == 0 {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, node{b: b, depth: m.nodes[at].depth + 1, sibling: m.nodes[at].child})
			m.nodes[at].child = next
			if at == 0 {
				m.first[b] = uint16(len(m.firsts))
				m.firsts = append(m.firsts, next)
			}
		}
		at = next
	}
	m.nodes[at].longest = m.nodes[at].depth
	if len(pattern) > 1 {
		m.setPair(place(pattern[0], pattern[1]))
		return
	}
	for second := range 256 {
		m.setPair(place(pattern[0], byte(second)))
	}
}

func (m *matcher) setPair(k uint) { m.pairs[k>>6] |= 1 << (k & 63) }

func (m *matcher) childOf(at int32, b byte) int32 {
	if at == 0 {
		return m.firsts[m.first[b]]
	}
	for c := m.nodes[at].child; c != 0; c = m.nodes[c].sibling {
		if m.nodes[c].b == b {
			return c
		}
	}
	return 0
}

// link sets the failure links, breadth first, so that a node's link is known before its children's.
func (m *matcher) link() {
	queue := make([]int32, 0, len(m.nodes))
	queue = append(queue, 0)
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		for c := m.nodes[at].child; c != 0; c = m.nodes[c].sibling {
			if at != 0 {
				m.nodes[c].fail = m.step(m.nodes[at].fail, m.nodes[c].b)
			}
			if m.nodes[c].longest == 0 {
				m.nodes[c].longest = m.nodes[m.nodes[c].fail].longest
			}
			queue = append(queue, c)
		}
	}
}

// step returns the state after b.
func (m *matcher) step(state int32, b byte) int32 {
	for state != 0 {
		if c := m.childOf(state, b); c != 0 {
			return c
		}
		state = m.nodes[state].fail
	}
	return m.firsts[m.first[b]]
}

// next scans p from i on until a pattern ends, and returns the index after its last byte, the state there and the length of the
// longest pattern that ends there: 0, with the index len(p), when none does.
func (m *matcher) next(p []byte, i int, state int32) (end int, after int32, length int) {
	for i < len(p) {
		if state == 0 {
			for i+1 < len(p) {
				k := place(p[i], p[i+1])
				if m.pairs[k>>6]&(1<<(k&63)) != 0 {
					break
				}
				i++
			}
		}
		state = m.step(state, p[i])
		i++
		if n := m.nodes[state].longest; n != 0 {
			return i, state, int(n)
		}
	}
	return i, state, 0
}
