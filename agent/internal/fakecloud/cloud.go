package fakecloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// nowhere is the address of machines without servers: nothing answers there (RFC 5737).
const nowhere = "192.0.2.1"

// Options are what Start needs; the zero value will do.
type Options struct {
	Listen   string // where the API is served; default 127.0.0.1:0
	Settings Settings
	// Machines gives running machines servers for SSH and the Docker API, on ports of 127.0.0.1. Without it their address is one where
	// nothing answers.
	Machines bool
	// Engine answers what the engine of a machine does not know by itself, such as all about containers; nil refuses it.
	Engine func(machine string) http.Handler
	Ledger io.Writer // gets the ledger too, a line of JSON each; writes come one at a time
	Log    *slog.Logger
}

// Cloud is a running cloud. It is safe for concurrent use.
type Cloud struct {
	o      Options
	log    *slog.Logger
	server *http.Server
	url    string
	work   sync.WaitGroup // of all that serves

	mu       sync.Mutex // guards what follows; held for lines, never while anything blocks
	settings Settings
	live     map[string]*instance // by name
	past     []*instance          // gone, as long as a list may lag
	faults   []*Fault
	ledger   []Entry
	second   int64 // since 1970, and how many calls came in it
	inSecond int
	made     int
	closed   bool
}

// Start serves a cloud until Close.
func Start(o Options) (*Cloud, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("fake cloud: %w", err)
	}
	c := &Cloud{o: o, log: o.Log, settings: o.Settings, live: map[string]*instance{}, url: "http://" + l.Addr().String()}
	c.server = &http.Server{Handler: c.handler(), ReadHeaderTimeout: time.Minute}
	c.work.Go(func() {
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("the API is not served any more", "error", err)
		}
	})
	return c, nil
}

// URL is the API's address, http://host:port.
func (c *Cloud) URL() string { return c.url }

// Close ends the cloud and all machines. The ledger can still be read.
func (c *Cloud) Close() error {
	c.mu.Lock()
	c.closed = true
	for _, i := range c.live {
		i.end()
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := c.server.Shutdown(ctx)
	if err != nil {
		err = c.server.Close()
	}
	c.work.Wait()
	return err
}

// create makes a machine, with what a fault does to it. The error is a *refusal.
func (c *Cloud) create(r CreateRequest, f Fault) (Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refuses(r); err != nil {
		return Instance{}, err
	}
	c.made++
	i := &instance{userData: r.UserData, fate: f.Fate, Instance: Instance{
		ID: fmt.Sprintf("i-%06d", c.made), Name: r.Name, Zone: r.Zone, Type: r.Type, Spot: r.Spot,
		CreatedAt: time.Now().UTC(), Tags: r.Tags,
	}}
	c.live[i.Name] = i
	c.fact(FactMade, i, "")
	if !r.ExpiresAt.IsZero() {
		c.later(i, time.Until(r.ExpiresAt), func() { c.lose(i, "expired") })
	}
	boot := c.settings.BootMS
	if f.BootMS > 0 {
		boot = f.BootMS
	}
	if boot > 0 {
		c.later(i, milliseconds(boot), func() { c.boot(i) })
	} else {
		c.boot(i)
	}
	return i.now(), nil
}

// refuses says why a machine can't be made. The caller holds mu.
func (c *Cloud) refuses(r CreateRequest) error {
	switch {
	case !machineName.MatchString(r.Name):
		return refuse(http.StatusBadRequest, CodeInvalid, fmt.Sprintf("the name %q; use 1 to 63 letters, digits, dots and hyphens", r.Name))
	case !c.settings.hasZone(r.Zone):
		return refuse(http.StatusBadRequest, CodeInvalid, fmt.Sprintf("there is no zone %q; use one of %v", r.Zone, c.settings.Zones))
	case c.live[r.Name] != nil:
		return refuse(http.StatusConflict, CodeTaken, "there is a machine of the name "+r.Name+" already")
	case c.settings.Quota > 0 && len(c.live) >= c.settings.Quota:
		return refuse(http.StatusForbidden, CodeQuota, fmt.Sprintf("the account's %d machines are all there", c.settings.Quota))
	}
	return nil
}

// later does something to a machine unless it is gone by then. The caller holds mu, and do is called with it.
func (c *Cloud) later(i *instance, after time.Duration, do func()) {
	i.timers = append(i.timers, time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.closed && i.goneAt.IsZero() {
			do()
		}
	}))
}

// boot makes a machine run. The caller holds mu.
func (c *Cloud) boot(i *instance) {
	i.bootedAt = time.Now()
	i.Address = nowhere
	if !c.o.Machines {
		return
	}
	m, err := startMachine(i.Name, anyPort, anyPort, i.userData, c.o.Engine, &c.work)
	if err != nil {
		c.log.Error("a machine has no servers", "name", i.Name, "error", err)
		return
	}
	i.machine, i.Address = m, "127.0.0.1"
	i.SSHPort, i.EnginePort = portOf(m.ssh), portOf(m.engine)
	m.act(i.fate)
}

// remove asks a machine to go. The error is a *refusal.
func (c *Cloud) remove(name, id string) (Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.live[name]
	switch {
	case i == nil:
		return Instance{}, refuse(http.StatusNotFound, CodeNotFound, "there is no machine "+name)
	case id != "" && id != i.ID:
		return Instance{}, refuse(http.StatusConflict, CodeTaken, fmt.Sprintf("the machine %s is %s, not %s", name, i.ID, id))
	}
	if i.goingAt.IsZero() {
		i.goingAt = time.Now()
		if wait := c.settings.RemoveMS; wait > 0 {
			c.later(i, milliseconds(wait), func() { c.lose(i, "removed") })
		} else {
			c.lose(i, "removed")
		}
	}
	return i.Instance, nil
}

// lose is the end of a machine. The caller holds mu.
func (c *Cloud) lose(i *instance, why string) {
	now := time.Now()
	i.goneAt = now
	i.end()
	delete(c.live, i.Name)
	c.fact(FactGone, i, why)
	keep := c.past[:0]
	for _, p := range append(c.past, i) {
		if now.Sub(p.goneAt) <= milliseconds(c.settings.LagMS) {
			keep = append(keep, p)
		}
	}
	c.past = keep
}

// end stops what belongs to a machine. The caller holds mu.
func (i *instance) end() {
	for _, t := range i.timers {
		t.Stop()
	}
	if i.machine != nil {
		i.machine.end()
	}
}
