package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/provision"
)

// Copy says how Scp copies.
type Copy struct {
	Recursive bool
	Delta     bool // with rsync
	Quiet     bool
}

// Scp copies files between machines and this host, with the system's scp or rsync. A place is [[user@]MACHINE:]PATH; localhost: is here.
func (c *Machines) Scp(ctx context.Context, from, to string, how Copy) error {
	source, sourceOptions, err := c.place(ctx, from)
	if err != nil {
		return err
	}
	target, targetOptions, err := c.place(ctx, to)
	if err != nil {
		return err
	}
	options := append(sourceOptions, targetOptions...)
	if how.Delta {
		args := []string{"--progress"}
		if how.Quiet {
			args = nil
		}
		if how.Recursive {
			args = append(args, "-r")
		}
		return c.external(ctx, "rsync", append(args, "-e", quoted(append([]string{"ssh"}, options...)), source, target)...)
	}
	args := []string{"-3"}
	if how.Recursive {
		args = append(args, "-r")
	}
	if how.Quiet {
		args = append(args, "-q")
	}
	return c.external(ctx, "scp", append(append(args, options...), source, target)...)
}

// place turns a place into scp's words, with the options that its machine needs.
func (c *Machines) place(ctx context.Context, text string) (string, []string, error) {
	machine, path, found := strings.Cut(text, ":")
	if !found || strings.ContainsAny(machine, `/\`) {
		return text, nil, nil
	}
	user, name, named := strings.Cut(machine, "@")
	if !named {
		user, name = "", machine
	}
	if name == "localhost" || len(name) == 1 && c.isDrive(name) {
		return path, nil, nil
	}
	x, err := c.reach(ctx, name)
	if err != nil {
		return "", nil, err
	}
	if user == "" {
		user = x.User
	}
	address := x.Address
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	return user + "@" + address + ":" + path, sshOptions(x), nil
}

// isDrive tells a drive of Windows from a machine with a name of one letter.
func (c *Machines) isDrive(name string) bool {
	_, err := c.o.Store.Entry(name)
	return err != nil
}

// reach returns how OpenSSH's programs reach a machine that runs.
func (c *Machines) reach(ctx context.Context, name string) (provision.External, error) {
	e, err := c.entry(name)
	if err == nil {
		err = c.up(ctx, &e)
	}
	if err != nil {
		return provision.External{}, err
	}
	p, err := c.provisioner(e, c.o.Debug, sshPatience)
	if err != nil {
		return provision.External{}, err
	}
	defer p.Close()
	return p.External(e.Machine)
}

// sshOptions have a program of OpenSSH log in as we do: with the machine's key, where its host key is shown.
func sshOptions(x provision.External) []string {
	strict := "accept-new"
	if x.Strict {
		strict = "yes"
	}
	options := []string{"-o", "LogLevel=error", "-o", "StrictHostKeyChecking=" + strict, "-o", "UserKnownHostsFile=" + fileOption(x.KnownHosts),
		"-o", "Port=" + strconv.Itoa(x.Port), "-o", "PasswordAuthentication=no", "-o", "ConnectTimeout=10"}
	if x.KeyFile != "" {
		options = append(options, "-o", "IdentitiesOnly=yes", "-o", "IdentityFile="+fileOption(x.KeyFile))
	}
	return options
}

// fileOption is a path as OpenSSH's options take it.
func fileOption(path string) string { return `"` + strings.ReplaceAll(path, "%", "%%") + `"` }

// quoted makes one command line of words, for rsync.
func quoted(words []string) string {
	for i, w := range words {
		if strings.ContainsAny(w, ` "`) {
			words[i] = "'" + w + "'"
		}
	}
	return strings.Join(words, " ")
}

// external runs a program with our streams. Its exit code is the ExitError's.
func (c *Machines) external(ctx context.Context, program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("%s must be on the PATH for that: %w", program, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.o.In, c.o.Out, c.o.Err
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{max(exit.ExitCode(), 1), fmt.Errorf("%s: %w", program, err)}
	}
	return err
}

// Mount mounts a folder of a machine with sshfs, or takes it away again. Without a place here it is the same path.
func (c *Machines) Mount(ctx context.Context, from, at string, unmount bool) error {
	machine, path, found := strings.Cut(from, ":")
	if !found || path == "" {
		return errors.New("Error: Expected MACHINE:PATH as the first argument") //nolint:staticcheck // docker-machine's words
	}
	if at == "" {
		at = path
	}
	if unmount {
		return c.external(ctx, "fusermount", "-u", at)
	}
	source, options, err := c.place(ctx, machine+":"+path)
	if err != nil {
		return err
	}
	return c.external(ctx, "sshfs", append(options, source, at)...)
}
