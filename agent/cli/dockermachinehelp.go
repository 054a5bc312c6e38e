package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// dockerMachineHelp has the command line by the name of docker-machine give its overview in docker-machine's form. The commands come last, after a
// line "Commands:", each behind two spaces and with tabs before what it does: from there docker-machine's completion of zsh takes them.
func dockerMachineHelp(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c != root {
			help(c, args)
			return
		}
		w := c.OutOrStdout()
		fmt.Fprintf(w, "Usage: %s [OPTIONS] COMMAND [arg...]\n\n%s\n\nVersion: %s\n\n", c.Name(), c.Long,
			strings.TrimPrefix(c.Version, dockerMachineName+" version "))
		fmt.Fprintf(w, "Options:\n%s\nCommands:\n", c.LocalFlags().FlagUsages())
		commands := tabwriter.NewWriter(w, 0, 8, 1, '\t', 0)
		for _, command := range c.Commands() {
			if command.IsAvailableCommand() || command.Name() == "help" {
				fmt.Fprintf(commands, "  %s\t%s\n", command.Name(), command.Short)
			}
		}
		_ = commands.Flush() // nobody is left to tell
		fmt.Fprintf(w, "\nRun '%s COMMAND --help' for more about one of them. Most are for the machine \"default\" when no name is given.\n", c.Name())
	})
}

// dockerMachineOptions prints the options of create in docker-machine's form, which its completions of bash and zsh take apart: three spaces and
// the name, with a default in quotes, or for a list `[--NAME option --NAME option]`, then what it is for, and its variable as [$ENV]. No other line
// may have the driver's name in it, which may be docker: zsh takes each that does for one of its options.
func dockerMachineOptions(w io.Writer, command string, options []abi.Option) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [OPTIONS] NAME\n\nMakes a machine, which no agent takes for its jobs.\n\nOptions:\n\n", command)
	const line = "   %-44s   %s\n" // what is longer takes the room that it needs
	fmt.Fprintf(&b, line, "--driver, -d", "the driver that makes the machine; when it is given, its options are listed too [$MACHINE_DRIVER]")
	for _, o := range options {
		name, help := "--"+o.Name, o.Help
		if o.Required {
			help += " (required)"
		}
		if o.Env != "" {
			help += " [$" + o.Env + "]"
		}
		switch {
		case o.Type == abi.OptionList:
			name += " [" + name + " option " + name + " option]"
		case o.Default != "" && o.Type != abi.OptionBool:
			name += ` "` + o.Default + `"`
		}
		fmt.Fprintf(&b, line, name, help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
