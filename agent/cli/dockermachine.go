package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millwright-ci/millwright/agent/dockermachine"
)

// dockerMachineName is docker-machine's, which the binary may be called by.
const dockerMachineName = "docker-machine"

// dockerMachineRoot is the command line of the binary by the name of docker-machine.
func (a *app) dockerMachineRoot() *cobra.Command {
	root := &cobra.Command{
		Use: dockerMachineName, Short: "Make and manage machines that run a Docker engine",
		Long: "docker-machine's command line, by Millwright.", Version: dockerMachineVersion(),
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c.CommandPath(), err} })
	root.CompletionOptions.DisableDefaultCmd = true
	group(root)
	h := &handStore{app: a, byName: true}
	h.flags(root)
	root.Flags().BoolP("version", "v", false, "print the version")
	root.AddCommand(h.commands()...)
	root.AddCommand(h.ls(), h.rm())
	dockerMachineHelp(root)
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Aliases = []string{"h"}
		}
	}
	return root
}

func dockerMachineVersion() string {
	return fmt.Sprintf("%s version 0.16.2-millwright.%s, build %s", dockerMachineName, Version, revision())
}

// commands are those of docker-machine that `millwright machine` does not have in its own way.
func (h *handStore) commands() []*cobra.Command {
	list := []*cobra.Command{
		h.create(), h.inspect(), h.ssh(), h.scp(), h.mount(), h.env(), h.active(), h.regenerateCerts(), h.version(),
		h.simple("ip [NAME...]", "Print the addresses of machines", (*dockermachine.Machines).IP),
		h.simple("url [NAME]", "Print where a machine's engine answers", (*dockermachine.Machines).URL),
		h.logs(), h.config(),
		h.simpleContext("status [NAME]", "Print a machine's state in a word", (*dockermachine.Machines).Status),
		h.simpleContext("provision [NAME...]", "Provision machines again; what is as it should be stays", (*dockermachine.Machines).Provision),
		h.simpleContext("upgrade [NAME...]", "Bring the engines of machines up to date", (*dockermachine.Machines).Upgrade),
	}
	for op, short := range map[string]string{"start": "Start machines", "stop": "Stop machines", "kill": "Stop machines at once", "restart": "Restart machines"} {
		list = append(list, h.simpleContext(op+" [NAME...]", short, func(m *dockermachine.Machines, ctx context.Context, names []string) error {
			return m.Switch(ctx, op, names)
		}))
	}
	return list
}

// command finishes a command over the store.
func (h *handStore) command(c *cobra.Command, do func(c *cobra.Command, m *dockermachine.Machines, args []string) error) *cobra.Command {
	c.DisableFlagsInUseLine = true
	if !h.byName {
		stateDirFlag(c)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		return h.with(c, func(m *dockermachine.Machines) error { return do(c, m, args) })
	}
	return c
}

func (h *handStore) simple(use, short string, do func(*dockermachine.Machines, []string) error) *cobra.Command {
	return h.command(&cobra.Command{Use: use, Short: short}, func(_ *cobra.Command, m *dockermachine.Machines, args []string) error { return do(m, args) })
}

func (h *handStore) simpleContext(use, short string, do func(*dockermachine.Machines, context.Context, []string) error) *cobra.Command {
	return h.command(&cobra.Command{Use: use, Short: short}, func(c *cobra.Command, m *dockermachine.Machines, args []string) error {
		return do(m, c.Context(), args)
	})
}

func (h *handStore) config() *cobra.Command {
	var swarm bool
	c := h.simpleContext("config [NAME]", "Print the flags that connect Docker's client to a machine", func(m *dockermachine.Machines, ctx context.Context, names []string) error {
		h.noSwarm(swarm)
		return m.Config(ctx, names)
	})
	swarmFlag(c, &swarm)
	return c
}

func (h *handStore) logs() *cobra.Command {
	var which dockermachine.LogKind
	c := h.simpleContext("logs [NAME]", "Print a machine's console, or what provisioning it wrote", func(m *dockermachine.Machines, ctx context.Context, names []string) error {
		return m.Logs(ctx, names, which)
	})
	c.Long = "Prints what a machine wrote to its console, where its driver can tell (google, amazonec2, docker), and else what provisioning it wrote."
	c.Flags().BoolVar(&which.Console, "console", false, "the console, or why there is none")
	c.Flags().BoolVar(&which.Provision, "provision", false, "what provisioning it wrote")
	c.MarkFlagsMutuallyExclusive("console", "provision")
	return c
}

func swarmFlag(c *cobra.Command, on *bool) {
	c.Flags().BoolVar(on, "swarm", false, "accepted and ignored: classic Swarm is gone")
}

func (h *handStore) noSwarm(on bool) {
	if on {
		fmt.Fprintln(h.app.err, "--swarm is ignored: classic Swarm is gone")
	}
}

func (h *handStore) env() *cobra.Command {
	var how dockermachine.Environment
	var swarm bool
	c := h.simpleContext("env [NAME]", "Print the variables that connect Docker's client to a machine", func(m *dockermachine.Machines, ctx context.Context, names []string) error {
		h.noSwarm(swarm)
		return m.Env(ctx, names, how)
	})
	f := c.Flags()
	f.StringVar(&how.Shell, "shell", "", "the shell that is to take them over: bash, fish, powershell, cmd, tcsh, emacs; default: that of $SHELL")
	f.BoolVarP(&how.Unset, "unset", "u", false, "print what takes the variables away again")
	f.BoolVar(&how.NoProxy, "no-proxy", false, "have the machine's address in NO_PROXY too")
	swarmFlag(c, &swarm)
	return c
}

func (h *handStore) inspect() *cobra.Command {
	var format string
	c := h.simple("inspect [NAME]", "Print what is known of a machine", func(m *dockermachine.Machines, names []string) error { return m.Inspect(names, format) })
	c.Flags().StringVarP(&format, "format", "f", "", "a Go template over the JSON, such as {{.Driver.IPAddress}}")
	return c
}

// perform makes the errors of a remote command's end those of the command line.
func (h *handStore) perform(err error) error {
	var exit *dockermachine.ExitError
	if h.byName && errors.As(err, &exit) {
		exit.Code = exitFailed // docker-machine loses the code, and scripts look for 1
	}
	return err
}

func (h *handStore) ssh() *cobra.Command {
	c := h.command(&cobra.Command{
		Use: "ssh [NAME] [COMMAND...]", Short: "Run a command on a machine, or a shell",
		Long: "Runs a command on a machine, or a shell when there is none. Flags of the command are the machine's. What begins with a dash right\n" +
			"after the name is an option of OpenSSH's ssh, which must be on the PATH for that.",
		Example: "  " + h.prefix() + " ssh builder df -h\n  " + h.prefix() + " ssh builder -L 8080:localhost:8080",
	}, func(c *cobra.Command, m *dockermachine.Machines, args []string) error {
		return h.perform(m.SSH(c.Context(), args))
	})
	c.Flags().SetInterspersed(false)
	return c
}

func (h *handStore) scp() *cobra.Command {
	var how dockermachine.Copy
	c := h.command(&cobra.Command{
		Use: "scp [[USER@]MACHINE:]PATH [[USER@]MACHINE:]PATH", Short: "Copy files between machines and this host", Args: twoPlaces,
		Example: "  " + h.prefix() + " scp -r site builder:/srv/site\n  " + h.prefix() + " scp builder:/var/log/syslog .",
	}, func(c *cobra.Command, m *dockermachine.Machines, args []string) error {
		return h.perform(m.Scp(c.Context(), args[0], args[1], how))
	})
	f := c.Flags()
	f.BoolVarP(&how.Recursive, "recursive", "r", false, "folders with all that is in them")
	f.BoolVarP(&how.Delta, "delta", "d", false, "only what has changed, with rsync")
	f.BoolVarP(&how.Quiet, "quiet", "q", false, "show no progress")
	return c
}

func twoPlaces(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return &usageError{c.CommandPath(), errors.New("two places are needed: from where, and to where")}
	}
	return nil
}

func (h *handStore) mount() *cobra.Command {
	var unmount bool
	c := h.command(&cobra.Command{
		Use: "mount MACHINE:PATH [MOUNTPOINT]", Short: "Mount a folder of a machine with sshfs", Args: placeAndPoint,
		Long:    "Mounts a folder of a machine with sshfs: at MOUNTPOINT, an empty folder that is there, or else at the same path as on the machine.",
		Example: "  " + h.prefix() + " mount builder:/srv/site site\n  " + h.prefix() + " mount -u builder:/srv/site site",
	}, func(c *cobra.Command, m *dockermachine.Machines, args []string) error {
		return h.perform(m.Mount(c.Context(), args[0], append(args, "")[1], unmount))
	})
	c.Flags().BoolVarP(&unmount, "unmount", "u", false, "take the mount away again, rather than make it")
	return c
}

func placeAndPoint(c *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return &usageError{c.CommandPath(), errors.New("it takes MACHINE:PATH, and where to mount it")}
	}
	return nil
}

// prefix is what the commands are called with.
func (h *handStore) prefix() string {
	if h.byName {
		return dockerMachineName
	}
	return h.app.name + " machine"
}

func (h *handStore) active() *cobra.Command {
	var seconds int
	c := h.command(&cobra.Command{Use: "active", Short: "Print the machine that DOCKER_HOST points to", Args: noArgs}, func(c *cobra.Command, m *dockermachine.Machines, _ []string) error {
		return m.Active(c.Context(), time.Duration(seconds)*time.Second)
	})
	timeoutFlag(c.Flags(), &seconds)
	return c
}

func timeoutFlag(f *pflag.FlagSet, seconds *int) {
	f.IntVarP(seconds, "timeout", "t", 10, "seconds that providers and engines may take")
}

func (h *handStore) regenerateCerts() *cobra.Command {
	var how dockermachine.Renewal
	c := h.simpleContext("regenerate-certs [NAME...]", "Make new certificates for machines, and restart their engines with them", func(m *dockermachine.Machines, ctx context.Context, names []string) error {
		return m.RegenerateCerts(ctx, names, how)
	})
	c.Flags().BoolVarP(&how.Yes, "force", "f", false, "ask nobody first")
	c.Flags().BoolVar(&how.Client, "client-certs", false, "the certificate that the client shows them too")
	return c
}

func (h *handStore) version() *cobra.Command {
	return h.command(&cobra.Command{Use: "version [NAME]", Short: "Print the version, or that of a machine's engine"}, func(c *cobra.Command, m *dockermachine.Machines, names []string) error {
		if len(names) > 0 {
			return m.Version(c.Context(), names)
		}
		text := dockerMachineVersion()
		if !h.byName {
			text = versionText(h.app.name)
		}
		fmt.Fprintln(h.app.out, text)
		return nil
	})
}

// listing adds the flags of docker-machine's ls.
func listing(c *cobra.Command) (l *dockermachine.Listing, seconds *int) {
	l, seconds = &dockermachine.Listing{}, new(int)
	f := c.Flags()
	f.BoolVarP(&l.Quiet, "quiet", "q", false, "names alone")
	f.StringArrayVar(&l.Filters, "filter", nil, "KEY=VALUE: driver, label, name (a regular expression), state, swarm")
	f.StringVarP(&l.Format, "format", "f", "", "a Go template, such as {{.Name}}: {{.URL}}; after \"table \" with headings")
	timeoutFlag(f, seconds)
	return l, seconds
}

// ls is docker-machine's own.
func (h *handStore) ls() *cobra.Command {
	c := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List the machines", Args: noArgs}
	l, seconds := listing(c)
	return h.command(c, func(c *cobra.Command, m *dockermachine.Machines, _ []string) error {
		l.Timeout = time.Duration(*seconds) * time.Second
		return m.Ls(c.Context(), *l)
	})
}

// rm is docker-machine's own.
func (h *handStore) rm() *cobra.Command {
	var how dockermachine.Removal
	c := h.simpleContext("rm NAME...", "Remove machines", func(m *dockermachine.Machines, ctx context.Context, names []string) error {
		return m.Remove(ctx, names, how)
	})
	removalFlags(c.Flags(), &how)
	return c
}

func removalFlags(f *pflag.FlagSet, how *dockermachine.Removal) {
	f.BoolVarP(&how.Force, "force", "f", false, "forget a machine that was made by hand also when it can't be removed; asks nobody")
	f.BoolVarP(&how.Yes, "yes", "y", false, "ask nobody")
}

// agentSide removes machines of an agent's.
type agentSide struct {
	app      *app
	config   *pflag.Flag // nil: the default
	stateDir string
}

// Remove implements dockermachine.Agent.
func (s agentSide) Remove(ctx context.Context, names []string) error {
	err := s.app.removeThroughAgent(ctx, s.stateDir, names)
	if errors.Is(err, errNoAgent) {
		path := defaultConfig()
		if s.config != nil {
			path = s.config.Value.String()
		}
		err = s.app.removeOffline(ctx, path, s.stateDir, names)
	}
	return err
}
