// Command bench measures an agent by size and writes docs/scale.md with its plots. It is `go tool task bench:scale`; run it from the root of
// the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/scale"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the bench, or one of the processes that it starts of itself.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "cloud" {
		return fakecloud.Command(args[1:], os.Stdin, os.Stdout)
	}
	if len(args) > 0 && args[0] == "coordinator" {
		return scale.Coordinator(os.Stdin, os.Stdout)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	agent := flags.String("agent", "", "the agent to measure (default: build ./agent/cmd/millwright)")
	sizes := flags.String("sizes", "0,10,100,300,1000", "numbers of machines; half as many jobs run on them; empty: write what --figures holds")
	docs := flags.String("docs", "docs", "folder that scale.md and scale-*.svg are written to; empty: none")
	profiles := flags.String("profiles", "", "folder for the agent's profiles at the end of each window; empty: none")
	figures := flags.String("figures", "", "file that keeps what was measured, so that sizes can be measured one by one; empty: none")
	size := scale.Size{}
	flags.DurationVar(&size.Window, "window", 30*time.Second, "how long an agent is watched, once idle and once with jobs")
	flags.DurationVar(&size.Settle, "settle", 20*time.Second, "how long it is left alone before")
	flags.DurationVar(&size.Lasts, "job", 3*time.Minute, "how long a job lasts on average")
	flags.DurationVar(&size.Patience, "patience", 30*time.Minute, "how long machines and jobs may take to come up")
	flags.IntVar(&size.Rate, "rate", 1000, "bytes of trace a second and job")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var report scale.Report
	if *figures != "" {
		if err := report.Recall(*figures); err != nil {
			return err
		}
	}
	report.Size = size
	wanted := strings.FieldsFunc(*sizes, func(r rune) bool { return r == ',' })
	if len(wanted) == 0 && *docs != "" { // what --figures holds is to be written anew
		if err := report.Write(*docs); err != nil {
			return err
		}
	}
	var p scale.Programs
	if len(wanted) > 0 {
		var end func()
		var err error
		if p, end, err = programs(ctx, *agent); err != nil {
			return err
		}
		defer end()
	}
	for _, text := range wanted {
		var err error
		if size.Machines, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
			return fmt.Errorf("--sizes: %w", err)
		}
		size.Jobs = size.Machines / 2
		idle, busy, err := scale.Measure(ctx, p, size, os.Stderr, func(what string, at scale.Look) { keep(*profiles, what, at) })
		if err != nil {
			return err
		}
		report.Add(idle, busy)
		if *figures != "" {
			if err := report.Keep(*figures); err != nil {
				return err
			}
		}
		if *docs != "" { // what there is so far is worth keeping
			if err := report.Write(*docs); err != nil {
				return err
			}
		}
	}
	if _, err := io.WriteString(os.Stdout, report.Table()); err != nil {
		return err
	}
	if missed := report.Missed(); len(missed) > 0 {
		return fmt.Errorf("bounds are missed:\n  %s", strings.Join(missed, "\n  "))
	}
	return nil
}

// programs are the agent, which is built when none is named, and this very program in its other roles.
func programs(ctx context.Context, agent string) (p scale.Programs, end func(), err error) {
	exe, err := os.Executable()
	if err != nil {
		return p, nil, err
	}
	dir, err := os.MkdirTemp("", "mwbench")
	if err != nil {
		return p, nil, err
	}
	clear := func() { os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			clear()
		}
	}()
	if agent == "" {
		agent = filepath.Join(dir, "millwright")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", agent, "./agent/cmd/millwright")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return p, nil, fmt.Errorf("build the agent: %w", err)
		}
	}
	if agent, err = filepath.Abs(agent); err != nil {
		return p, nil, err
	}
	driver := filepath.Join(dir, "fakecloud"+guests.Suffix)
	if _, err := guests.Build(ctx, filepath.FromSlash("examples/drivers/fakecloud"), driver); err != nil {
		return p, nil, err
	}
	wasm, err := guests.Read(driver)
	return scale.Programs{
		Agent: scale.Command{Args: []string{agent}}, Cloud: scale.Command{Args: []string{exe, "cloud"}},
		Coordinator: scale.Command{Args: []string{exe, "coordinator"}}, Driver: wasm,
	}, clear, err
}
