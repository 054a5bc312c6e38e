//go:build !linux

package module

// reservation is not to be had here: memories lie in Go's heap.
type reservation struct{}

func reserve(*linear, uint64) *reservation { return nil }

func (*reservation) open(uint64) []byte { return nil }

func (*reservation) free() {}
