package wasm

import (
	"cmp"
	"context"
	"fmt"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var _ driver.Checker = (*Driver)(nil)

// maxPermissions is how many permissions a driver may name. hostfuncs/ABI.md states it.
const maxPermissions = 256

// Check implements driver.Checker. A module without the export, and one that names no permission, has no check.
func (d *Driver) Check(ctx context.Context, req abi.CheckRequest) ([]abi.Permission, error) {
	if !d.module.Exports(abi.ExportCheck) {
		return nil, driver.ErrNoCheck
	}
	var problems []abi.Problem
	req.ABI = abi.Version
	if req.Options, problems = d.given(req.Options, true); len(problems) > 0 {
		return nil, d.failure(abi.ExportCheck, abi.Error{Kind: abi.Invalid, Message: problems[0].Option + ": " + problems[0].Message})
	}
	res, err := call[abi.CheckResult](ctx, d, abi.ExportCheck, req.Options, req)
	switch {
	case err != nil:
		return nil, err
	case len(res.Permissions) == 0:
		return nil, driver.ErrNoCheck
	case len(res.Permissions) > maxPermissions:
		return nil, d.fault(abi.ExportCheck, fmt.Sprintf("it returned %d permissions; at most %d are read", len(res.Permissions), maxPermissions))
	}
	for i := range res.Permissions {
		checkPermission(&res.Permissions[i])
	}
	return res.Permissions, nil
}

// checkPermission makes a permission fit to be shown. A result that the ABI does not have counts as unknown.
func checkPermission(p *abi.Permission) {
	switch p.Result {
	case abi.PermissionGranted, abi.PermissionDenied:
	default:
		p.Result = abi.PermissionUnknown
	}
	p.Name = cmp.Or(short(p.Name), "?")
	for _, text := range []*string{&p.Purpose, &p.Without, &p.Fix, &p.Message} {
		*text = short(*text)
	}
}
