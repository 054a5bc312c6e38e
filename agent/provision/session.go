package provision

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

//go:embed scripts
var scripts embed.FS

// launcher is the one command line that we ever send: it unpacks stdin into a folder of its own, runs run.sh there and takes the
// folder away again. It is made to pass any login shell, csh too, unharmed: one line, no exclamation mark, no single quote inside.
const launcher = `sh -c 'umask 077; d=$(mktemp -d) && trap "rm -rf $d" EXIT && trap "exit 129" HUP INT PIPE TERM && ` +
	`tar -xf - -C "$d" && cd "$d" && sh ./run.sh'`

const maxOutput = 1 << 20 // bytes of remote output that one script may give

// script is one script of scripts/ with what it needs. Values reach it as shell variables.
type script struct {
	name  string // file in scripts/, without .sh
	vars  map[string]string
	files []file
}

// file is sent along with a script and lies beside it.
type file struct {
	name   string
	data   []byte
	secret bool // its content is never logged
}

// run runs s on the machine and returns what it printed, stdout and stderr together. It ends when ctx does, but what the script has
// begun on the machine may go on for a moment.
func (c *conn) run(ctx context.Context, s script) (string, error) {
	payload, err := s.pack()
	if err != nil {
		return "", err
	}
	command := launcher
	if c.user != "root" {
		command = "sudo -n " + launcher
	}
	c.logScript(command, s)

	session, err := c.client.NewSession()
	if err != nil {
		return "", fmt.Errorf("%s: connection lost: %w", s.name, err)
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()

	out := &output{debug: c.debug, full: func() { session.Close() }}
	session.Stdin, session.Stdout, session.Stderr = bytes.NewReader(payload), out, out
	err = session.Run(command)
	out.flush()
	switch {
	case ctx.Err() != nil:
		return out.String(), fmt.Errorf("%s: %w%s", s.name, context.Cause(ctx), out.end())
	case out.overflow:
		return out.String(), fmt.Errorf("%s: more than %d bytes of output%s", s.name, maxOutput, out.end())
	case err != nil:
		return out.String(), fmt.Errorf("%s: %w%s", s.name, c.runError(err, out), out.end())
	}
	return out.String(), nil
}

// runError puts an ending session into words.
func (c *conn) runError(err error, out *output) error {
	var missing *ssh.ExitMissingError
	switch {
	case errors.As(err, &missing):
		return errors.New("the connection was lost before the script ended")
	case strings.Contains(out.String(), "sudo: a password is required"), strings.Contains(out.String(), "sudo: a terminal is required"):
		return fmt.Errorf("user %s needs sudo without a password: %w", c.user, err)
	}
	return err
}

// pack makes the tar stream: run.sh, env and the files.
func (s script) pack() ([]byte, error) {
	body, err := scripts.ReadFile("scripts/" + s.name + ".sh")
	if err != nil {
		return nil, err
	}
	all := append([]file{{name: "run.sh", data: body}, envFile(s.vars)}, s.files...)
	return tarOfFiles(all)
}

// envFile is what scripts read their variables from.
func envFile(vars map[string]string) file {
	var env strings.Builder
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(&env, "%s=%s\n", k, shellQuote(vars[k]))
	}
	return file{name: "env", data: []byte(env.String())}
}

func tarOfFiles(all []file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range all {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.data)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func (c *conn) logScript(command string, s script) {
	if c.debug == nil {
		return
	}
	c.debug.printf("run %s: %s", s.name, command)
	if !c.shown[s.name] { // once is enough
		c.shown[s.name] = true
		body, _ := fs.ReadFile(scripts, "scripts/"+s.name+".sh")
		c.debug.lines("  | ", body)
	}
	for _, k := range slices.Sorted(maps.Keys(s.vars)) {
		c.debug.printf("  with %s=%s", k, shellQuote(s.vars[k]))
	}
	for _, f := range s.files {
		c.debug.printf("  file %s, %d bytes", f.name, len(f.data))
		if !f.secret {
			c.debug.lines("  | ", f.data)
		}
	}
}

// shellQuote makes s one word for a POSIX shell, whatever is in it.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
