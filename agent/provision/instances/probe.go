package instances

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/provision"
)

// checkTime is what a probe waits for an answer.
const checkTime = 3 * time.Second

// Check asks a ready instance for a sign of life, and its engine where it has one for jobs. It is cheap: the connection is kept.
func (p *Provisioner) Check(ctx context.Context, m fleet.Machine) error {
	w := p.o.Wishes(m)
	if w.Engine == TLS {
		return p.o.Machines.Check(ctx, m)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(w.CheckTime, checkTime))
	defer cancel()
	if p.o.Heartbeat != nil {
		if err := p.o.Heartbeat(ctx, m); err != nil {
			return fmt.Errorf("machine %s: its group: %w", m.Name, err)
		}
	}
	line, err := p.line(ctx, m)
	if err == nil {
		err = line.Ping(ctx)
	}
	if err == nil && w.Engine == Tunnel {
		err = ping(ctx, line, w)
	}
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	return nil
}

// Clean takes away what jobs of an agent that died left on the instance.
func (p *Provisioner) Clean(ctx context.Context, m fleet.Machine) error {
	w := p.o.Wishes(m)
	if w.Engine == TLS {
		return p.o.Machines.Clean(ctx, m)
	}
	line, err := p.line(ctx, m)
	switch {
	case err != nil:
	case w.Engine == Tunnel:
		err = cleanEngine(ctx, line, w)
	case w.Nest != nil:
		err = clearNest(ctx, line.Client, *w.Nest)
	case line.Target().Windows():
		err = cleanWindows(ctx, line.Target())
	default:
		err = cleanHost(ctx, line)
	}
	if err != nil {
		return fmt.Errorf("machine %s: clean: %w", m.Name, err)
	}
	return nil
}

func (p *Provisioner) line(ctx context.Context, m fleet.Machine) (*connect.Line, error) {
	if l := p.lines.find(m); l != nil {
		return l, nil
	}
	target, err := p.o.Target(ctx, m)
	if err != nil {
		return nil, err
	}
	return p.lines.get(m, target), nil
}

// leftovers kills what jobs have left running and removes their folders.
const leftovers = `for dir in /tmp/millwright-job-*; do
	[ -d "$dir" ] && [ -O "$dir" ] || continue
	for file in "$dir"/*/pid; do
		[ -s "$file" ] || continue
		if command -v cygpath >/dev/null; then MSYS_NO_PATHCONV=1 taskkill.exe /F /T /PID "$(cat "/proc/$(cat "$file")/winpid")" >/dev/null; fi
		kill -KILL "-$(cat "$file")"
	done 2>/dev/null
	grep -lzxF "MILLWRIGHT_JOB_DIR=$dir" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r x y pid z; do
		[ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$dir"
done
exit 0`

func cleanHost(ctx context.Context, line *connect.Line) error {
	client, err := line.Client(ctx)
	if err != nil {
		return err
	}
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	var said tail
	s.Stdout, s.Stderr = &said, &said
	if err := s.Run("sh -c '" + quoted(leftovers) + "'"); err != nil {
		return fmt.Errorf("%w%s", exitOf(err), said.end())
	}
	return nil
}

func cleanEngine(ctx context.Context, line *connect.Line, w Wishes) error {
	engine, err := newClient(line, w)
	if err != nil {
		return err
	}
	defer engine.Close()
	return provision.CleanEngine(ctx, engine)
}

// newClient makes a client of the instance's engine for a few calls; close it.
func newClient(line *connect.Line, w Wishes) (*client.Client, error) {
	dial := line.Dialer(w.EngineHost, w.Way)
	return client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{CheckRedirect: client.CheckRedirect, Transport: &http.Transport{DialContext: dial, IdleConnTimeout: 30 * time.Second, MaxIdleConns: 2}}),
		client.WithHost("tcp://engine"), client.WithDialContext(dial), client.WithAPIVersionNegotiation())
}

func ping(ctx context.Context, line *connect.Line, w Wishes) error {
	engine, err := newClient(line, w)
	if err != nil {
		return err
	}
	defer engine.Close()
	_, err = engine.Ping(ctx)
	return err
}

// awaitEngine waits until the engine answers, which on a fresh instance may still be starting.
func awaitEngine(ctx context.Context, line *connect.Line, w Wishes) error {
	ctx, cancel := context.WithTimeoutCause(ctx, engineTime, fmt.Errorf("no engine within %s", engineTime))
	defer cancel()
	for {
		err := ping(ctx, line, w)
		if err == nil {
			return nil
		}
		pause := time.NewTimer(time.Second)
		select {
		case <-pause.C:
			continue
		case <-ctx.Done():
		}
		pause.Stop()
		return fmt.Errorf("%w: %w; the instance's image must have Docker running, and its login may use it", context.Cause(ctx), err)
	}
}
