package drivertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
)

// Difference is one between what two drivers made: a path of names and numbers, such as instance.tags.items.0, with both values; "" is none.
type Difference struct {
	Path         string
	Theirs, Ours string
}

// Differences lists what two values do not have in common, as JSON has them, sorted by path. What is empty counts as absent.
func Differences(t testing.TB, theirs, ours any) []Difference {
	t.Helper()
	a, b := leaves(t, theirs), leaves(t, ours)
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	var out []Difference
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if a[path] != b[path] {
			out = append(out, Difference{path, a[path], b[path]})
		}
	}
	return out
}

func leaves(t testing.TB, value any) map[string]string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	flatten(out, "", plain)
	return out
}

func flatten(out map[string]string, path string, value any) {
	below := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch v := value.(type) {
	case map[string]any:
		for name, part := range v {
			flatten(out, below(name), part)
		}
	case []any:
		for i, part := range v {
			flatten(out, below(fmt.Sprint(i)), part)
		}
	case nil:
	case bool:
		if v {
			out[path] = "true"
		}
	default:
		if text := fmt.Sprint(v); text != "" {
			out[path] = text
		}
	}
}

// Known are the differences that are meant, by patterns of their paths, each with its reason. Check reports what none of them covers; Unused those
// that never came.
type Known struct {
	reasons map[string]string
	used    map[string]bool
}

// NewKnown takes reasons by pattern: regular expressions that match a whole path.
func NewKnown(reasons map[string]string) *Known {
	return &Known{reasons, map[string]bool{}}
}

// Check reports the differences that nobody means.
func (k *Known) Check(t testing.TB, found []Difference) {
	t.Helper()
	for _, d := range found {
		meant := false
		for pattern := range k.reasons {
			if regexp.MustCompile("^(?:" + pattern + ")$").MatchString(d.Path) {
				meant, k.used[pattern] = true, true
			}
		}
		if !meant {
			t.Errorf("%s: docker-machine makes %q, ours %q", d.Path, d.Theirs, d.Ours)
		}
	}
}

// Unused reports differences that are meant and were never seen.
func (k *Known) Unused(t testing.TB) {
	t.Helper()
	for _, pattern := range slices.Sorted(maps.Keys(k.reasons)) {
		if !k.used[pattern] {
			t.Errorf("the difference %s (%s) is not there any more", pattern, k.reasons[pattern])
		}
	}
}
