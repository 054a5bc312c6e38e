package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millwright-ci/millwright/agent/dockermachine"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// create has the flags of the driver that it is called with, so that it parses them itself, in two passes as docker-machine: the first
// finds the driver, the second takes its flags.
func (h *handStore) create() *cobra.Command {
	c := &cobra.Command{
		Use: "create --driver DRIVER [--DRIVER-OPTION...] NAME", Short: "Make a machine",
		Long: "Makes a machine and its engine ready. It is yours: no agent takes it for its jobs, nor removes it. `create --driver DRIVER --help`\n" +
			"lists the options of a driver too, which are those of `MachineOptions`; `millwright driver ls` lists the drivers.",
		DisableFlagParsing: true, DisableFlagsInUseLine: true,
	}
	if !h.byName {
		stateDirFlag(c)
	}
	c.Flags().StringP("driver", "d", os.Getenv("MACHINE_DRIVER"), "the driver that makes the machine (MACHINE_DRIVER)")
	c.Flags().BoolP("help", "h", false, "help, with the options of the driver")
	c.RunE = func(c *cobra.Command, args []string) error { return h.createArgs(c, args) }
	return c
}

func (h *handStore) createArgs(c *cobra.Command, args []string) error {
	c.DisableFlagParsing = false
	c.FParseErrWhitelist.UnknownFlags = true
	args = withTwoDashes(c, args)
	if err := c.ParseFlags(args); err != nil {
		return &usageError{c.CommandPath(), err}
	}
	if !h.byName {
		if err := h.app.before(c, nil); err != nil {
			return err
		}
	}
	driver, _ := c.Flags().GetString("driver")
	if driver == "" {
		err := h.createHelp(c, abi.Describe{Name: "DRIVER", Options: provision.HostOptions()})
		if help, _ := c.Flags().GetBool("help"); help || err != nil {
			return err
		}
		return &usageError{c.CommandPath(), errors.New("no driver is given; name it with --driver, or MACHINE_DRIVER")}
	}
	return h.with(c, func(m *dockermachine.Machines) error {
		desc, err := m.Described(driver)
		if err != nil {
			return err
		}
		if help, _ := c.Flags().GetBool("help"); help {
			return h.createHelp(c, desc)
		}
		options := driverFlags(c.Flags(), desc)
		c.FParseErrWhitelist.UnknownFlags = false
		if err := c.ParseFlags(withTwoDashes(c, args)); err != nil {
			return &usageError{c.CommandPath() + " --driver " + driver, err}
		}
		names := c.Flags().Args()
		if len(names) != 1 {
			if err := h.createHelp(c, desc); err != nil { // as docker-machine does; completions of shells read it
				return err
			}
			return &usageError{c.CommandPath() + " --driver " + driver, fmt.Errorf("Error: No machine name specified, or more than one: %q", names)} //nolint:staticcheck // docker-machine's words
		}
		return m.Create(c.Context(), driver, names[0], *options)
	})
}

// withTwoDashes gives flags that are known, and written with one dash, their second: docker-machine takes both.
func withTwoDashes(c *cobra.Command, args []string) []string {
	out := append([]string(nil), args...)
	for i, arg := range out {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if arg == "--" {
			break
		}
		if len(name) > 1 && strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && (c.Flags().Lookup(name) != nil || c.InheritedFlags().Lookup(name) != nil) {
			out[i] = "-" + arg
		}
	}
	return out
}

// driverFlags adds the options of a driver as flags, and returns where those that are given are put: as entries name=value.
func driverFlags(f *pflag.FlagSet, desc abi.Describe) *[]string {
	given := new([]string)
	for _, o := range desc.Options {
		if f.Lookup(o.Name) != nil {
			continue // ours, such as --help
		}
		added := f.VarPF(&optionValue{option: o, given: given}, o.Name, "", o.Help)
		if o.Type == abi.OptionBool {
			added.NoOptDefVal = "true"
		}
	}
	return given
}

// optionValue is a flag that notes what it is given. Its value is checked with all others, by the driver's description.
type optionValue struct {
	option abi.Option
	given  *[]string
}

// Set implements pflag.Value.
func (v *optionValue) Set(text string) error {
	if v.option.Role == abi.RoleFile {
		text = fromHere(v.option, text)
	}
	*v.given = append(*v.given, v.option.Name+"="+text)
	return nil
}

// fromHere makes a path that starts in the present folder an absolute one: whoever uses the machine later may be elsewhere. In a list it stands
// after KEY=.
func fromHere(o abi.Option, text string) string {
	key, path := "", text
	if o.Type == abi.OptionList {
		name, after, found := strings.Cut(text, "=")
		if !found {
			return text
		}
		key, path = name+"=", after
	}
	absolute, err := filepath.Abs(path)
	if path == "" || err != nil {
		return text
	}
	return key + absolute
}

// String implements pflag.Value.
func (v *optionValue) String() string { return "" }

// Type implements pflag.Value.
func (v *optionValue) Type() string { return string(v.option.Type) }

// createHelp prints how create is used with a driver.
func (h *handStore) createHelp(c *cobra.Command, desc abi.Describe) error {
	if h.byName {
		return dockerMachineOptions(h.app.out, c.Name(), desc.Options)
	}
	fmt.Fprintf(h.app.out, "Usage: %s --driver %s [OPTIONS] NAME\n\n", c.CommandPath(), desc.Name)
	if desc.Summary == "" {
		fmt.Fprintf(h.app.out, "%s\n\n", c.Long)
	} else {
		fmt.Fprintf(h.app.out, "%s: %s\n\n", desc.Name, desc.Summary)
	}
	w := tabwriter.NewWriter(h.app.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "OPTION\tTYPE\tENV\tDEFAULT\tHELP")
	fmt.Fprintf(w, "--driver, -d\tstring\tMACHINE_DRIVER\t-\tthe driver that makes the machine\n")
	for _, o := range desc.Options {
		fmt.Fprintf(w, "--%s\t%s\t%s\t%s\t%s\n", o.Name, optionType(o), dash(o.Env), cmp.Or(o.Default, "-"), o.Help)
	}
	return w.Flush()
}
