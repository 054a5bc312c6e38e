package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// counts sums tests, subtests included, and remembers how long each package took.
type counts struct {
	passed, failed, skipped int
	packages                []packageTime
	failures                []failure
	broken                  bool     // a package failed of which no test did: it does not compile, or ended in the middle
	raced                   bool     // the race detector found something
	unsteady                []string // tests that passed at the second try
}

type packageTime struct {
	name    string
	seconds float64
}

func (c *counts) add(o counts) {
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
	c.packages = append(c.packages, o.packages...)
	c.unsteady = append(c.unsteady, o.unsteady...)
}

// follow reads the events of one `go test -json`, prints a line for each package as it ends, and the whole output of each test that
// failed or was skipped.
func follow(r io.Reader, w io.Writer) counts {
	var c counts
	output := map[string][]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(w, lines.Text()) // a compiler's words
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "build-output": // of a package that does not compile; it belongs to no test
			fmt.Fprint(w, e.Output)
		case "output":
			output[key] = append(output[key], e.Output)
			c.raced = c.raced || strings.Contains(e.Output, "WARNING: DATA RACE")
		case "pass", "fail", "skip":
			c.note(e, strings.Join(output[key], ""), w)
			delete(output, key)
		}
	}
	return c
}

func (c *counts) note(e event, output string, w io.Writer) {
	if e.Test == "" {
		if e.Action == "fail" {
			fmt.Fprint(w, output)
			c.broken = c.broken || !slices.ContainsFunc(c.failures, func(f failure) bool { return f.pkg == e.Package })
		}
		if e.Action != "skip" { // a package without tests
			fmt.Fprintf(w, "%-4s %-60s %6.1fs\n", e.Action, short(e.Package), e.Elapsed)
			c.packages = append(c.packages, packageTime{short(e.Package), e.Elapsed})
		}
		return
	}
	switch e.Action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		c.fail(e.Package, e.Test, output)
		fmt.Fprint(w, output)
	case "skip":
		c.skipped++
		fmt.Fprint(w, output)
	}
}

// slowest prints the packages that took longest.
func (c *counts) slowest(w io.Writer) {
	slices.SortFunc(c.packages, func(a, b packageTime) int { return int(b.seconds*1000) - int(a.seconds*1000) })
	fmt.Fprintf(w, "\nslowest packages\n")
	for _, p := range c.packages[:min(10, len(c.packages))] {
		fmt.Fprintf(w, "%-60s %6.1fs\n", p.name, p.seconds)
	}
	fmt.Fprintln(w)
}

func short(pkg string) string {
	return strings.TrimPrefix(pkg, "github.com/millwright-ci/millwright/")
}
