// Package ssh runs a job's stages on one fixed host, reached over SSH as [runners.ssh] says.
package ssh

import (
	"cmp"
	"log/slog"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor/remote"
)

// New returns an executor for one job on the host of c; o lacks what c says. The host is not dialled before Prepare.
func New(c *config.SSH, o remote.Settings) (*remote.Executor, error) {
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Connect = func() (remote.Dial, error) { return dialer(c, log) }
	o.Greeting, o.Shared = "Using SSH executor...", true
	return remote.New(o)
}
