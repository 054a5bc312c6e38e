package legacy

import (
	"context"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var _ driver.Switcher = (*Driver)(nil)

// switches are the plug-in's methods.
var switches = map[string]string{abi.ExportStart: "Start", abi.ExportStop: "Stop", abi.ExportRestart: "Restart", abi.ExportKill: "Kill"}

// Switch implements driver.Switcher. It returns when the plug-in has done it, with the address that the machine has then.
func (d *Driver) Switch(ctx context.Context, op string, req abi.SwitchRequest) error {
	_, leave, err := d.enter(ctx, req.Name)
	if err != nil {
		return err
	}
	defer leave()
	r, ok, err := d.files.Load(req.Name)
	switch {
	case err != nil:
		return d.failure(op, abi.Transient, "%v", err)
	case !ok || !isOurs(r.ID) || r.Owner != req.Owner.ID || r.Driver != d.opts.Name:
		return d.failure(op, abi.NotFound, "there is no record of the machine %s", req.Name)
	case r.Phase != phaseMade:
		return d.failure(op, abi.Conflict, "the machine was never made as a whole; remove it")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.CreateLimit, fmt.Errorf("not done within %s", d.opts.CreateLimit))
	defer cancel()
	s, err := d.session(ctx, req.Name, r)
	if err != nil {
		return d.failure(op, abi.Transient, "%v", err)
	}
	defer s.close()
	if err = s.do(ctx, switches[op]); err == nil && (op == abi.ExportStart || op == abi.ExportRestart) {
		if err = d.untilRunning(ctx, s); err == nil {
			err = r.connection(ctx, s)
		}
	}
	if err != nil {
		return d.failure(op, kindOf(err.Error()), "%v", err)
	}
	if err = d.keepNow(s, req.Name, &r); err == nil {
		err = d.files.Save(req.Name, r)
	}
	if err != nil {
		return d.failure(op, abi.Transient, "done, but it could not be written down: %v", err)
	}
	d.saw(req.Name, sighting{status: abi.StatusUnknown, message: "switched just now", at: time.Time{}}) // the next list looks
	return nil
}
