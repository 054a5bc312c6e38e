// Package instance runs a job's stages on an instance of the newer autoscaler itself, reached as package connect says.
package instance

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/remote"
)

// New returns an executor for one job on the instance that target reaches; o lacks what that says. The instance is not dialled before Prepare.
func New(target *connect.Target, o remote.Settings) (*remote.Executor, error) {
	if target == nil {
		return nil, executor.Errorf(executor.Engine, "the job has no instance")
	}
	o.Connect = func() (remote.Dial, error) {
		return func(ctx context.Context) (*ssh.Client, error) { return target.Dial(ctx) }, nil
	}
	o.Machine, o.Plain, o.Keepalive = true, true, target.Keepalive
	o.Greeting = fmt.Sprintf("Using Instance executor on %s as %s...", target.Address, target.User)
	return remote.New(o)
}
