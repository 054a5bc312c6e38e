package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Figures are what decisions on one snapshot took.
type Figures struct {
	Calls int           `json:"calls"`
	P50   time.Duration `json:"p50_ns"`
	P95   time.Duration `json:"p95_ns"`
	Max   time.Duration `json:"max_ns"`
	// Fuel is the most that a decision used.
	Fuel int64 `json:"fuel"`
	// Pages of 64 KB that the guest's memory has in the end, and by how many each call of the second half made it grow. The first half is
	// for garbage collectors to find their size; a guest that still grows after it frees nothing.
	Pages        int64   `json:"pages"`
	PagesPerCall float64 `json:"pages_per_call"`
}

const page = 64 << 10 // bytes

// Bench takes the time of n decisions, one after the other in one instance. input is the snapshot's bytes.
func Bench(ctx context.Context, m *module.Module, input []byte, n int) (Figures, error) {
	t := &trial{m: m}
	return t.measure(ctx, input, n)
}

func (t *trial) measure(ctx context.Context, input []byte, n int) (Figures, error) {
	n = max(n, 1)
	t.m.Renew()
	times := make([]time.Duration, n)
	var f Figures
	var half int64 // of the memory, in bytes
	for i := range n {
		_, u, err := t.call(ctx, abi.ExportDecide, input)
		if err != nil {
			return f, fmt.Errorf("decision %d: %w", i+1, err)
		}
		if i == n/2 {
			half = u.Memory
		}
		times[i] = u.Time
		f.Fuel, f.Pages = max(f.Fuel, u.Fuel), u.Memory/page
	}
	slices.Sort(times)
	at := func(share float64) time.Duration { return times[int(share*float64(n-1))] }
	f.Calls, f.P50, f.P95, f.Max = n, at(0.5), at(0.95), at(1)
	f.PagesPerCall = float64(f.Pages-half/page) / float64(n-n/2)
	return f, nil
}
