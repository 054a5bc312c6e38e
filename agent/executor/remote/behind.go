package remote

import (
	"bytes"
	"io"
)

// behind leaves out all that comes before a mark, and the mark: what a login says of its own accord is no answer.
type behind struct {
	mark  string
	seen  []byte
	found bool
	to    io.Writer
}

func (b *behind) Write(p []byte) (int, error) {
	if b.found {
		return b.to.Write(p)
	}
	b.seen = append(b.seen, p...)
	i := bytes.Index(b.seen, []byte(b.mark))
	if i < 0 {
		b.seen = b.seen[max(0, len(b.seen)-len(b.mark)):]
		return len(p), nil
	}
	b.found = true
	rest := b.seen[i+len(b.mark):]
	b.seen = nil
	if _, err := b.to.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// behind passes on what follows the mark that our commands print first.
func (h *Host) behind(to io.Writer) io.Writer { return &behind{mark: h.o.Job + "\n", to: to} }
