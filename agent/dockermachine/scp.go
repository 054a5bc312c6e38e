package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
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
	source, there, err := c.place(ctx, from)
	if err != nil {
		return err
	}
	target, too, err := c.place(ctx, to)
	if err != nil {
		return err
	}
	options, err := sshOptions(append(there, too...)...)
	if err != nil {
		return err
	}
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

// place turns a place into scp's words, and says how its machine is reached, if it is on one.
func (c *Machines) place(ctx context.Context, text string) (string, []provision.External, error) {
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
	return user + "@" + address + ":" + path, []provision.External{x}, nil
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

// sshOptions have a program of OpenSSH log in as we do: with the machines' keys, where their host keys are shown. Of an option that is given twice
// OpenSSH takes the first, so that two machines share one set.
func sshOptions(machines ...provision.External) ([]string, error) {
	if len(machines) == 0 {
		return nil, nil
	}
	strict := "yes"
	var known, keys []string
	for _, x := range machines {
		if x.Port != machines[0].Port {
			return nil, fmt.Errorf("%s and %s have SSH on different ports, %d and %d, which one call can't reach; copy by way of this host",
				machines[0].Address, x.Address, machines[0].Port, x.Port)
		}
		if !x.Strict {
			strict = "accept-new"
		}
		if file := fileOption(x.KnownHosts); !slices.Contains(known, file) {
			known = append(known, file)
		}
		if x.KeyFile != "" {
			keys = append(keys, "-o", "IdentityFile="+fileOption(x.KeyFile))
		}
	}
	options := []string{"-o", "LogLevel=error", "-o", "StrictHostKeyChecking=" + strict, "-o", "UserKnownHostsFile=" + strings.Join(known, " "),
		"-o", "Port=" + strconv.Itoa(machines[0].Port), "-o", "PasswordAuthentication=no", "-o", "ConnectTimeout=10"}
	if len(keys) == 2*len(machines) { // else ssh's own are wanted too
		options = append(options, "-o", "IdentitiesOnly=yes")
	}
	return append(options, keys...), nil
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
		return c.unmount(ctx, at)
	}
	source, there, err := c.place(ctx, machine+":"+path)
	if err != nil {
		return err
	}
	options, err := sshOptions(there...)
	if err != nil {
		return err
	}
	return c.external(ctx, "sshfs", append(options, source, at)...)
}

// unmount takes a mount of sshfs away, with the program of FUSE 2 or 3, or, where there is neither, as on macOS, with the system's.
func (c *Machines) unmount(ctx context.Context, at string) error {
	for _, program := range []string{"fusermount", "fusermount3"} {
		if _, err := exec.LookPath(program); err == nil {
			return c.external(ctx, program, "-u", at)
		}
	}
	return c.external(ctx, "umount", at)
}
