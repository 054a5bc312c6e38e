package legacy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/child"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Create implements driver.Driver. It gives the plug-in its options, begins the creation and returns; list tells what becomes of it.
func (d *Driver) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	m, leave, err := d.enter(ctx, req.Name)
	if err != nil {
		return abi.Instance{}, err
	}
	defer leave()
	if r, ok, err := d.files.Load(req.Name); err != nil {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Conflict, "%v", err)
	} else if ok {
		return d.existing(m, req, r)
	}
	path, flags, err := d.flags(ctx)
	if err != nil {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Transient, "%v", err)
	}
	set, problems := values(flags, req.Options)
	if len(problems) > 0 {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Invalid, "%s: %s", problems[0].Option, problems[0].Message)
	}
	config, err := json.Marshal(map[string]string{"MachineName": req.Name, "StorePath": d.opts.Store})
	if err != nil {
		return abi.Instance{}, err
	}
	secrets := secretsOf(flags, req.Options)
	s, err := d.start(ctx, path, req.Name, config, child.Hider(secrets))
	if err != nil {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Transient, "%v", err)
	}
	r := record{
		Driver: d.opts.Name, Owner: req.Owner.ID, ID: idPrefix + strings.ToLower(rand.Text())[:16], Phase: phaseAsked, CreatedAt: time.Now().UTC().Format(time.RFC3339),
		Secrets: secrets,
	}
	if err := d.ask(ctx, s, req.Name, &r, set); err != nil {
		s.close()
		return abi.Instance{}, err
	}
	if !d.begin(m, d.opts.CreateLimit+d.opts.RunLimit, true, func(ctx context.Context) error {
		defer s.close()
		return d.make(ctx, s, req.Name, r)
	}) {
		s.close()
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Transient, "%v", errClosed)
	}
	return r.instance(req.Name, sighting{}), nil
}

// existing is what create answers when there is a record of that name.
func (d *Driver) existing(m *machine, req abi.CreateRequest, r record) (abi.Instance, error) {
	busy := m.task != nil && !m.task.over()
	switch {
	case r.Owner != req.Owner.ID || r.Driver != d.opts.Name || !isOurs(r.ID):
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Conflict, "there is a machine %s of another owner or driver in %s", req.Name, d.opts.Store)
	case busy && !m.task.creation:
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Conflict, "the machine %s is being removed", req.Name)
	case r.Phase == phaseFailed:
		return abi.Instance{}, &driver.Error{Driver: d.opts.Name, Op: abi.ExportCreate, Info: *r.Error}
	case r.Phase != phaseMade && !busy:
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Conflict, "the creation of %s was cut off when an agent ended; remove it first", req.Name)
	}
	return r.instance(req.Name, d.sighting(req.Name)), nil
}

// ask gives the plug-in its options and writes the machine down.
func (d *Driver) ask(ctx context.Context, s *session, name string, r *record, set map[string]any) error {
	var flags any = &rpcFlags{set}
	_, err := call[nothing](ctx, s, "SetConfigFromFlags", &flags)
	var own ownWords
	switch {
	case errors.As(err, &own):
		kind := kindOf(own.text)
		if kind == abi.Transient { // what it says of its options comes in all words
			kind = abi.Invalid
		}
		return d.failure(abi.ExportCreate, kind, "the plug-in refuses its options: %v", err)
	case err == nil:
		err = r.keep(ctx, s)
	}
	if err == nil {
		err = d.files.Save(name, *r)
	}
	if err != nil {
		return d.failure(abi.ExportCreate, abi.Transient, "%v", err)
	}
	return nil
}

// make creates the machine and waits until it runs. The record says what became of it.
func (d *Driver) make(ctx context.Context, s *session, name string, r record) error {
	err := d.create(ctx, s, name, &r)
	if err == nil {
		err = d.untilRunning(ctx, s)
	}
	if err == nil {
		err = r.connection(ctx, s)
	}
	if d.ctx.Err() != nil {
		return errClosed // the record says that it is being created, as it does after a crash
	}
	if keepErr := d.keepNow(s, name, &r); err == nil {
		err = keepErr
	}
	r.Phase = phaseMade
	if err != nil {
		r.Phase, r.Error = phaseFailed, &abi.Error{Kind: kindOf(err.Error()), Message: short(err.Error())}
	} else {
		d.saw(name, sighting{status: abi.StatusRunning, at: time.Now()})
	}
	if err := d.files.Save(name, r); err != nil {
		d.log.Error("What became of a creation could not be written down", "machine", name, "error", err)
	}
	return err
}

// create has the plug-in make the machine, and writes down what it knows of it meanwhile.
func (d *Driver) create(ctx context.Context, s *session, name string, r *record) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.CreateLimit, fmt.Errorf("not created within %s", d.opts.CreateLimit))
	defer cancel()
	if err := s.do(ctx, "PreCreateCheck"); err != nil {
		return err
	}
	r.Phase = phaseCreating
	if err := r.keep(ctx, s); err != nil {
		return err
	}
	if err := d.files.Save(name, *r); err != nil {
		return fmt.Errorf("nothing was asked of the provider: %w", err)
	}
	over := make(chan error, 1)
	d.work.Go(func() { over <- s.do(ctx, "Create") })
	tick := time.NewTicker(d.opts.KeepEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-over:
			return err
		case <-tick.C:
			d.keepChanged(s, name, r)
		}
	}
}

// keepChanged writes down what the plug-in knows when that has changed. The plug-in reads it while it creates, unguarded: what is no
// configuration is passed over, and the next look has it.
func (d *Driver) keepChanged(s *session, name string, r *record) {
	before := r.Config
	if err := d.keepNow(s, name, r); err != nil || bytes.Equal(before, r.Config) {
		return
	}
	if err := d.files.Save(name, *r); err != nil {
		d.log.Error("What the plug-in knows of its machine could not be written down", "machine", name, "error", err)
	}
}

// keepNow takes the plug-in's configuration over, unless it takes long.
func (d *Driver) keepNow(s *session, name string, r *record) error {
	ctx, cancel := context.WithTimeout(d.ctx, startLimit)
	defer cancel()
	return r.keep(ctx, s)
}

// runPoll is the pause between two looks at a machine that should run soon.
const runPoll = time.Second

func (d *Driver) untilRunning(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.RunLimit, fmt.Errorf("created, and not running within %s", d.opts.RunLimit))
	defer cancel()
	for {
		state, err := get[int](ctx, s, "GetState")
		if err == nil && state == stateRunning {
			return nil
		}
		select {
		case <-time.After(runPoll):
		case <-s.p.done:
			return s.p.ended()
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("the plug-in says that it is %q", stateWord(state))
			}
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
