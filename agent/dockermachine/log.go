package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/journal"
)

// logFile is what provisioning a machine wrote, in its folder.
const logFile = "provision.log"

// machineLog is the log of one machine's provisioning: its file, and whoever else wants it.
type machineLog struct {
	file *os.File
	also io.Writer // nil: nobody
}

func (c *Machines) openLog(name string) (*machineLog, error) {
	f, err := os.OpenFile(filepath.Join(c.o.Store.Dir(name), logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &machineLog{f, c.o.Debug}, nil
}

// Write never fails: a full disk must not end a creation that goes well.
func (l *machineLog) Write(text []byte) (int, error) {
	_, _ = l.file.Write(text)
	if l.also != nil {
		_, _ = l.also.Write(text)
	}
	return len(text), nil
}

func (l *machineLog) Close() error { return l.file.Close() }

// LogKind says which of a machine's logs is wanted; neither field is the console where there is one, and the log of provisioning else.
type LogKind struct {
	Console   bool // what the machine itself wrote, as its provider keeps it
	Provision bool // what making it ready wrote
}

// Logs prints a log of a machine's.
func (c *Machines) Logs(ctx context.Context, names []string, k LogKind) error {
	e, err := c.one(names)
	if err != nil {
		return err
	}
	if !k.Provision {
		text, err := c.console(ctx, e)
		switch {
		case err == nil && (strings.TrimSpace(text) != "" || k.Console):
			fmt.Fprint(c.o.Out, tame(text))
			return nil
		case k.Console:
			return fmt.Errorf("machine %s: console: %w", e.Machine.Name, err)
		case err != nil && !errors.Is(err, driver.ErrNoLogs):
			c.warn("its console can't be read, here is the log of its provisioning: %v", err)
		}
	}
	return c.provisionLog(e)
}

// console asks a machine's provider for what the machine wrote.
func (c *Machines) console(ctx context.Context, e journal.Entry) (string, error) {
	if isNone(e) || e.Kind == journal.KindForeign {
		return "", driver.ErrNoLogs
	}
	drivers, err := c.lookUp()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return drivers.Logs(ctx, e.Machine, ownerOf(e), secretsOf(e))
}

// escapes are what moves a terminal's cursor or changes its colours.
// Source: ECMA-48, "Control Functions for Coded Character Sets": CSI and OSC sequences, and those of two characters.
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])`)

// tame takes out of a console's text whatever could do something to the terminal that shows it: a machine runs strangers' jobs.
func tame(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, escapes.ReplaceAllString(strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\r\n", "\n"), ""))
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// provisionLog prints what making a machine ready wrote.
func (c *Machines) provisionLog(e journal.Entry) error {
	f, err := os.Open(filepath.Join(c.o.Store.Dir(e.Machine.Name), logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("machine %s: there is no log of its provisioning; only machines that were made by hand have one, an agent writes its own with MACHINE_DEBUG=true", e.Machine.Name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(c.o.Out, f)
	return err
}
