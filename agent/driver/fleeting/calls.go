package fleeting

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc/codes"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// What is believed of a plug-in's answers.
const (
	maxInstances = 10_000
	maxName      = 1 << 10  // bytes of an id, an address or a login
	maxSecret    = 64 << 10 // bytes of a key or password
)

// plain tells whether a text can be an id, an address or the like.
func plain(text string) bool {
	return len(text) <= maxName && !strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) })
}

// call makes one call, of several messages maybe, on the session that serves. It holds a place in gate until the plug-in has ended it, though ctx may end before.
func call[T any](ctx context.Context, g *Group, op string, gate chan struct{}, work func(context.Context, *session) (T, error)) (T, error) {
	var none T
	select {
	case gate <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("fleeting plug-in %s: %s: %w", g.opts.Plugin, op, context.Cause(ctx))
	case <-g.ctx.Done():
		return none, g.fail(op, errClosed)
	}
	s, err := g.session(ctx)
	if err != nil {
		<-gate
		return none, g.fail(op, err)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	if !g.spawn(func() {
		defer func() { <-gate }()
		value, err := work(g.ctx, s)
		g.see(s, err)
		answers <- answer{value, err}
	}) {
		<-gate
		return none, g.fail(op, errClosed)
	}
	select {
	case a := <-answers:
		return a.value, g.fail(op, a.err)
	case <-ctx.Done():
		return none, fmt.Errorf("fleeting plug-in %s: %s: %w", g.opts.Plugin, op, context.Cause(ctx))
	}
}

// see replaces a session that hangs or is gone.
func (g *Group) see(s *session, err error) {
	var hung *hangError
	var lost *lostError
	if errors.As(err, &hung) || errors.As(err, &lost) {
		g.drop(s, err)
	}
}

// kinds are those of the errors that a plug-in reports with gRPC's codes. Most report words alone.
var kinds = map[codes.Code]abi.ErrorKind{
	codes.InvalidArgument: abi.Invalid, codes.Unimplemented: abi.Invalid, codes.NotFound: abi.NotFound, codes.AlreadyExists: abi.Conflict, codes.Aborted: abi.Conflict,
	codes.PermissionDenied: abi.Auth, codes.Unauthenticated: abi.Auth,
}

// fail is err as a driver's error.
func (g *Group) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := abi.Transient
	var own *ownError
	if errors.As(err, &own) {
		if k, ok := kinds[own.code]; ok {
			kind = k
		}
	}
	if unfit := (*unfitError)(nil); errors.As(err, &unfit) {
		kind = abi.Conflict
	}
	return &driver.Error{Driver: "fleeting plug-in " + g.opts.Plugin, Op: op, Info: abi.Error{Kind: kind, Message: g.hide(clip(err.Error(), maxText))}}
}

func unimplemented(err error) bool {
	var own *ownError
	return errors.As(err, &own) && own.code == codes.Unimplemented
}

// Info starts the plug-in, if it does not run, and tells which group it serves.
func (g *Group) Info(ctx context.Context) (group.Info, error) {
	s, err := g.session(ctx)
	if err != nil {
		return group.Info{}, g.fail("start", err)
	}
	return s.info, nil
}

// states are what the protocol's numbers mean. An instance that somebody suspended exists and serves nobody; one that timed out is no longer looked for.
var states = []group.State{
	0: group.Creating, 1: group.Running, 2: group.Deleting, 3: group.Deleted,
	4: group.Deleted,                                        // timeout
	5: group.Creating, 6: group.Creating, 7: group.Creating, // suspending, suspended, resuming
}

// List returns what the plug-in lists. A list that contradicts itself is refused as a whole.
func (g *Group) List(ctx context.Context) ([]group.Instance, error) {
	return call(ctx, g, "list", g.serial, func(ctx context.Context, s *session) ([]group.Instance, error) {
		all, err := g.list(ctx, s)
		if err == nil {
			g.forget(all)
		}
		return all, err
	})
}

func (g *Group) list(ctx context.Context, s *session) ([]group.Instance, error) {
	var all []group.Instance
	seen := map[string]group.State{}
	err := s.updates(ctx, g.opts.Limits.List, func(u update) error {
		if u.instance == "" || !plain(u.instance) {
			return fmt.Errorf("it lists an instance with the id %.100q; the list is refused", u.instance)
		}
		if u.state < 0 || u.state >= int64(len(states)) {
			return fmt.Errorf("it lists %s in state %d, which the protocol does not have; the list is refused", u.instance, u.state)
		}
		state := states[u.state]
		if before, twice := seen[u.instance]; twice {
			if before != state {
				return fmt.Errorf("it lists %s as %s and as %s; the list is refused", u.instance, before, state)
			}
			return nil
		}
		if len(all) == maxInstances {
			return fmt.Errorf("it lists more than %d instances; the list is refused", maxInstances)
		}
		seen[u.instance] = state
		all = append(all, group.Instance{ID: u.instance, State: state})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Increase asks for n more instances. A plug-in that says it granted more is believed for n.
func (g *Group) Increase(ctx context.Context, n int) (int, error) {
	if n < 1 || n > math.MaxInt32 {
		return 0, g.fail("increase", &ownError{codes.InvalidArgument, fmt.Sprintf("%d instances were asked for; ask for 1 or more", n)})
	}
	return call(ctx, g, "increase", g.serial, func(ctx context.Context, s *session) (int, error) {
		var granted count
		if err := s.invoke(ctx, g.opts.Limits.Change, "Increase", &count{int64(n)}, &granted); err != nil {
			return 0, err
		}
		if granted.n > int64(n) {
			g.log.Warn("fleeting plug-in says that it granted more instances than were asked for", "asked", n, "granted", granted.n)
		}
		return int(min(granted.n, int64(n))), nil
	})
}

// Decrease asks for the removal of instances. The protocol loses what was done when a part fails, so then it is found out: what is not listed any more
// is done, and the rest is asked for one by one.
func (g *Group) Decrease(ctx context.Context, instances []string) ([]string, error) {
	if len(instances) == 0 {
		return nil, nil
	}
	return call(ctx, g, "decrease", g.serial, func(ctx context.Context, s *session) ([]string, error) {
		taken, err := g.decrease(ctx, s, instances)
		var own *ownError
		if err == nil || !errors.As(err, &own) {
			return taken, err
		}
		listed, unlisted := g.list(ctx, s)
		if unlisted != nil {
			return nil, errors.Join(err, unlisted)
		}
		var rest []string
		for _, id := range instances {
			if i := slices.IndexFunc(listed, func(i group.Instance) bool { return i.ID == id }); i < 0 || listed[i].State == group.Deleting || listed[i].State == group.Deleted {
				taken = append(taken, id)
			} else {
				rest = append(rest, id)
			}
		}
		if len(instances) > 1 {
			return g.oneByOne(ctx, s, taken, rest)
		}
		if len(rest) == 0 {
			err = nil
		}
		return taken, err
	})
}

// oneByOne asks for the removal of each instance alone, adds those that are taken on to taken, and returns the first error.
func (g *Group) oneByOne(ctx context.Context, s *session, taken, rest []string) ([]string, error) {
	var first error
	for _, id := range rest {
		done, err := g.decrease(ctx, s, []string{id})
		taken = append(taken, done...)
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", id, err)
		}
		if own := (*ownError)(nil); err != nil && !errors.As(err, &own) {
			break // there is no plug-in any more
		}
	}
	return taken, first
}

// decrease asks once. Ids in the answer that were not asked for are left out.
func (g *Group) decrease(ctx context.Context, s *session, instances []string) ([]string, error) {
	request, answer := ids(instances), ids{}
	if err := s.invoke(ctx, g.opts.Limits.Change, "Decrease", &request, &answer); err != nil {
		return nil, err
	}
	var taken []string
	for _, id := range instances {
		if slices.Contains(answer, id) && !slices.Contains(taken, id) {
			taken = append(taken, id)
		}
	}
	if strangers := slices.DeleteFunc(slices.Clone(answer), func(id string) bool { return slices.Contains(instances, id) }); len(strangers) > 0 {
		g.log.Warn("fleeting plug-in says that it removes instances that nobody asked it to", "instances", clip(strings.Join(strangers, " "), maxLast))
	}
	return taken, nil
}

// Connect tells how an instance is reached. A plug-in is asked once for each instance: it may change the instance then, and one that was started anew may
// have another key than the instance knows.
func (g *Group) Connect(ctx context.Context, id string) (group.Connection, error) {
	if c, ok := g.remembered(id); ok {
		return c, nil
	}
	return call(ctx, g, "connect", g.aside, func(ctx context.Context, s *session) (group.Connection, error) {
		var answer connectResponse
		if err := s.invoke(ctx, g.opts.Limits.Connect, "ConnectInfo", &one{id}, &answer); err != nil {
			return group.Connection{}, err
		}
		c, err := answer.connection(id)
		if err == nil {
			g.mu.Lock()
			g.reached[id] = c
			g.mu.Unlock()
		}
		return c, err
	})
}

// remembered is what Connect returned, until it expires.
func (g *Group) remembered(id string) (group.Connection, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.reached[id]
	return c, ok && !g.closed && (c.Expires.IsZero() || time.Now().Add(expiryMargin).Before(c.Expires))
}

// expiryMargin is how long credentials must last that are handed out again.
const expiryMargin = time.Minute

// forget drops what is known of instances that are gone.
func (g *Group) forget(listed []group.Instance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.reached {
		if !slices.ContainsFunc(listed, func(i group.Instance) bool {
			return i.ID == id && (i.State == group.Running || i.State == group.Creating)
		}) {
			delete(g.reached, id)
		}
	}
}

// connection is the answer, if it can be true.
func (r *connectResponse) connection(id string) (group.Connection, error) {
	c := r.connector
	for what, text := range map[string]string{"os": c.os, "arch": c.arch, "username": c.username, "internal address": r.internal, "external address": r.external} {
		if !plain(text) || strings.ContainsAny(text, " /") && strings.HasSuffix(what, "address") {
			return group.Connection{}, fmt.Errorf("it says that %s has the %s %.100q", id, what, text)
		}
	}
	switch {
	case !slices.Contains([]string{"", "ssh", "winrm", "winrm+https"}, c.protocol):
		return group.Connection{}, fmt.Errorf("it says that %s is reached by %.50q; ssh, winrm and winrm+https are known", id, c.protocol)
	case c.port < 0 || c.port > 65535:
		return group.Connection{}, fmt.Errorf("it says that %s is reached at port %d", id, c.port)
	case c.keepalive < 0 || c.timeout < 0:
		return group.Connection{}, fmt.Errorf("it says that %s has a keepalive of %s and a timeout of %s", id, c.keepalive, c.timeout)
	case len(c.key) > maxSecret || len(c.password) > maxSecret:
		return group.Connection{}, fmt.Errorf("it gives %s a key or password of more than %d bytes", id, maxSecret)
	case r.internal == "" && r.external == "":
		return group.Connection{}, fmt.Errorf("it says that %s has no address", id)
	}
	out := group.Connection{
		OS: system(c.os), Arch: arch(c.arch), Protocol: c.protocol, Port: int(c.port), Username: c.username, Password: c.password, Key: c.key,
		InternalAddr: r.internal, ExternalAddr: r.external, Keepalive: c.keepalive, Timeout: c.timeout,
	}
	if r.expires > 0 {
		out.Expires = time.Unix(r.expires, 0).UTC()
	}
	return out, nil
}

// system is an operating system in Go's words. Plug-ins name Linux by its distributions.
func system(said string) string {
	switch s := strings.ToLower(said); s {
	case "", "windows", "darwin", "linux", "freebsd", "openbsd", "netbsd":
		return s
	case "macos", "osx":
		return "darwin"
	default:
		return "linux"
	}
}

// arch is an architecture in Go's words.
func arch(said string) string {
	switch s := strings.ToLower(said); s {
	case "x86_64", "x86-64", "x64":
		return "amd64"
	case "aarch64", "armv8":
		return "arm64"
	default:
		return s
	}
}

// unfitError is a plug-in's word that an instance is not fit for a job.
type unfitError struct{ error }

// Heartbeat asks whether an instance is fit for a job. That it is not is of the kind conflict; plug-ins that can't tell, as older ones, say nothing.
func (g *Group) Heartbeat(ctx context.Context, id string) error {
	_, err := call(ctx, g, "heartbeat", g.aside, func(ctx context.Context, s *session) (empty, error) {
		err := s.invoke(ctx, g.opts.Limits.Beat, "Heartbeat", &one{id}, empty{})
		var own *ownError
		switch {
		case unimplemented(err):
			return empty{}, nil
		case errors.As(err, &own) && kinds[own.code] == "":
			return empty{}, &unfitError{err}
		}
		return empty{}, err
	})
	return err
}
