package drivertest

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// guard passes calls on and reports what shows a secret.
type guard struct {
	driver.Driver
	t       TB
	secrets []string
}

// Create implements driver.Driver.
func (g guard) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	i, err := g.Driver.Create(ctx, req)
	g.look("create", i, err, req.Bootstrap.HostKeyPrivate)
	return i, err
}

// List implements driver.Driver.
func (g guard) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	res, err := g.Driver.List(ctx, req)
	g.look("list", res, err, hostKeySecret)
	return res, err
}

// Remove implements driver.Driver.
func (g guard) Remove(ctx context.Context, req abi.RemoveRequest) error {
	err := g.Driver.Remove(ctx, req)
	g.look("remove", nil, err, hostKeySecret)
	return err
}

// Switch implements driver.Switcher.
func (g guard) Switch(ctx context.Context, op string, req abi.SwitchRequest) error {
	err := g.Driver.(driver.Switcher).Switch(ctx, op, req) // the check is run with those alone that can
	g.look(op, nil, err, hostKeySecret)
	return err
}

// Logs implements driver.Logger.
func (g guard) Logs(ctx context.Context, req abi.LogsRequest) (string, error) {
	text, err := g.Driver.(driver.Logger).Logs(ctx, req) // the check is run with those alone that can
	g.look(abi.ExportLogs, text, err, hostKeySecret)
	return text, err
}

// Check implements driver.Checker.
func (g guard) Check(ctx context.Context, req abi.CheckRequest) ([]abi.Permission, error) {
	found, err := g.Driver.(driver.Checker).Check(ctx, req) // the check is run with those alone that can
	g.look(abi.ExportCheck, found, err, hostKeySecret)
	return found, err
}

func (g guard) look(op string, answer any, err error, more ...string) {
	data, _ := json.Marshal(answer) // plain values
	text := string(data)
	if err != nil {
		text += err.Error()
	}
	for _, secret := range append(more, g.secrets...) {
		if secret = strings.TrimSpace(secret); secret != "" && strings.Contains(text, secret) {
			g.t.Errorf("the answer to %s shows a secret of %d letters", op, len(secret))
		}
	}
}
