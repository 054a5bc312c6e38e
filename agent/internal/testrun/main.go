// Command testrun is `go tool task test`: it runs each step of the test run, shows how far it is, and ends with a table of where the
// time went and one line that counts the tests. A step that fails does not stop the others, but the run.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

// step is one part of the run. A step with tests is a `go test` command, whose tests are counted.
type step struct {
	name  string
	tests bool
	env   []string
	args  []string
}

var steps = []step{
	{name: "gofmt", args: []string{"sh", "-c", `test -z "$(gofmt -l agent hostfuncs policies providers sdk examples | tee /dev/stderr)"`}},
	{name: "vet", args: []string{"go", "vet", "./..."}},
	{name: "vet guests for wasip1", env: []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, args: []string{"go", "vet", "./policies/...", "./providers/...", "./sdk/go/..."}},
	{name: "tests with -race, real engine", tests: true, args: []string{"go", "test", "-race", "-count=1", "-timeout=20m", "./..."}},
	{name: "build for linux/arm64", env: []string{"GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0"}, args: crossBuild},
	{name: "build for darwin/arm64", env: []string{"GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0"}, args: crossBuild},
	{name: "build for windows/amd64", env: []string{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"}, args: crossBuild},
}

var crossBuild = []string{"go", "build", "-o", os.DevNull, "./agent/cmd/millwright"}

// row is a line of the closing table.
type row struct {
	name  string
	took  time.Duration
	err   error
	count counts
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var rows []row
	var total counts
	failed := false
	for i, s := range steps {
		fmt.Printf("--- %d/%d %s\n", i+1, len(steps), s.name)
		start := time.Now()
		c, err := s.run(ctx)
		rows = append(rows, row{s.name, time.Since(start), err, c})
		total.add(c)
		if err != nil {
			failed = true
			fmt.Printf("--- %s: %v\n", s.name, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	table(rows)
	total.slowest(os.Stdout)
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	if failed || ctx.Err() != nil {
		os.Exit(1)
	}
}

func (s step) run(ctx context.Context) (counts, error) {
	args := s.args
	if s.tests {
		args = append([]string{"go", "test", "-json"}, args[2:]...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stderr = os.Stderr
	if !s.tests {
		cmd.Stdout = os.Stdout
		return counts{}, cmd.Run()
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return counts{}, err
	}
	if err := cmd.Start(); err != nil {
		return counts{}, err
	}
	c := follow(out, os.Stdout)
	return c, cmd.Wait()
}

func table(rows []row) {
	fmt.Printf("\n%-34s %9s  %s\n%s\n", "step", "time", "result", strings.Repeat("-", 62))
	var sum time.Duration
	for _, r := range rows {
		result := "ok"
		if r.err != nil {
			result = "FAILED"
		}
		if n := r.count.passed + r.count.failed; n > 0 {
			result = fmt.Sprintf("%s: %d passed, %d failed, %d skipped", result, r.count.passed, r.count.failed, r.count.skipped)
		}
		fmt.Printf("%-34s %8.1fs  %s\n", r.name, r.took.Seconds(), result)
		sum += r.took
	}
	fmt.Printf("%-34s %8.1fs\n", "all", sum.Seconds())
}
