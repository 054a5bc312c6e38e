package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// mayFail is how many tests of a step get a second try. More is no accident.
const mayFail = 3

// failure is a test that failed, without those within it.
type failure struct {
	pkg, test string
	final     bool // it panicked: a second try would prove nothing
}

// fail notes that a test failed.
func (c *counts) fail(pkg, test, output string) {
	top, _, _ := strings.Cut(test, "/")
	final := strings.Contains(output, "\npanic: ")
	for i := range c.failures {
		if f := &c.failures[i]; f.pkg == pkg && f.test == top {
			f.final = f.final || final
			return
		}
	}
	c.failures = append(c.failures, failure{pkg, top, final})
}

// secondTry returns the tests that are worth one, by package: nil where a package failed as a whole, too much failed, or what failed is there
// however seldom it shows.
func (c *counts) secondTry() map[string][]string {
	if c.broken || c.raced || len(c.failures) > mayFail || slices.ContainsFunc(c.failures, func(f failure) bool { return f.final }) {
		return nil
	}
	byPackage := map[string][]string{}
	for _, f := range c.failures {
		byPackage[f.pkg] = append(byPackage[f.pkg], f.test)
	}
	return byPackage
}

// again runs the tests that failed once more, by themselves, and tells whether all of them passed. Real engines, clouds and processes on
// a busy host now and then meet what no test foresaw: that is shown in the run's last lines, to be looked into, and stops nobody's work.
func (s step) again(ctx context.Context, c *counts) bool {
	tests := c.secondTry()
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		fmt.Printf("--- second try of %s: %s\n", short(pkg), strings.Join(tests[pkg], ", "))
		args := slices.Concat([]string{"go", "test", "-json"}, s.args, []string{"-run", "^(" + strings.Join(tests[pkg], "|") + ")$", pkg})
		got, err := s.follow(ctx, args, os.Stdout)
		if err != nil || got.failed > 0 || got.passed < len(tests[pkg]) {
			return false
		}
		for _, test := range tests[pkg] {
			c.unsteady = append(c.unsteady, short(pkg)+" "+test)
		}
	}
	if len(tests) == 0 {
		return false
	}
	c.passed, c.failed = c.passed+c.failed, 0
	return true
}
