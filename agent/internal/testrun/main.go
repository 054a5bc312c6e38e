// Command testrun is `go tool task test`: it runs each step of the test run, shows how far it is, and ends with a table of where the
// time went and one line that counts the tests. A step that fails does not stop the others, but the run. Up to three tests of a step that
// failed without a data race or a panic get a second try by themselves; those that then pass are named at the end.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// step is one part of the run. One with packages runs `go test` on those that it takes, with these flags, and its tests are counted.
type step struct {
	name     string
	packages func(pkg string) bool // by the path below the module's
	env      []string
	args     []string
}

// module is the path of the module that is tested.
const module = "github.com/millwright-ci/millwright"

// compiling are the packages whose tests spend their time on compiling Wasm modules, in processes that do one thing after the other: the race
// detector makes that five times as long and has little to find. What runs side by side in them is tested with it where it lives.
var compiling = []string{
	"agent/cli", "agent/driver/drivertest", "agent/grants", "agent/internal/fakecloud", "agent/module/meter", "agent/scaffold",
	"examples", "policies", "providers",
}

func compiles(pkg string) bool {
	return slices.ContainsFunc(compiling, func(folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") })
}

// longest are the packages that take longest, the longest first: what begins last should not take minutes while the other processors have nothing to do.
var longest = []string{"agent/supervisor", "agent/cli", "agent/job", "agent/job/faults", "agent/pool", "agent/internal/crashagent", "agent/executor/docker"}

// place is where a package stands among them; the rest comes after them.
func place(pkg string) int {
	if i := slices.Index(longest, below(pkg)); i >= 0 {
		return i
	}
	return len(longest)
}

// below is a package's path below the module's.
func below(pkg string) string { return strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/") }

var steps = []step{
	{name: "gofmt", args: []string{"sh", "-c", `test -z "$(gofmt -l agent hostfuncs policies providers sdk examples | tee /dev/stderr)"`}},
	{name: "vet", args: []string{"go", "vet", "./..."}},
	{name: "vet guests for wasip1", env: []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, args: []string{"go", "vet", "./policies/...", "./providers/...", "./sdk/go/..."}},
	{name: "tests with -race, real engine", packages: func(pkg string) bool { return !compiles(pkg) }, args: []string{"-race", "-count=1", "-timeout=20m"}},
	{name: "tests of what compiles modules", packages: compiles, args: []string{"-count=1", "-timeout=20m"}},
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
		if err != nil && s.packages != nil && ctx.Err() == nil && s.again(ctx, &c) {
			err = nil
		}
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
	for _, test := range total.unsteady {
		fmt.Printf("UNSTEADY: %s failed at first and passed at the second try; find out why\n", test)
	}
	if failed || ctx.Err() != nil {
		os.Exit(1)
	}
}

func (s step) run(ctx context.Context) (counts, error) {
	args := s.args
	if s.packages != nil {
		packages, err := s.list(ctx)
		if err != nil {
			return counts{}, err
		}
		return s.follow(ctx, slices.Concat([]string{"go", "test", "-json"}, args, packages), os.Stdout)
	}
	cmd := s.command(ctx, args)
	cmd.Stdout = os.Stdout
	return counts{}, cmd.Run()
}

func (s step) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// follow runs `go test -json` and counts its tests.
func (s step) follow(ctx context.Context, args []string, w io.Writer) (counts, error) {
	cmd := s.command(ctx, args)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return counts{}, err
	}
	if err := cmd.Start(); err != nil {
		return counts{}, err
	}
	c := follow(out, w)
	return c, cmd.Wait()
}

// list returns the packages that the step takes, by their whole paths, in the order in which to begin them.
func (s step) list(ctx context.Context) ([]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	packages := slices.DeleteFunc(strings.Fields(string(out)), func(pkg string) bool { return !s.packages(below(pkg)) })
	slices.SortStableFunc(packages, func(a, b string) int { return place(a) - place(b) })
	return packages, nil
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
