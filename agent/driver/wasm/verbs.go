package wasm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// More limits of what a driver of groups may return. hostfuncs/ABI.md states them.
const (
	maxGroup    = 1_000_000 // instances that a group says it may have
	maxProblems = 256
	maxTTLS     = 30 * 24 * 3600 // seconds; larger counts as this
)

var (
	archLike  = regexp.MustCompile(`^[a-z0-9]{0,16}$`)
	systems   = []string{"", "linux", "windows", "darwin", "freebsd"}
	protocols = []string{"", "ssh", "winrm", "winrm+https"}
)

// IsGroup tells whether the driver speaks to groups of instances. It then makes no single machines.
func (d *Driver) IsGroup() bool { return d.describe.Group }

// groupsOnly refuses what a driver of groups has no verb for.
func (d *Driver) groupsOnly(op string) error {
	return d.failure(op, abi.Error{Kind: abi.Invalid, Message: "it is a driver of groups and makes no single machines; name it as plugin in [runners.autoscaler]"})
}

// groupInfo asks which group the options name, and what is wrong with it.
func (d *Driver) groupInfo(ctx context.Context, req abi.GroupRequest) (abi.GroupInfo, error) {
	res, err := call[abi.GroupInfo](ctx, d, abi.ExportGroupInfo, req.Options, req)
	if err != nil {
		return abi.GroupInfo{}, err
	}
	switch {
	case res.ID == "" || len(res.ID) > maxText || !printable(res.ID):
		return abi.GroupInfo{}, d.fault(abi.ExportGroupInfo, "it returned a group without an id, or with one that is too long or has control characters")
	case res.MaxSize < 0 || res.MaxSize > maxGroup:
		return abi.GroupInfo{}, d.fault(abi.ExportGroupInfo, fmt.Sprintf("it returned a group of %d instances at most", res.MaxSize))
	case len(res.Problems) > maxProblems:
		return abi.GroupInfo{}, d.fault(abi.ExportGroupInfo, fmt.Sprintf("it returned %d problems; at most %d are read", len(res.Problems), maxProblems))
	}
	for i, p := range res.Problems {
		res.Problems[i].Option, res.Problems[i].Message = short(p.Option), short(p.Message)
	}
	res.Version = short(res.Version)
	return res, nil
}

// groupList returns the instances of the group. A list that lacks something is an error: what is missing there would else count as gone.
func (d *Driver) groupList(ctx context.Context, req abi.ListRequest) ([]abi.Instance, error) {
	res, err := d.List(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := checkGroupList(res); err != nil {
		return nil, d.failure(abi.ExportList, abi.Error{Kind: abi.Transient, Message: err.Error()})
	}
	return res.Instances, nil
}

func checkGroupList(res abi.ListResult) error {
	switch {
	case !res.Complete:
		return errors.New("a part of the group could not be read, so that nothing is known of it")
	case len(res.Instances) > abi.MaxGroupSize:
		return fmt.Errorf("it returned %d instances; at most %d are read", len(res.Instances), abi.MaxGroupSize)
	}
	return nil
}

// increase asks for more instances, and returns how many were granted, never more than that.
func (d *Driver) increase(ctx context.Context, req abi.IncreaseRequest) (int, error) {
	res, err := call[abi.IncreaseResult](ctx, d, abi.ExportIncrease, req.Options, req)
	switch {
	case err != nil:
		return 0, err
	case res.Count < 0:
		return 0, d.fault(abi.ExportIncrease, fmt.Sprintf("it granted %d instances", res.Count))
	}
	return min(res.Count, req.Count), nil
}

// decrease asks for the removal of instances, and returns those of them whose removal was taken on. The error is why the others stay.
func (d *Driver) decrease(ctx context.Context, req abi.DecreaseRequest) ([]string, error) {
	res, err := call[abi.DecreaseResult](ctx, d, abi.ExportDecrease, req.Options, req)
	if err != nil {
		return nil, err
	}
	taken := make([]string, 0, len(req.Instances))
	for _, name := range req.Instances {
		if slices.Contains(res.Instances, name) {
			taken = append(taken, name)
		}
	}
	switch {
	case res.Error != nil:
		err = d.failure(abi.ExportDecrease, checkError(*res.Error))
	case len(taken) < len(req.Instances):
		err = d.fault(abi.ExportDecrease, "it neither took on all removals nor said why not")
	}
	return taken, err
}

// connectInfo asks how an instance is reached.
func (d *Driver) connectInfo(ctx context.Context, req abi.ConnectRequest) (abi.ConnectInfo, error) {
	res, err := call[abi.ConnectInfo](ctx, d, abi.ExportConnectInfo, req.Options, req)
	if err != nil {
		return abi.ConnectInfo{}, err
	}
	if err := checkConnection(&res); err != nil {
		return abi.ConnectInfo{}, d.fault(abi.ExportConnectInfo, err.Error())
	}
	return res, nil
}

// checkConnection refuses what nobody can connect to. Nothing of a password is in its error.
func checkConnection(c *abi.ConnectInfo) error {
	switch {
	case !slices.Contains(systems, c.OS) || !archLike.MatchString(c.Arch):
		return fmt.Errorf("it returned the system %.80q and the architecture %.80q", c.OS, c.Arch)
	case !slices.Contains(protocols, c.Protocol):
		return fmt.Errorf("it returned the protocol %.80q", c.Protocol)
	case c.Port < 0 || c.Port > maxPortNum:
		return fmt.Errorf("it returned the port %d", c.Port)
	case len(c.Username) > maxText || !printable(c.Username):
		return errors.New("it returned a user name that is too long or has control characters")
	case len(c.Password) > maxText || len(c.EncryptedPassword) > maxText:
		return errors.New("it returned a password that is too long")
	}
	for _, address := range []string{c.InternalAddr, c.ExternalAddr} {
		if len(address) > maxText || strings.ContainsFunc(address, notInAddress) {
			return fmt.Errorf("it returned the address %.80q; an IP address or a hostname is needed", address)
		}
	}
	c.TTLS = min(max(c.TTLS, 0), maxTTLS)
	return nil
}

// heartbeat asks whether an instance is fit for a job. A module that can't tell finds each fit.
func (d *Driver) heartbeat(ctx context.Context, req abi.HeartbeatRequest) error {
	if !d.module.Exports(abi.ExportHeartbeat) {
		return nil
	}
	_, err := call[struct{}](ctx, d, abi.ExportHeartbeat, req.Options, req)
	return err
}
