package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFollow(t *testing.T) {
	const events = `{"Action":"build-output","ImportPath":"p","Output":"p.go:1: broken\n"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"quiet please\n"}
{"Action":"pass","Package":"p","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    p_test.go:7: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestBad","Elapsed":0.1}
{"Action":"output","Package":"p","Test":"TestNoEngine","Output":"    needs an engine\n"}
{"Action":"skip","Package":"p","Test":"TestNoEngine"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"Action":"skip","Package":"no tests here"}
not json
`
	var out strings.Builder
	c := follow(strings.NewReader(events), &out)
	if c.passed != 1 || c.failed != 1 || c.skipped != 1 || len(c.packages) != 1 {
		t.Errorf("got %d passed, %d failed, %d skipped, %d packages; want 1 of each", c.passed, c.failed, c.skipped, len(c.packages))
	}
	for _, want := range []string{"p.go:1: broken", "got 1", "needs an engine", "not json"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "quiet please") {
		t.Error("the output of a test that passed is shown")
	}
}

// Each package is tested by one step.
func TestPackages(t *testing.T) {
	for pkg, want := range map[string]string{
		"agent/module": "tests with -race, real engine", "agent/module/meter": "tests of what compiles modules",
		"agent/module/meter/kernel": "tests of what compiles modules", "agent/client": "tests with -race, real engine", "": "tests with -race, real engine",
	} {
		var got []string
		for _, s := range steps {
			if s.packages != nil && s.packages(pkg) {
				got = append(got, s.name)
			}
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%q is tested by %q, want %q", pkg, got, want)
		}
	}
	for _, s := range steps {
		if s.packages == nil {
			continue
		}
		list, err := s.list(t.Context())
		if err != nil || len(list) == 0 { // go list runs in this folder
			continue
		}
		if len(list) != 1 || !strings.HasSuffix(list[0], "agent/internal/testrun") || !strings.Contains(s.name, "-race") {
			t.Errorf("%s takes %q", s.name, list)
		}
	}
}

// What takes longest is there, and begins first.
func TestPlace(t *testing.T) {
	for i, pkg := range longest {
		if _, err := os.Stat(filepath.Join("..", "..", "..", pkg)); err != nil {
			t.Error(err)
		}
		if got := place(module + "/" + pkg); got != i || got >= place(module+"/agent/archive") {
			t.Errorf("%s has the place %d, want %d", pkg, got, i)
		}
	}
}
