package provision

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/wait"
)

// gpuPause is between two looks at GPUs.
const gpuPause = 5 * time.Second

// hasGPUs tells whether the machine has GPUs that are to be waited for.
func (r *run) hasGPUs() bool { return r.m.Instance.GPUs > 0 && r.gpuLimit > 0 }

// gpus waits until the machine's GPUs answer. Where the driver is installed at the first boot that is long after the login works.
func (r *run) gpus(ctx context.Context) error {
	want, limit := r.m.Instance.GPUs, r.gpuLimit
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no GPU within %s", limit))
	defer cancel()
	pause := backoff(500*time.Millisecond, gpuPause)
	for {
		_, err := r.conn.run(ctx, script{name: "gpu", vars: map[string]string{"WANT": strconv.Itoa(want)}})
		var failed *ssh.ExitError
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &failed) && ctx.Err() == nil:
			if err := r.relogin(ctx); err != nil { // an installation may end with a reboot
				return err
			}
		}
		r.debug.printf("gpu: %v", err)
		if wait.For(ctx, pause()) != nil {
			return fmt.Errorf("%w; does the image have NVIDIA's driver, or install it (gpu_timeout = 0 below [machines] in millwright.toml waits for none): %w", context.Cause(ctx), err)
		}
	}
}

// relogin logs in anew over a connection that is lost.
func (r *run) relogin(ctx context.Context) error {
	r.conn.Close()
	return r.login(ctx)
}
