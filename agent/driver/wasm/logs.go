package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var _ driver.Logger = (*Driver)(nil)

// maxLogs is how many bytes of a console are shown, from its end.
const maxLogs = 1 << 20

// Logs implements driver.Logger. A module need not have the export; one that has it may still say that it has none to show.
func (d *Driver) Logs(ctx context.Context, req abi.LogsRequest) (string, error) {
	if !d.module.Exports(abi.ExportLogs) {
		return "", fmt.Errorf("driver %s: %w", d.describe.Name, driver.ErrNoLogs)
	}
	req.ABI = abi.Version
	req.Options, _ = d.given(req.Options, false)
	text, err := call[string](ctx, d, abi.ExportLogs, req.Options, req)
	var told *driver.Error
	if errors.As(err, &told) && told.Info.Kind == abi.Invalid && told.Info.Code == abi.CodeNoLogs {
		return "", fmt.Errorf("driver %s: %w", d.describe.Name, driver.ErrNoLogs)
	}
	return text[max(0, len(text)-maxLogs):], err
}
