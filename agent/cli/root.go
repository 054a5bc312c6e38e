package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/cli/logs"
	"github.com/millwright-ci/millwright/agent/dockermachine"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked for failed, or a job did
	exitUsage  = 2 // the command line makes no sense
)

// errSilent makes the program exit with 1 and no further word, since all has been said.
var errSilent = errors.New("")

// app is what every command shares.
type app struct {
	name     string // that it was called by: millwright, gitlab-runner, docker-machine
	out, err io.Writer
	log      logging
	change   []func(*supervisor.Options)
	line     []string // the command line as a whole
}

func newApp(name string, out, err io.Writer) *app {
	a := &app{name: name, out: out, err: err}
	a.log.output = logs.New(err, &a.log.level)
	return a
}

// Main runs the command line and returns the exit code. change changes what the agent of the command run is made of: tests build a program
// of their own that dies where they wish.
func Main(args []string, change ...func(*supervisor.Options)) int {
	a := newApp(calledBy(args[0]), os.Stdout, os.Stderr)
	a.change, a.line = change, typed(args)
	defer logs.TakeStandard(a.quietLogger())() // run puts its own log in place
	root := a.root()
	if a.name == dockerMachineName {
		root = a.dockerMachineRoot()
	}
	root.SetArgs(longFlags(root, args[1:]))
	err := root.ExecuteContext(context.Background())
	var usage *usageError
	var exit *dockermachine.ExitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(a.err, "%s: %v\nsee `%s --help`\n", a.name, err, usage.command)
		if a.name != ownName {
			return exitFailed // these have no other code
		}
		return exitUsage
	case errors.Is(err, errSilent):
		return exitFailed
	case a.name == dockerMachineName: // scripts look for whole lines
		fmt.Fprintln(a.err, err)
	default:
		fmt.Fprintf(a.err, "%s: %v\n", a.name, err)
	}
	if errors.As(err, &exit) {
		return exit.Code
	}
	return exitFailed
}

// typed is the command line as people would write it: without the folder of a program that is found without it too.
func typed(args []string) []string {
	base := filepath.Base(args[0])
	if found, err := exec.LookPath(base); err == nil && found == args[0] {
		return append([]string{base}, args[1:]...)
	}
	return args
}

// The names that the binary may be called by.
const (
	ownName    = "millwright"
	runnerName = "gitlab-runner"
)

// calledBy is the name that a command line begins with: gitlab-runner or docker-machine, for who has scripts and services for these, or
// our own.
func calledBy(path string) string {
	switch name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".exe"); name {
	case runnerName, dockerMachineName:
		return name
	}
	return ownName
}

// longFlags gives the flags that are written with a single dash, as -config, their second one: GitLab Runner takes both.
func longFlags(root *cobra.Command, args []string) []string {
	c, _, err := root.Find(args)
	if err != nil {
		return args
	}
	out := slices.Clone(args)
	for i, arg := range out {
		if arg == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if len(name) > 1 && strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && (c.Flags().Lookup(name) != nil || c.InheritedFlags().Lookup(name) != nil) {
			out[i] = "-" + arg
		}
	}
	return out
}

// usageError is a command line that makes no sense.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   a.name,
		Short: "A lean agent for GitLab CI: jobs on machines that it makes, decided by sandboxed modules",
		Long: "Millwright runs GitLab CI jobs from the config.toml that you have, on machines that it makes and removes. Scaling policies and\n" +
			"machine drivers are sandboxed WebAssembly modules. `" + a.name + " config check` is the way to begin.",
		Version:           versionText(a.name),
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.before,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c.CommandPath(), err} })
	group(root)
	logFlags(root)
	section := func(title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: title, Title: title})
		for _, c := range commands {
			c.GroupID = title
		}
		root.AddCommand(commands...)
	}
	section("To run jobs:", a.runCommand(), a.runSingleCommand(), a.execCommand())
	section("To look at an agent, and lend it a hand:", a.configCommand(), a.machineCommand(), a.policyCommand(), a.driverCommand(), a.fleetingCommand(), a.freezeCommand(), a.unfreezeCommand())
	section("Runners in config.toml:", a.registerCommand(), a.unregisterCommand(), a.verifyCommand(), a.listCommand(), a.resetTokenCommand())
	section("The system's service:", a.serviceCommands()...)
	return root
}

// group makes c a command that only holds others: alone it prints its help, and what is none of them is refused with exit code 2.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		text := fmt.Sprintf("%s has no command %q", c.CommandPath(), args[0])
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			text += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return &usageError{c.CommandPath(), errors.New(text)}
	}
}

// before is what every command begins with.
func (a *app) before(c *cobra.Command, _ []string) error {
	if err := a.log.flags(c); err != nil {
		return err
	}
	return takeStateDir(c)
}

// noArgs refuses arguments with exit code 2.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{c.CommandPath(), fmt.Errorf("%s takes no arguments; %q is one", c.CommandPath(), args[0])}
	}
	return nil
}
