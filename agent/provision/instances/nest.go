package instances

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/wait"
)

const (
	nestTime  = 3 * time.Minute // that the daemon of a fresh instance may take to answer
	nestPause = time.Second
)

// awaitNest waits until the daemon of a new instance answers, and deletes the virtual machines that it has: no job of this agent's is in them.
func awaitNest(ctx context.Context, client *ssh.Client, o nesting.Options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nestTime, fmt.Errorf("no nesting daemon within %s", nestTime))
	defer cancel()
	for {
		err := clearNest(ctx, func(context.Context) (*ssh.Client, error) { return client, nil }, o)
		if err == nil || ctx.Err() == nil && !nesting.Unreachable(err) {
			return err
		}
		if end := wait.For(ctx, nestPause); end != nil {
			return errors.Join(end, err)
		}
	}
}

// clearNest deletes the virtual machines of an instance that no job is on.
func clearNest(ctx context.Context, client nesting.Client, o nesting.Options) error {
	daemon, err := nesting.Open(ctx, o, client)
	if err != nil {
		return err
	}
	defer daemon.Close()
	return daemon.Clear(ctx)
}
