package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"
)

// idle is a service that this process only speaks about.
type idle struct{}

func (idle) Start(service.Service) error { return nil }
func (idle) Stop(service.Service) error  { return nil }

// serviceCommands are those that speak to the system's service manager.
func (a *app) serviceCommands() []*cobra.Command {
	commands := []*cobra.Command{a.installCommand(), a.statusCommand(), a.restartCommand()}
	for name, short := range map[string]string{
		"uninstall": "Remove the system service", "start": "Start the system service", "stop": "Stop the system service",
	} {
		c := &cobra.Command{Use: name, Short: short, Args: noArgs}
		if name == "stop" {
			c.Long = "Stops the system service. With systemd the agent takes no more jobs and lets those that run end, for two hours at most; `restart` leaves them\n" +
				"to the next agent."
		}
		n := a.serviceFlag(c)
		c.RunE = func(*cobra.Command, []string) error {
			s, err := a.service(unit{name: *n}, "")
			if err != nil {
				return err
			}
			return service.Control(s, name)
		}
		commands = append(commands, c)
	}
	return commands
}

func (a *app) serviceFlag(c *cobra.Command) *string {
	return c.Flags().StringP("service", "n", a.name, "name of the service")
}

// service is the system's service of a unit. password is of Windows' user.
func (a *app) service(u unit, password string) (service.Service, error) {
	u.userService = runtime.GOOS != "windows" && os.Geteuid() != 0
	if u.userService && u.account != "" {
		return nil, errors.New("service: only root can install a service that runs as another user")
	}
	script := u.systemd()
	if strings.Contains(script, "{{") { // the library would read it as its template
		return nil, errors.New("service: {{ can't stand in a path or name")
	}
	return service.New(idle{}, &service.Config{
		Name: u.name, DisplayName: u.name, Description: u.description, Executable: u.executable, Arguments: u.arguments,
		WorkingDirectory: u.directory, UserName: u.account,
		Option: service.KeyValue{"SystemdScript": script, "UserService": u.userService, "Password": password, "RunAtLoad": true},
	})
}

func (a *app) installCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "install", Short: "Install the system service", Args: noArgs,
		Long: "Installs a service that runs the agent: for the system when root does it, else for the user. With systemd a stop lets running\n" +
			"jobs end, for two hours at most.",
	}
	path := configFlag(c)
	name := a.serviceFlag(c)
	f := c.Flags()
	directory := f.StringP("working-directory", "d", "", "the service's working directory")
	user := f.StringP("user", "u", "", "the user of the shell executor's jobs")
	password := f.StringP("password", "p", "", "the password of --init-user, on Windows")
	account := f.StringP("init-user", "i", "", "the user that the agent itself runs as; root or the system's where it is not given")
	f.Bool("syslog", true, "taken for GitLab Runner's sake; the service manager keeps the log")
	stateDir := f.String("state-dir", "", "where machines, keys and the socket lie; left to millwright.toml when it is not given")
	dry := f.Bool("dry-run", false, "print systemd's unit and install nothing")
	c.RunE = func(*cobra.Command, []string) error {
		u, err := a.installedUnit(*name, *path, *directory, *user, *stateDir)
		if err != nil {
			return err
		}
		u.account = *account
		s, err := a.service(u, *password)
		if *dry || err != nil {
			if err == nil || errors.Is(err, service.ErrNoServiceSystemDetected) {
				_, err = fmt.Fprint(a.out, u.systemd())
			}
			return err
		}
		return service.Control(s, "install")
	}
	return c
}

// installedUnit is the unit of the agent with these settings. Paths are made absolute: a service starts elsewhere.
func (a *app) installedUnit(name, config, directory, user, stateDir string) (unit, error) {
	executable, err := os.Executable()
	if err != nil {
		return unit{}, err
	}
	u := unit{name: name, description: a.description(), executable: executable, arguments: []string{"run"}}
	for _, path := range []*string{&config, &directory, &stateDir} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return unit{}, err
		}
	}
	u.directory = directory
	for _, flag := range [][2]string{{"--config", config}, {"--working-directory", directory}, {"--state-dir", stateDir}, {"--service", name}, {"--user", user}} {
		if flag[1] != "" {
			u.arguments = append(u.arguments, flag[0], flag[1])
		}
	}
	return u, nil
}

func (a *app) description() string {
	if a.name == runnerName {
		return "GitLab Runner (Millwright)"
	}
	return "Millwright, an agent for GitLab CI"
}

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Tell whether the system service runs", Args: noArgs,
		Long: "Tells whether the system service runs, and exits with 1 when it does not.",
	}
	name := a.serviceFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		s, err := a.service(unit{name: *name}, "")
		status := service.StatusUnknown
		if err == nil {
			status, err = s.Status()
		}
		text := "Service status is unknown"
		switch {
		case errors.Is(err, service.ErrNotInstalled):
			text = "Service is not installed"
		case err != nil:
			text = fmt.Sprintf("Service is not running, or not installed (%v)", err) // older service managers don't tell these apart
		case status == service.StatusRunning:
			_, err := fmt.Fprintf(a.out, "%s: Service is running\n", *name)
			return err
		case status == service.StatusStopped:
			text = "Service has stopped"
		}
		fmt.Fprintf(a.err, "%s: %s\n", *name, text)
		return errSilent
	}
	return c
}

// supervised runs the agent, as a service where Windows' service manager started it: that wants to be answered, and stops by a call.
func (a *app) supervised(ctx context.Context, run func(context.Context) error) error {
	if runtime.GOOS != "windows" || service.Interactive() {
		return run(ctx)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &program{run: func() error { return run(ctx) }, stop: stop, done: make(chan struct{})}
	s, err := service.New(p, &service.Config{Name: a.name})
	if err != nil {
		return err
	}
	return errors.Join(s.Run(), p.err)
}

// program is the agent towards Windows' service manager.
type program struct {
	run  func() error
	stop context.CancelCauseFunc
	done chan struct{} // closed when run has ended; then err is its error
	err  error
}

// Start begins and returns.
func (p *program) Start(service.Service) error {
	go func() {
		p.err = p.run()
		close(p.done)
	}()
	return nil
}

// Stop ends and waits.
func (p *program) Stop(service.Service) error {
	p.stop(errors.New("the service is stopped"))
	<-p.done
	return nil
}
