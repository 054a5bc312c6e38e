package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var _ driver.Switcher = (*Driver)(nil)

// Switch implements driver.Switcher. A module need not have the exports; one that has them may still say that it can't.
func (d *Driver) Switch(ctx context.Context, op string, req abi.SwitchRequest) error {
	if !d.module.Exports(op) {
		return fmt.Errorf("driver %s: %w", d.describe.Name, driver.ErrNoSwitch)
	}
	req.ABI = abi.Version
	req.Options, _ = d.given(req.Options, false)
	_, err := call[struct{}](ctx, d, op, req.Options, req)
	var told *driver.Error
	if errors.As(err, &told) && told.Info.Kind == abi.Invalid && told.Info.Code == abi.CodeNoSwitch {
		return fmt.Errorf("driver %s: %w", d.describe.Name, driver.ErrNoSwitch)
	}
	return err
}
