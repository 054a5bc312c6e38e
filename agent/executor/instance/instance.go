// Package instance runs a job's stages on an instance of the newer autoscaler itself, reached as package connect says, or in a virtual machine
// that a nesting daemon makes there for the job.
package instance

import (
	"context"
	"fmt"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/remote"
)

// New returns an executor for one job on the instance that target reaches; o lacks what that says. The instance is not dialled before Prepare.
func New(target *connect.Target, o remote.Settings) (*remote.Executor, error) {
	if target == nil {
		return nil, executor.Errorf(executor.Engine, "the job has no instance")
	}
	o.Machine = true
	o.Greeting = fmt.Sprintf("Using Instance executor on %s as %s...", target.Address, target.User)
	return within(target, o)
}

// within is an executor on what target reaches.
func within(target *connect.Target, o remote.Settings) (*remote.Executor, error) {
	o.Connect = func() (remote.Dial, error) {
		return func(ctx context.Context) (remote.Conn, error) {
			if target.Windows() {
				return target.DialWindows(ctx)
			}
			client, err := target.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return remote.SSH(client), nil
		}, nil
	}
	o.Plain, o.Keepalive = true, target.Keepalive
	return remote.New(o)
}
