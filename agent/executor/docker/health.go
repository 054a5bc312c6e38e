package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/millwright-ci/millwright/agent/executor"
)

const (
	defaultServiceWait = 30 * time.Second
	maxHealthPorts     = 20
	maxHealthLog       = 64 << 10 // bytes of each log in the warning
)

// waitForServices gives the services time to open a port. A service that does not is warned of; it never fails the job.
func (e *Executor) waitForServices(ctx context.Context) error {
	limit := time.Duration(e.o.Config.WaitForServicesTimeout) * time.Second
	if limit < 0 || len(e.services) == 0 {
		return nil
	}
	if limit == 0 {
		limit = defaultServiceWait
	}
	e.o.Console.Println(fmt.Sprintf("Waiting for services to be up and running (timeout %d seconds)...", int(limit.Seconds())))
	var group sync.WaitGroup
	for _, s := range e.services {
		group.Go(func() {
			if err := e.checkService(ctx, s, limit); err != nil && ctx.Err() == nil {
				s.told = true
				e.warnService(ctx, s, err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// checkError is a failed check with what the checking container wrote.
type checkError struct {
	err error
	log string
}

func (c *checkError) Error() string { return c.err.Error() }

// checkService runs the helper's health-check in a container of its own, from where the service looks as it does to the job.
func (e *Executor) checkService(ctx context.Context, s *service, limit time.Duration) error {
	ports := healthPorts(s)
	if len(ports) == 0 {
		return &checkError{err: errors.New("service has no exposed ports")}
	}
	address := s.ip
	if e.net.aliases {
		address = s.aliases[0]
	}
	env := []string{"WAIT_FOR_SERVICE_TCP_ADDR=" + address}
	for _, p := range ports {
		env = append(env, "WAIT_FOR_SERVICE_"+p+"_TCP_PORT="+p)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("service %s timeout", s.Name))
	defer cancel()
	ctx, died := context.WithCancelCause(ctx)
	defer e.untilDead(ctx, s, died)()
	host, err := hostConfig(e.o.Config, healthRole, e.helper.ref, false)
	if err != nil {
		return err
	}
	id, err := e.create(ctx, &container.Config{
		Image:  e.helper.ref,
		Cmd:    []string{"gitlab-runner-helper", "health-check"},
		Env:    env,
		Labels: e.o.Name.labels(string(healthRole), e.own),
	}, host, e.serviceName(s)+"-wait-for-service", "")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	st := &stageRun{e: e, id: id, stdout: &out, stderr: &out, grace: time.Second}
	if err := st.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &checkError{err: err, log: clip(out.String())}
	}
	return nil
}

// untilDead calls died when the service ends: its port will not open any more. What it returns ends that.
func (e *Executor) untilDead(ctx context.Context, s *service, died context.CancelCauseFunc) (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended, _ := e.api.ContainerWait(ctx, s.id, container.WaitConditionNotRunning)
		select {
		case status := <-ended:
			died(fmt.Errorf("service %s ended with exit code %d", s.Name, status.StatusCode))
		case <-ctx.Done():
		}
	}()
	return func() {
		died(nil)
		<-done
	}
}

// lastLines is how much of a dead service's log is shown.
const lastLines = "20"

// tellDeadServices says which services have failed since they were started, once for each: a script that fails may miss one.
func (e *Executor) tellDeadServices(ctx context.Context) {
	for _, s := range e.services {
		if s.told || s.id == "" {
			continue
		}
		call, cancel := context.WithTimeout(ctx, answerLimit)
		info, err := e.api.ContainerInspect(call, s.id)
		cancel()
		if err != nil || info.State == nil || info.State.Running || info.State.ExitCode == 0 {
			continue
		}
		s.told = true
		text := fmt.Sprintf("Service %s (%s) ended with exit code %d while the job ran", s.Name, strings.Join(s.aliases, ", "), info.State.ExitCode)
		if info.State.OOMKilled {
			text += ": it used all of its memory"
		}
		e.o.Console.Warningln(text + "; the end of its log:")
		for line := range strings.Lines(e.serviceLog(ctx, s, lastLines)) {
			e.o.Console.Println(strings.TrimRight(line, "\n"))
		}
	}
}

// healthPorts are the TCP ports to try: the one that the service's variables name, else the lowest exposed ones.
func healthPorts(s *service) []string {
	if s.HealthPort != "" {
		return []string{s.HealthPort}
	}
	var numbers []int
	for _, p := range s.ports {
		port, tcp := servicePort(p)
		if n, err := strconv.Atoi(port); tcp && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var out []string
	for _, n := range numbers[:min(len(numbers), maxHealthPorts)] {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

// warnService prints the block by which GitLab's users know a service that did not come up.
func (e *Executor) warnService(ctx context.Context, s *service, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n*** WARNING: Service %s probably didn't start properly.\n\nHealth check error:\n%v\n\n", s.Name, err)
	var check *checkError
	if errors.As(err, &check) {
		fmt.Fprintf(&b, "Health check container logs:\n%s\n\n", check.log)
	}
	fmt.Fprintf(&b, "Service container logs:\n%s\n\n*********\n", e.serviceLog(ctx, s, "all"))
	for line := range strings.Lines(b.String()) {
		e.o.Console.Println(strings.TrimRight(line, "\n"))
	}
}

// serviceLog is the end of a service's log: so many lines, or all.
func (e *Executor) serviceLog(ctx context.Context, s *service, lines string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := e.api.ContainerLogs(ctx, s.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Tail: lines})
	if err != nil {
		return err.Error()
	}
	defer body.Close()
	var out bytes.Buffer
	_, _ = stdcopy.StdCopy(&out, &out, io.LimitReader(body, maxHealthLog))
	return clip(out.String())
}

func clip(s string) string { return strings.TrimRight(s[:min(len(s), maxHealthLog)], "\n") }

var _ executor.Executor = (*Executor)(nil)
