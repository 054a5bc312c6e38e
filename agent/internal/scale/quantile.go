package scale

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// histogram estimates a quantile of a histogram of seconds: series is its name and labels up to le, as name_bucket{on="tick". Within a
// bucket it interpolates, as Prometheus does. It is 0 when there was nothing.
func (p page) histogram(series string, q float64) time.Duration {
	type bucket struct{ le, n float64 }
	var buckets []bucket
	for key, n := range p {
		rest, ok := strings.CutPrefix(key, series)
		if !ok {
			continue
		}
		_, le, _ := strings.Cut(rest, `le="`)
		bound, err := strconv.ParseFloat(strings.TrimSuffix(le, `"}`), 64)
		if err == nil {
			buckets = append(buckets, bucket{bound, n})
		}
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return cmp.Compare(a.le, b.le) })
	if len(buckets) == 0 || buckets[len(buckets)-1].n == 0 {
		return 0
	}
	want := q * buckets[len(buckets)-1].n
	var below bucket
	for _, b := range buckets {
		if b.n >= want {
			if math.IsInf(b.le, 1) {
				return seconds(below.le)
			}
			return seconds(below.le + (b.le-below.le)*(want-below.n)/(b.n-below.n))
		}
		below = b
	}
	return 0
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// quantile of times as they were measured; 0 of none.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
