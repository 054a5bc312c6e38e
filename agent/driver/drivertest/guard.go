package drivertest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
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
	for _, secret := range shown(text, append(more, g.secrets...)) {
		g.t.Errorf("the answer to %s shows a secret of %d letters", op, len(secret))
	}
}

// shown are those of the secrets that stand in text, which may be JSON.
func shown(text string, secrets []string) (found []string) {
	for _, secret := range secrets {
		if secret = strings.TrimSpace(secret); secret == "" {
			continue
		}
		quoted, _ := json.Marshal(secret) // plain text
		if strings.Contains(text, secret) || strings.Contains(text, strings.Trim(string(quoted), `"`)) {
			found = append(found, secret)
		}
	}
	return found
}

// plant gives each secret option of the driver a value, which counts as one of the secrets then. A module gets a reference in its place, as ever; a
// driver that runs natively sees it, and must not show it either.
func (b *bench) plant() {
	d, ok := b.Driver.(interface{ Describe() abi.Describe })
	if !ok {
		return
	}
	b.Secrets = slices.Clone(b.Secrets)
	for _, o := range d.Describe().Options {
		if !o.Secret {
			continue
		}
		for _, options := range []*abi.Options{&b.Options, &b.Invalid} {
			if *options == nil {
				continue
			}
			*options = maps.Clone(*options)
			if options.Get(o.Name) == "" {
				(*options)[o.Name] = []string{"planted-" + b.prefix + "-" + o.Name}
			}
			if value := options.Get(o.Name); !slices.Contains(b.Secrets, value) {
				b.Secrets = append(b.Secrets, value)
			}
		}
	}
}

// overhear looks through what the guest has logged meanwhile.
func (b *bench) overhear() {
	for _, secret := range shown(b.Heard()[b.before:], append([]string{hostKeySecret}, b.Secrets...)) {
		b.t.Errorf("the guest logs a secret of %d letters", len(secret))
	}
}
