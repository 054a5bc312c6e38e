// Package native runs a driver in Go as a part of a test: through the bytes of the ABI as the host would, but in the test's own process,
// where it can be debugged and checked for races.
package native

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	guest "github.com/millwright-ci/millwright/sdk/go/driver"
)

// Driver is the driver that the test's own package main registers; its value is the driver's name. It signs nothing and asks for no grant.
type Driver string

// Describe returns what the driver says of itself.
func (d Driver) Describe() abi.Describe { return guest.Registered().Describe() }

// Create implements driver.Driver.
func (d Driver) Create(ctx context.Context, req abi.CreateRequest) (i abi.Instance, err error) {
	return i, d.call(ctx, abi.ExportCreate, req, &i)
}

// List implements driver.Driver.
func (d Driver) List(ctx context.Context, req abi.ListRequest) (l abi.ListResult, err error) {
	return l, d.call(ctx, abi.ExportList, req, &l)
}

// Remove implements driver.Driver.
func (d Driver) Remove(ctx context.Context, req abi.RemoveRequest) error {
	return d.call(ctx, abi.ExportRemove, req, &struct{}{})
}

// Check asks the driver what it is allowed.
func (d Driver) Check(ctx context.Context, req abi.CheckRequest) ([]abi.Permission, error) {
	var res abi.CheckResult
	err := d.call(ctx, abi.ExportCheck, req, &res)
	return res.Permissions, err
}

// Switch implements driver.Switcher.
func (d Driver) Switch(ctx context.Context, op string, req abi.SwitchRequest) error {
	err := d.call(ctx, op, req, &struct{}{})
	if coded(err, abi.CodeNoSwitch) {
		err = driver.ErrNoSwitch
	}
	return err
}

// Logs implements driver.Logger.
func (d Driver) Logs(ctx context.Context, req abi.LogsRequest) (text string, err error) {
	err = d.call(ctx, abi.ExportLogs, req, &text)
	if coded(err, abi.CodeNoLogs) {
		err = driver.ErrNoLogs
	}
	return text, err
}

// coded tells whether err is the driver's, with that code.
func coded(err error, code string) bool {
	var told *driver.Error
	return errors.As(err, &told) && told.Info.Kind == abi.Invalid && told.Info.Code == code
}

// Validate asks the driver what is wrong with options.
func (d Driver) Validate(ctx context.Context, options abi.Options) ([]abi.Problem, error) {
	var res abi.ValidateResult
	err := d.call(ctx, abi.ExportValidate, abi.ValidateRequest{ABI: abi.Version, Options: options}, &res)
	return res.Problems, err
}

// Make creates a machine. The test fails when there is none.
func (d Driver) Make(t testing.TB, req abi.CreateRequest) abi.Instance {
	t.Helper()
	i, err := d.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Await lists an owner's machines until the one of that name, the zero Instance where there is none, is ok, and returns it. The test fails when
// that takes twenty seconds.
func (d Driver) Await(t testing.TB, owner abi.Owner, options abi.Options, name string, ok func(abi.Instance) bool) abi.Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		res, err := d.List(ctx, abi.ListRequest{ABI: abi.Version, Owner: owner, Options: options})
		if err != nil {
			t.Fatal(err)
		}
		found := abi.Instance{}
		for _, i := range res.Instances {
			if i.Name == name {
				found = i
			}
		}
		if ok(found) {
			return found
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is %+v", name, found)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (d Driver) call(ctx context.Context, export string, req, out any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := json.Marshal(req)
	if err != nil {
		return err
	}
	type answered struct {
		out []byte
		err error
	}
	done := make(chan answered, 1)
	go func() { // which goes on when nobody waits any more, as a guest's request does not
		out, err := guest.Call(guest.Registered(), export, in)
		done <- answered{out, err}
	}()
	var answer answered
	select {
	case answer = <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if answer.err != nil {
		return answer.err
	}
	var res abi.Result
	if err := json.Unmarshal(answer.out, &res); err != nil {
		return err
	}
	if res.Error != nil {
		return &driver.Error{Driver: string(d), Op: export, Info: *res.Error}
	}
	return json.Unmarshal(res.OK, out)
}
