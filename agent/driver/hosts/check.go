package hosts

import (
	"context"
	"sync"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var _ driver.Checker = (*Driver)(nil)

// Check implements driver.Checker: there is no provider to ask, so each host is logged in to, side by side, and the engine of none is asked.
func (d *Driver) Check(ctx context.Context, req abi.CheckRequest) ([]abi.Permission, error) {
	s, problems := read(d.opts.Name, req.Options)
	if len(problems) > 0 {
		return nil, d.failure(abi.ExportCheck, abi.Invalid, "%s: %s", problems[0].Option, problems[0].Message)
	}
	if d.opts.Name == None {
		return d.checkEngine(ctx, req.Options)
	}
	if d.opts.TryLogin == nil {
		return nil, driver.ErrNoCheck
	}
	found := make([][2]abi.Permission, len(s.hosts))
	var trying sync.WaitGroup
	for i, h := range s.hosts {
		trying.Go(func() {
			login, root := d.opts.TryLogin(ctx, d.login(req.Options), h.key(), s.user)
			found[i] = permissionsOf(h.key(), s.user, login, root)
		})
	}
	trying.Wait()
	var out []abi.Permission
	for _, of := range found {
		out = append(out, of[0], of[1])
	}
	return out, ctx.Err()
}

// permissionsOf are those of one host: to log in, and to be root.
func permissionsOf(host, user string, login, root error) [2]abi.Permission {
	in := abi.Permission{
		Name: "ssh " + user + "@" + host, Result: abi.PermissionGranted, Purpose: "log in to the host, to set up its engine",
		Without: "no machine leases this host",
		Fix:     "put the public key into the login's authorized_keys there; see " + optKey + ", " + optUser + " and " + optPort,
	}
	become := abi.Permission{
		Name: "root on " + host, Result: abi.PermissionGranted, Purpose: "configure and restart the engine", Without: "no machine gets ready on this host",
		Fix: "let " + user + " use sudo without a password, or log in as root: " + optUser,
	}
	if login != nil {
		in.Result, in.Message = abi.PermissionDenied, login.Error()
		become.Result, become.Message = abi.PermissionUnknown, "nobody can log in"
	} else if root != nil {
		become.Result, become.Message = abi.PermissionDenied, root.Error()
	}
	return [2]abi.Permission{in, become}
}

func (d *Driver) checkEngine(ctx context.Context, o abi.Options) ([]abi.Permission, error) {
	if d.opts.TryEngine == nil {
		return nil, driver.ErrNoCheck
	}
	engine := abi.Permission{
		Name: "engine " + o.Get(optURL), Result: abi.PermissionGranted, Purpose: "run jobs on the engine, over TLS", Without: "no machine gets ready",
		Fix: "see that the engine listens there over TLS and that its CA made the certificates of " + optCerts,
	}
	if err := d.opts.TryEngine(ctx, o.Get(optURL), o.Get(optCerts)); err != nil {
		engine.Result, engine.Message = abi.PermissionDenied, err.Error()
	}
	return []abi.Permission{engine}, ctx.Err()
}
