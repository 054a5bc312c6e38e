package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Environment says what Env prints.
type Environment struct {
	Shell   string // "" finds it out
	Unset   bool
	NoProxy bool
}

// shell is how one shell is told its variables.
type shell struct {
	set, unset string // formats of name and value, and of name
	escape     func(string) string
	comment    string
	hint       string // a format of the command line
}

var posix = shell{set: "export %s=\"%s\"\n", unset: "unset %s\n", escape: backslashed("\\\"$`"), comment: "#", hint: "eval $(%s)"}

var shells = map[string]shell{
	"fish": {set: "set -gx %s \"%s\";\n", unset: "set -e %s;\n", escape: backslashed("\\\"$"), comment: "#", hint: "eval (%s)"},
	"tcsh": {set: "setenv %s \"%s\";\n", unset: "unsetenv %s;\n", escape: plainText, comment: ":", hint: "eval `%s`"},
	"cmd":  {set: "SET %s=%s\n", unset: "SET %s=\n", escape: plainText, comment: "REM", hint: "\t@FOR /f \"tokens=*\" %%i IN ('%s') DO @%%i"},
	"powershell": {set: "$Env:%s = \"%s\"\n", unset: "Remove-Item Env:\\\\%s\n", escape: func(s string) string { return strings.NewReplacer("`", "``", `"`, "`\"", "$", "`$").Replace(s) },
		comment: "#", hint: "& %s | Invoke-Expression"},
	"emacs": {set: "(setenv \"%s\" \"%s\")\n", unset: "(setenv \"%s\" nil)\n", escape: backslashed("\\\""), comment: ";;",
		hint: "(with-temp-buffer (shell-command \"%s\" (current-buffer)) (eval-buffer))"},
}

func plainText(s string) string { return s }

// backslashed puts a backslash before each of these characters.
func backslashed(chars string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, r := range s {
			if strings.ContainsRune(chars, r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		return b.String()
	}
}

// Env prints the variables that connect Docker's client to a machine, for a shell to take over. The engine must answer.
func (c *Machines) Env(ctx context.Context, names []string, how Environment) error {
	sh, err := c.shell(how.Shell)
	if err != nil {
		return err
	}
	if how.Unset {
		return c.unset(sh, names, how.NoProxy)
	}
	e, err := c.one(names)
	if err != nil {
		return err
	}
	if err := c.connectable(ctx, e); err != nil {
		return err
	}
	set := func(name, value string) { fmt.Fprintf(c.o.Out, sh.set, name, sh.escape(value)) }
	set("DOCKER_TLS_VERIFY", "1")
	set("DOCKER_HOST", c.url(e))
	set("DOCKER_CERT_PATH", c.o.Store.Dir(e.Machine.Name))
	set("DOCKER_MACHINE_NAME", e.Machine.Name)
	if runtime.GOOS == "windows" {
		set("COMPOSE_CONVERT_WINDOWS_PATHS", "true")
	}
	if how.NoProxy {
		name, value := noProxy()
		if address := e.Machine.Instance.Address; !slices.Contains(strings.Split(value, ","), address) {
			value = strings.TrimPrefix(value+","+address, ",")
		}
		set(name, value)
	}
	c.hint(sh)
	return nil
}

// noProxy is the variable in use: the lower one when it holds something.
func noProxy() (name, value string) {
	if value := os.Getenv("no_proxy"); value != "" {
		return "no_proxy", value
	}
	return "NO_PROXY", os.Getenv("NO_PROXY")
}

func (c *Machines) unset(sh shell, names []string, proxy bool) error {
	if len(names) > 0 {
		return errors.New("Error: Expected no machine name when the -u flag is present") //nolint:staticcheck // docker-machine's words
	}
	list := []string{"DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME"}
	if runtime.GOOS == "windows" {
		list = append(list, "COMPOSE_CONVERT_WINDOWS_PATHS")
	}
	if proxy {
		name, _ := noProxy()
		list = append(list, name)
	}
	for _, name := range list {
		fmt.Fprintf(c.o.Out, sh.unset, name)
	}
	c.hint(sh)
	return nil
}

// hint tells in comments how the shell takes over what was printed.
func (c *Machines) hint(sh shell) {
	c.say("%s Run this command to configure your shell: ", sh.comment)
	c.say("%s "+sh.hint, sh.comment, strings.Join(c.o.Line, " "))
}

// shell returns the named one, or that of $SHELL. One that is not known is taken for a POSIX shell.
func (c *Machines) shell(name string) (shell, error) {
	if name == "" {
		name = os.Getenv("SHELL")
		if name == "" && runtime.GOOS == "windows" {
			name = "cmd"
		}
		if name == "" {
			c.warn("The default lines below are for a sh/bash shell, you can specify the shell you're using, with the --shell flag.")
			return shell{}, errors.New("Error: Unknown shell") //nolint:staticcheck // docker-machine's words
		}
		name = strings.TrimSuffix(filepath.Base(name), ".exe")
	}
	switch name {
	case "csh":
		name = "tcsh"
	case "pwsh":
		name = "powershell"
	}
	if sh, ok := shells[name]; ok {
		return sh, nil
	}
	return posix, nil
}
