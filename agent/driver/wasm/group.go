package wasm

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Serving is the module that serves a group now, for one call.
type Serving struct {
	Driver  *Driver
	Options abi.Options // which group
	Done    func()      // ends the call
}

// GroupOptions are what NewGroup needs.
type GroupOptions struct {
	Name      string // of the driver, for errors
	Use       func(ctx context.Context) (Serving, error)
	Owner     abi.Owner
	Max       int                     // max_instances; 0: no bound
	Connector func() config.Connector // connector_config as it is now
	Log       *slog.Logger
}

// Group is a group of instances that a module serves, whichever is loaded at a call. It is safe for concurrent use.
//
// Where connector_config does not say that credentials are the operator's own, it makes a key for each instance, which is in memory alone, and has
// the module put it there. The private half never enters the module.
type Group struct {
	o GroupOptions

	mu   sync.Mutex // guards keys
	keys map[string]*pair
}

var _ group.Group = (*Group)(nil)

// NewGroup returns a group that asks nobody before it is asked itself.
func NewGroup(o GroupOptions) *Group { return &Group{o: o, keys: map[string]*pair{}} }

// with runs f with the module that serves the group now.
func (g *Group) with(ctx context.Context, f func(s Serving, about abi.GroupRequest) error) error {
	s, err := g.o.Use(ctx)
	if err != nil {
		return err
	}
	defer s.Done()
	if !s.Driver.IsGroup() {
		return s.Driver.failure(abi.ExportGroupInfo, abi.Error{Kind: abi.Invalid, Message: "it is no driver of groups any more"})
	}
	given, problems := s.Driver.given(s.Options, true)
	if len(problems) > 0 {
		return s.Driver.failure(abi.ExportGroupInfo, abi.Error{Kind: abi.Invalid, Message: problems[0].Option + ": " + problems[0].Message})
	}
	return f(s, abi.GroupRequest{ABI: abi.Version, Owner: g.o.Owner, Options: given, MaxInstances: max(g.o.Max, 0)})
}

// Info implements group.Group. A group that would fight with the agent is refused with all that is wrong; warnings go to the log.
func (g *Group) Info(ctx context.Context) (info group.Info, err error) {
	err = g.with(ctx, func(s Serving, about abi.GroupRequest) error {
		res, err := s.Driver.groupInfo(ctx, about)
		if err != nil {
			return err
		}
		var wrong []string
		for _, p := range res.Problems {
			if p.Warning {
				g.o.Log.Warn("The group should be set otherwise", "driver", g.o.Name, "group", res.ID, "problem", p.Message)
			} else {
				wrong = append(wrong, p.Message)
			}
		}
		if len(wrong) > 0 {
			return s.Driver.failure(abi.ExportGroupInfo, abi.Error{Kind: abi.Invalid, Message: "the group " + res.ID + " can't be used: " + strings.Join(wrong, "; ")})
		}
		info = group.Info{ID: res.ID, MaxSize: res.MaxSize, Version: strings.TrimSpace(s.Driver.describe.Name + " " + res.Version)}
		return nil
	})
	return info, err
}

// List implements group.Group.
func (g *Group) List(ctx context.Context) (found []group.Instance, err error) {
	err = g.with(ctx, func(s Serving, about abi.GroupRequest) error {
		all, err := s.Driver.groupList(ctx, abi.ListRequest{ABI: about.ABI, Owner: about.Owner, Options: s.Options})
		if err != nil {
			return err
		}
		for _, i := range all {
			found = append(found, group.Instance{ID: i.Name, State: stateOf(i.Status)})
		}
		g.forget(found)
		return nil
	})
	return found, err
}

// stateOf is a status in a group's words. What nobody knows to be going is there, and shows its fitness when it is connected to.
func stateOf(s abi.Status) group.State {
	switch s {
	case abi.StatusCreating:
		return group.Creating
	case abi.StatusGone, abi.StatusInterrupted:
		return group.Deleting
	}
	return group.Running
}

// Increase implements group.Group.
func (g *Group) Increase(ctx context.Context, n int) (granted int, err error) {
	err = g.with(ctx, func(s Serving, about abi.GroupRequest) error {
		granted, err = s.Driver.increase(ctx, abi.IncreaseRequest{ABI: about.ABI, Owner: about.Owner, Options: about.Options, Count: n})
		return err
	})
	return granted, err
}

// Decrease implements group.Group. Many removals are asked for in parts, so that a failure costs the later ones alone.
func (g *Group) Decrease(ctx context.Context, ids []string) (taken []string, err error) {
	for part := range slices.Chunk(ids, abi.MaxDecrease) {
		if err := g.with(ctx, func(s Serving, about abi.GroupRequest) error {
			some, err := s.Driver.decrease(ctx, abi.DecreaseRequest{ABI: about.ABI, Owner: about.Owner, Options: about.Options, Instances: part})
			taken = append(taken, some...)
			return err
		}); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// Connect implements group.Group.
func (g *Group) Connect(ctx context.Context, id string) (c group.Connection, err error) {
	key, err := g.key(id)
	if err != nil {
		return c, err
	}
	err = g.with(ctx, func(s Serving, about abi.GroupRequest) error {
		req := g.about(about, id)
		if key != nil {
			req.AuthorizedKey = key.public
		}
		asked := time.Now()
		res, err := s.Driver.connectInfo(ctx, req)
		if err != nil {
			return err
		}
		c = group.Connection{
			OS: res.OS, Arch: res.Arch, Protocol: res.Protocol, Port: res.Port, Username: res.Username, Password: config.Secret(res.Password),
			InternalAddr: res.InternalAddr, ExternalAddr: res.ExternalAddr,
		}
		if res.KeyAuthorized && key != nil {
			c.Key = key.private
		}
		if res.TTLS > 0 {
			c.Expires = asked.Add(time.Duration(res.TTLS) * time.Second)
		}
		if res.EncryptedPassword != "" {
			if c.Password, err = g.decrypt(res.EncryptedPassword); err != nil {
				return s.Driver.failure(abi.ExportConnectInfo, abi.Error{Kind: abi.Auth, Message: err.Error()})
			}
		}
		return nil
	})
	return c, err
}

// Heartbeat implements group.Group.
func (g *Group) Heartbeat(ctx context.Context, id string) error {
	return g.with(ctx, func(s Serving, about abi.GroupRequest) error { return s.Driver.heartbeat(ctx, g.about(about, id)) })
}

// Close implements group.Group. Modules are their owner's.
func (g *Group) Close(context.Context) error { return nil }

// about is a question about an instance, with what connector_config says.
func (g *Group) about(r abi.GroupRequest, id string) abi.ConnectRequest {
	c := g.o.Connector()
	return abi.ConnectRequest{
		ABI: r.ABI, Owner: r.Owner, Options: r.Options, Instance: id, OS: c.OS, Arch: c.Arch, Protocol: c.Protocol, Username: c.Username,
	}
}
