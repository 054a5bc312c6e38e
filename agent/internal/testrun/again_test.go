package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// flaky is a package whose tests fail as their names say.
const flaky = `package flaky

import (
	"os"
	"testing"
)

func TestGood(t *testing.T) {}

func TestOnce(t *testing.T) {
	t.Run("inner", func(t *testing.T) {
		if os.Getenv("ONCE") != "" && first() {
			t.Error("by accident")
		}
	})
}

func TestAlways(t *testing.T) {
	if os.Getenv("ALWAYS") != "" {
		t.Error("broken")
	}
}

func TestPanics(t *testing.T) {
	if os.Getenv("PANICS") != "" && first() {
		panic("once")
	}
}

// first tells whether this is the first process that asks.
func first() bool {
	_, err := os.OpenFile("asked", os.O_CREATE|os.O_EXCL, 0o600)
	return err == nil
}
`

func TestSecondTry(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want bool
	}{
		{[]string{"ONCE=1"}, true},
		{[]string{"ALWAYS=1"}, false},
		{[]string{"ONCE=1", "ALWAYS=1"}, false},
		{[]string{"PANICS=1"}, false},
	} {
		t.Run(strings.Join(tt.env, " "), func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range map[string]string{"go.mod": "module " + module + "/flaky\n", "flaky_test.go": flaky} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := step{env: append(tt.env, "GOWORK=off", "GOFLAGS="), packages: func(string) bool { return true }}
			c, err := s.run(t.Context())
			if err == nil || c.failed == 0 {
				t.Fatalf("the first run: %+v, %v; want a failure", c, err)
			}
			if got := s.again(t.Context(), &c); got != tt.want {
				t.Fatalf("the second try: %t, want %t; %+v", got, tt.want, c)
			}
			if want := []string{"flaky TestOnce"}; tt.want && (c.failed != 0 || c.passed != 5 || !slices.Equal(c.unsteady, want)) {
				t.Errorf("got %+v, want 5 passed and %q unsteady", c, want)
			}
		})
	}
}

// What failed too often, in too many tests, or as a whole package gets no second try.
func TestNoSecondTry(t *testing.T) {
	four := counts{failed: 4}
	for _, test := range []string{"TestA", "TestB", "TestC/inner", "TestD"} {
		four.fail("p", test, "")
	}
	for name, c := range map[string]counts{
		"too many":   four,
		"a race":     {failures: []failure{{pkg: "p", test: "TestA"}}, raced: true},
		"no package": {failures: []failure{{pkg: "p", test: "TestA"}}, broken: true},
		"nothing":    {},
	} {
		if got := c.secondTry(); len(got) > 0 {
			t.Errorf("%s: %v gets a second try", name, got)
		}
	}
}
