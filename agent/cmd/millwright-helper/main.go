// Command millwright-helper is the program inside the helper image: it uploads and downloads artifacts, packs and unpacks caches, makes
// volumes writable and waits for services. Its sub-commands and flags are those of gitlab-runner-helper, whose name it also bears in
// the image, so that either image serves either agent. Called gitlab-runner-build it starts the shell of a stage.
//
// It goes onto every machine and stays slim: files and HTTP, nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Stamped by the build.
var (
	version  = "development"
	revision = "unknown"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	args := os.Args[1:]
	if name == buildName {
		args = append([]string{buildName}, args...)
	}
	os.Exit(run(ctx, args, console{os.Stdout, os.Stderr}))
}

// console is where a command writes: what was asked for, and what there is to say.
type console struct{ out, err io.Writer }

// say writes one line for the job's trace.
func (c console) say(format string, args ...any) { fmt.Fprintf(c.err, format+"\n", args...) }

// command is one sub-command. It reads its own flags.
type command struct {
	name  string
	usage string
	run   func(ctx context.Context, args []string, c console) error
}

var commands = []command{
	{"artifacts-uploader", "pack files and send them to the coordinator", uploadArtifacts},
	{"artifacts-downloader", "fetch another job's artifacts and unpack them here", downloadArtifacts},
	{"cache-archiver", "pack files into a cache archive", archiveCache},
	{"cache-extractor", "unpack a cache archive here", extractCache},
	{"cache-init", "make folders writable for every user", initCache},
	{"health-check", "wait until a service opens a port", checkHealth},
	{buildName, "run a script, or standard input, with the first shell there is", build},
}

// run returns the exit code: 0, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, args []string, c console) int {
	if len(args) == 0 {
		usage(c.err)
		return 2
	}
	switch args[0] {
	case "--version", "-v", "version":
		fmt.Fprintf(c.out, "millwright-helper %s (%s, %s/%s)\n", version, revision, runtime.GOOS, runtime.GOARCH)
		return 0
	case "--help", "-h", "help":
		usage(c.out)
		return 0
	}
	i := slices.IndexFunc(commands, func(cmd command) bool { return cmd.name == args[0] })
	if i < 0 {
		c.say("ERROR: there is no command %q; --help lists them", args[0])
		return 2
	}
	err := commands[i].run(ctx, args[1:], c)
	var exit exitCode
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &exit):
		return int(exit)
	}
	c.say("ERROR: %v", err)
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func usage(w io.Writer) {
	fmt.Fprint(w, "millwright-helper COMMAND [FLAGS], inside the helper container of a job\n\n")
	for _, cmd := range commands {
		fmt.Fprintf(w, "  %-22s %s\n", cmd.name, cmd.usage)
	}
	fmt.Fprintln(w, "  --version              say which release this is")
}

// exitCode ends the program with a code when all has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a wrong command line.
type usageError struct{ error }
