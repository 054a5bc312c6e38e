package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/millwright-ci/millwright/agent/config"
)

// loader reads config.toml for a running agent: at its start, and again for each reload, where it is stricter. It is safe for
// concurrent use.
type loader struct {
	app    *app
	path   string
	listen string // what the command line says instead of listen_address
	// ownListen is set when the file's listen_address is another program's.
	ownListen bool
	log       *slog.Logger // nil tells nobody what is wrong with single entries

	mu      sync.Mutex     // guards inForce
	inForce *config.Config // nil before the first is
}

// load reads the file. Once a configuration is in force, a file that is missing is an error, and not an empty one: it may be on its
// way. So is a mistake in the entry of a runner that is in service, which would otherwise lose its machines.
func (l *loader) load() (*config.Config, error) {
	l.mu.Lock()
	before := l.inForce
	l.mu.Unlock()
	if before != nil {
		if _, err := os.Stat(l.path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: there is no such file", l.path)
		}
	}
	c, err := l.app.loadConfig(l.path, before, l.tell)
	if err == nil && (l.listen != "" || l.ownListen) {
		c.ListenAddress = l.listen
	}
	return c, err
}

func (l *loader) tell(d config.Diagnostic) {
	if l.log == nil {
		return
	}
	level := slog.LevelWarn
	if d.Severity == config.SeverityError {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, d.String())
}

// applied is called when a configuration was put into force.
func (l *loader) applied(c *config.Config) {
	l.mu.Lock()
	l.inForce = c
	l.mu.Unlock()
	l.app.log.file(c)
}
