package cloudtrial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/agent/wait"
)

// Trial is what is run.
type Trial struct {
	Driver        string   // google or amazonec2
	Options       []string // MachineOptions
	Operator      string   // more of millwright.toml
	Dir           string   // holds the configuration and the agent's state; another trial goes on with it
	Image         string   // of the job
	HelperArchive func(arch string) string
	Modules       module.Options // the zero value: what the binary embeds
	Out           io.Writer      // gets what happens, and the job's trace
	// Left lists what bears an owner's tag in the account.
	Left func(ctx context.Context, owner string) ([]string, error)
	// Limit is how long the job may take, the making of its machine included; 0 is 20 minutes.
	Limit time.Duration
	// Patience is how long the cloud may take to show that all is gone; 0 is 5 minutes.
	Patience time.Duration
}

// What a trial may cost at most.
const (
	maxCreates  = 3    // in an hour, those of trials before among them
	machineLife = "1h" // after it a machine ends by itself, whatever becomes of the agent
)

// Why a trial ends before its job has.
var (
	errLate  = errors.New("the job did not end in time")
	errSpent = fmt.Errorf("%d machines were asked for within an hour, and none is there; a trial asks for no more: mend what failed, and try again in an hour", maxCreates)
)

// said is what the job says.
const said = "the job ran on a machine of its own"

// Run makes the machine, runs the job, removes the machine and looks what is left. When ctx ends the machine is removed all the same. The error
// names everything that went wrong, what is left among it.
func (t Trial) Run(ctx context.Context) error {
	server, err := embedded.New(embedded.Options{Dir: filepath.Join(t.Dir, "coordinator"), TraceInterval: time.Second})
	if err != nil {
		return err
	}
	defer server.Close()
	path, err := t.configure(server.URL(), server.RunnerToken().Reveal())
	if err != nil {
		return err
	}
	agent, err := supervisor.New(supervisor.Options{
		StateDir: filepath.Join(t.Dir, "state"), ConfigPath: path, HelperArchive: t.HelperArchive, Modules: t.Modules, RemoveMachines: true, OrphanGrace: new(time.Duration),
		Log:    slog.New(slog.NewTextHandler(t.Out, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Events: t.tell,
		Load: func() (*config.Config, error) {
			c, diagnostics, err := config.Load(path)
			return c, errors.Join(err, config.Err(diagnostics))
		},
		Operator: func() (*config.Operator, error) {
			o, _, err := config.LoadOperator(path)
			return o, err
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(t.Limit, 20*time.Minute), errLate)
	defer cancel()
	owner := agent.Owner()
	fmt.Fprintf(t.Out, "driver %s, owner %s; what happens is kept in %s\n", t.Driver, owner, t.Dir)
	return errors.Join(t.job(ctx, agent, server), t.audit(ctx, owner))
}

// configure writes config.toml and millwright.toml and returns the path of the former.
func (t Trial) configure(url, token string) (string, error) {
	dir := filepath.Join(t.Dir, "config")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	var options []string
	for _, o := range t.Options {
		options = append(options, strconv.Quote(o))
	}
	main := fmt.Sprintf(`concurrent = 1
check_interval = 1

[[runners]]
  name = "cloud-trial"
  url = %q
  token = %q
  executor = "docker+machine"
  limit = 1
  [runners.docker]
    image = %q
    pull_policy = ["if-not-present"]
  [runners.machine]
    IdleCount = 0
    MaxBuilds = 1
    MachineDriver = %q
    MachineName = "trial-%%s"
    MachineOptions = [
      %s,
    ]
`, url, token, t.Image, t.Driver, strings.Join(options, ",\n      "))
	operator := fmt.Sprintf("max_machines = 1\nmax_creates_per_hour = %d\nmax_machine_age = %q\nresume_jobs = false\n[machines]\nmax_life = %[2]q\n", maxCreates, machineLife) + t.Operator
	path := filepath.Join(dir, "config.toml")
	return path, errors.Join(os.WriteFile(path, []byte(main), 0o600), os.WriteFile(filepath.Join(dir, "millwright.toml"), []byte(operator), 0o600))
}

// tell says what became of the machine.
func (t Trial) tell(e fleet.Event) {
	m := e.Machine
	if m == nil {
		return
	}
	what := string(m.State)
	if m.Gone {
		what = "gone"
	}
	if m.Phase != "" {
		what += ", " + m.Phase
	}
	for _, more := range []string{m.Reason, m.Err} {
		if more != "" {
			what += "; " + more
		}
	}
	fmt.Fprintf(t.Out, "%s machine %s: %s\n", e.At.Format(time.TimeOnly), m.Name, what)
}

// job runs one job, and the agent until its machine is gone.
func (t Trial) job(ctx context.Context, agent *supervisor.Supervisor, server *embedded.Server) error {
	id := server.Enqueue(coordinator.Job{
		Info:      coordinator.JobInfo{Name: "trial", Stage: "test", ProjectID: 1, PipelineID: 1},
		Image:     &coordinator.Image{Name: t.Image},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}}, // nobody out there can reach the coordinator
		Steps:     []coordinator.Step{{Name: "script", Script: []string{"uname -a", "echo " + said}}},
	})
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(running) }()
	began := time.Now()
	waiting, giveUp := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { watch(waiting, agent, giveUp) })
	result, err := server.WaitJob(waiting, id)
	if err != nil {
		err = cmp.Or(context.Cause(waiting), err)
		stop(err)
	} else {
		agent.Drain()
	}
	giveUp(nil)
	watching.Wait()
	raw, traceErr := server.Trace(id)
	trace := string(embedded.DecodeTrace(raw))
	outcome := "ended as " + string(result.State)
	if err != nil {
		outcome = "had not ended"
	}
	fmt.Fprintf(t.Out, "%s\nthe job %s after %v\n", trace, outcome, time.Since(began).Round(time.Second))
	if err == nil && (result.State != "success" || !strings.Contains(trace, said)) {
		err = fmt.Errorf("the job ended as %s; its trace is above", result.State)
	}
	return errors.Join(err, traceErr, <-ended)
}

// watch gives up when no machine can come any more: those that may be asked for in an hour have been, and none is there. It looks thrice, since the
// job may be about to end. It returns when ctx ends.
func watch(ctx context.Context, agent *supervisor.Supervisor, giveUp context.CancelCauseFunc) {
	for spent := 0; spent < 3; {
		if wait.For(ctx, time.Second) != nil {
			return
		}
		if c := agent.Scaling().Ceilings; c.Creates >= maxCreates && c.Machines == 0 {
			spent++
		} else {
			spent = 0
		}
	}
	giveUp(errSpent)
}

// audit waits until the account holds nothing of the owner's.
func (t Trial) audit(ctx context.Context, owner string) error {
	patience := t.Patience
	if patience == 0 {
		patience = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for {
		left, err := t.Left(ctx, owner)
		if err == nil && len(left) == 0 {
			fmt.Fprintf(t.Out, "nothing of the owner %s is left\n", owner)
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("what is left in the account of the owner %s could not be seen: %w; look by hand", owner, err)
			}
			return fmt.Errorf("left in the account, and paid for: %s; remove it by hand", strings.Join(left, ", "))
		case <-time.After(time.Second):
		}
	}
}
