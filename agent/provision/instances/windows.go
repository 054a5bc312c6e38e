package instances

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ci/millwright/agent/executor/connect"
)

// provisionWindows is provision for an instance that is reached over WinRM: jobs run on itself alone.
func (p *Provisioner) provisionWindows(ctx context.Context, target *connect.Target, w Wishes, phase func(string)) error {
	if w.Engine != NoEngine || w.Nest != nil {
		return errors.New("neither an engine nor virtual machines can be reached over winrm")
	}
	if err := target.AwaitWindows(ctx); err != nil {
		return err
	}
	if w.ReadyCommand != "" {
		phase(PhaseReady)
		var said tail
		code, err := target.Command(ctx, w.ReadyCommand, &said)
		if err == nil && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		if err != nil {
			return fmt.Errorf("instance_ready_command: %w%s", err, said.end())
		}
	}
	return nil
}

// cleanWindows takes away what jobs of an agent that died left on the instance.
func cleanWindows(ctx context.Context, target *connect.Target) error {
	host, err := target.DialWindows(ctx)
	if err != nil {
		return err
	}
	defer host.Close()
	var said tail
	code, err := host.Run(ctx, leftovers, nil, &said, &said)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, said.end())
	}
	return nil
}
