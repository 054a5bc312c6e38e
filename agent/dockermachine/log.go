package dockermachine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// Logs prints what provisioning a machine wrote.
func (c *Machines) Logs(names []string) error {
	e, err := c.one(names)
	if err != nil {
		return err
	}
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
