package specvectors

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Run runs test on every vector of a family that bears a tag, each as a test of its own. A vector whose expectations are not all
// asserted fails, and so does a test that skips.
func Run(t *testing.T, f Family, tag Tag, test func(t *testing.T, v Vector, want *Expectation)) {
	t.Helper()
	ran := 0
	for _, v := range Of(f) {
		values, tagged := v.Want[tag]
		if !tagged {
			continue
		}
		ran++
		t.Run(v.Name(), func(t *testing.T) {
			want := &Expectation{values: values, asserted: map[string]bool{}}
			defer want.complete(t, v)
			test(t, v, want)
		})
	}
	if ran == 0 {
		t.Errorf("no vector of the %s is tagged %s", f, tag)
	}
}

// Expectation is what a vector expects of whoever runs it. Its methods are for one goroutine.
type Expectation struct {
	values   Want
	asserted map[string]bool
}

// Has tells whether the vector expects anything of that name.
func (e *Expectation) Has(name string) bool { _, ok := e.values[name]; return ok }

// Is asserts that got is what the vector expects under name. The types must be the same.
func (e *Expectation) Is(t testing.TB, name string, got any) {
	t.Helper()
	e.asserted[name] = true
	if want, ok := e.values[name]; !ok || !reflect.DeepEqual(want, got) {
		t.Errorf("%s: got %#v, want %#v", name, got, want)
	}
}

// In asserts that text holds what the vector expects under name.
func (e *Expectation) In(t testing.TB, name, text string) {
	t.Helper()
	e.asserted[name] = true
	if want, ok := e.values[name].(string); !ok || want == "" || !strings.Contains(text, want) {
		t.Errorf("%s: got %q, want %q in it", name, text, want)
	}
}

func (e *Expectation) complete(t *testing.T, v Vector) {
	for name := range e.values {
		if !e.asserted[name] {
			t.Errorf("%s: nobody asserts %q (%s)", v.Name(), name, v.What)
		}
	}
}

// Span writes names of machines, such as those that a plan removes, as the vectors do: "m003-m007" for a run of them, "" for none.
func Span(names []string) string {
	names = slices.Sorted(slices.Values(names))
	var spans []string
	for i := 0; i < len(names); {
		j := i
		for j+1 < len(names) && names[j+1] == next(names[j]) {
			j++
		}
		if i == j {
			spans = append(spans, names[i])
		} else {
			spans = append(spans, names[i]+"-"+names[j])
		}
		i = j + 1
	}
	return strings.Join(spans, ",")
}

func next(name string) string {
	n := 0
	if _, err := fmt.Sscanf(name, "m%d", &n); err != nil {
		return ""
	}
	return machineName(n + 1)
}

func machineName(n int) string { return fmt.Sprintf("m%03d", n) }
