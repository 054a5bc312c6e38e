package fleeting

import (
	"reflect"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/child"
)

// start is what a plug-in is started with.
type start struct {
	plugin    string
	find      func() (string, error)
	config    map[string]any
	connector config.Connector
	key       config.Secret
}

func startOf(o Options) start {
	return start{plugin: o.Plugin, find: o.Find, config: o.Config, connector: o.Connector, key: o.Key}
}

// same tells whether a plug-in is told the same with both. Which binary it is, is not looked at.
func (s start) same(other start) bool {
	return s.connector == other.connector && s.key == other.key && reflect.DeepEqual(s.config, other.config)
}

// options are what s has in the place of o's.
func (s start) options(o Options) Options {
	o.Plugin, o.Find, o.Config, o.Connector, o.Key = s.plugin, s.find, s.config, s.connector, s.key
	return o
}

// Change replaces what the plug-in is started with: Plugin, Find, Config, Connector and Key of o. Where that differs from what it was started with, the
// one that runs ends as soon as no list, increase or decrease is under way, and is started anew; the group must be the same one. A plug-in that can't be
// found leaves the one that runs alone.
func (g *Group) Change(o Options) {
	next := startOf(o)
	g.mu.Lock()
	unchanged := g.with.plugin == next.plugin && g.with.same(next)
	g.with = next
	if !unchanged {
		g.secrets = append(g.secrets, o.secrets(nil)...)
		g.hider = child.Hider(g.secrets)
	}
	g.mu.Unlock()
	if unchanged {
		return
	}
	path, err := next.find()
	if err != nil {
		g.log.Warn("fleeting plug-in is not there as it is configured now; the one that runs goes on", "plugin", o.Plugin, "error", err)
		return
	}
	g.spawn(func() { g.renew(path) })
}

// renew ends a session that was started otherwise than it would be now, or from another binary.
func (g *Group) renew(path string) {
	select {
	case g.serial <- struct{}{}: // what was begun is done
	case <-g.ctx.Done():
		return
	}
	defer func() { <-g.serial }()
	g.mu.Lock()
	for g.starting != nil {
		starting := g.starting
		g.mu.Unlock()
		<-starting // it has its limit, and Close ends it
		g.mu.Lock()
	}
	s := g.now
	g.failures, g.next = 0, time.Time{} // what failed before may be what was changed
	if s == nil || g.closed || s.path == path && s.with.same(g.with) {
		g.mu.Unlock()
		return
	}
	g.now, g.leaving = nil, make(chan struct{})
	g.mu.Unlock()
	g.log.Info("fleeting plug-in is started anew, since its configuration has changed")
	if err := g.farewell(g.ctx, s); err != nil {
		g.log.Warn("fleeting plug-in did not end well", "error", err)
	}
	g.mu.Lock()
	close(g.leaving)
	g.leaving = nil
	g.mu.Unlock()
	_, _ = g.session(g.ctx) // so that a start that fails is told now
}
