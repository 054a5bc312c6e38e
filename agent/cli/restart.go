package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"
)

// restartCommand restarts the service. The running agent hands its jobs over before, so that they go on under the next one.
func (a *app) restartCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "restart", Short: "Stop the system service and start it again; jobs go on", Args: noArgs,
		Long: "Restarts the system service. The running agent leaves its jobs to the one that comes, so that an upgrade costs none: their\n" +
			"containers go on meanwhile. Jobs that can't be taken up are waited for.",
	}
	name := a.serviceFlag(c)
	stateDir := stateDirFlag(c)
	handOver := c.Flags().Bool("hand-over-only", false, "let the agent leave its jobs and end, and start nothing: for other service managers")
	c.RunE = func(c *cobra.Command, _ []string) error {
		err := dialAgent(*stateDir).handOver(c.Context())
		if *handOver {
			return err
		}
		if err != nil && !errors.Is(err, errNoAgent) {
			fmt.Fprintf(a.err, "The agent does not hand its jobs over (%v); its service is stopped as ever\n", err)
		}
		s, err := a.service(unit{name: *name}, "")
		if err != nil {
			return err
		}
		return service.Control(s, "restart")
	}
	return c
}

// handOver makes the agent leave its jobs to the next one, and waits until it has ended.
func (c *agentClient) handOver(ctx context.Context) error {
	if err := c.do(ctx, http.MethodPost, "/v1/handover", nil); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.do(ctx, http.MethodGet, "/v1/machines", nil); errors.Is(err, errNoAgent) {
			return nil
		}
	}
}
