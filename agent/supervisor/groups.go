package supervisor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fleeting"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/artifact"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/fleet"
	pausing "github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// groupPrefix begins the names of drivers that are groups: fleeting-PLUGIN-DIGEST. The digest is of plugin_config: with another one, the
// instances are another group's.
const groupPrefix = "fleeting-"

// isGroup tells whether a driver's name is a group's.
func isGroup(name string) bool {
	return strings.HasPrefix(name, groupPrefix)
}

// heartbeatFlag has groups asked about instances before jobs get them. Source: GitLab Runner documentation, "Feature flags".
const heartbeatFlag = "FF_USE_FLEETING_ACQUIRE_HEARTBEATS"

// groupOf returns the name of the driver of a runner whose instances a group makes, by a module or a plug-in; "" for one with a driver of machines. Its error is the
// configuration's.
func (s *Supervisor) groupOf(r *config.Runner) (string, error) {
	a := r.Autoscaler
	if !autoscaled(r.Executor) || a == nil {
		return "", nil
	}
	module := s.drivers.groupModule(a.Plugin)
	if module == "" && s.drivers.single(a) {
		return "", nil
	}
	var err error
	if module != "" {
		_, err = s.drivers.groupOptions(r.Key(), module, a)
	} else {
		_, err = fleeting.FromConfig("autoscaler", a)
	}
	if err != nil {
		return "", &skipError{err.Error() + "; the other runners run"}
	}
	data, err := json.Marshal(a.PluginConfig) // sorted by key
	if err != nil {
		return "", fmt.Errorf("autoscaler.plugin_config: %w", err)
	}
	sum := sha256.Sum256(data)
	name := pluginName(a.Plugin)
	return groupPrefix + cmp.Or(module, otherNames[name], name) + "-" + hex.EncodeToString(sum[:4]), nil
}

// pluginName is a plug-in's bare name: aws of fleeting-plugin-aws and of registry.example.com/plugins/aws:latest.
func pluginName(plugin string) string {
	name := plugin[strings.LastIndex(plugin, "/")+1:]
	name, _, _ = strings.Cut(name, ":")
	return strings.TrimPrefix(name, "fleeting-plugin-")
}

// groups are a worker's, by the names of their drivers. Beside the one that makes new instances there may be one whose instances are being
// drained. The zero value has none.
type groups struct {
	mu     sync.Mutex // guards what follows
	made   map[string]*grouped
	closed bool
}

// grouped is a group with the driver that is made of it.
type grouped struct {
	*group.Driver
	group *relay
}

// groupSettings are what a reload may change of a group.
func groupSettings(a *config.Autoscaler) group.Settings {
	return group.Settings{
		Max: a.MaxInstances, External: a.ConnectorConfig.UseExternalAddr, Update: time.Duration(a.UpdateInterval),
		Expecting: time.Duration(a.UpdateIntervalExpecting), DeletionRetry: time.Duration(a.DeletionRetryInterval),
	}
}

// changeGroup puts changed settings into force for the group that makes instances now, if it has been opened.
func (w *worker) changeGroup(next settings) error {
	a := next.runner.Autoscaler
	if !isGroup(next.pool.Driver) || a == nil {
		return nil
	}
	w.groups.mu.Lock()
	one := w.groups.made[next.pool.Driver]
	w.groups.mu.Unlock()
	if one == nil {
		return nil
	}
	one.Change(groupSettings(a))
	now := one.group.serving()
	if now.by != w.s.drivers.groupModule(a.Plugin) {
		w.s.retired.Go(func() { w.handOver(next.pool.Driver, one) }) // it may take its time
		return nil
	}
	plugin, ok := now.Group.(*fleeting.Group)
	if !ok {
		return nil
	}
	o, err := w.s.pluginOptions(a)
	if err == nil {
		plugin.Change(o)
	}
	return err
}

// mostInstances is the maximum of the group that makes instances now; 0: it has none, or has not told it.
func (w *worker) mostInstances() int {
	name := w.settings().pool.Driver
	w.groups.mu.Lock()
	one := w.groups.made[name]
	w.groups.mu.Unlock()
	if one == nil {
		return 0
	}
	info, _ := one.Info()
	return info.MaxSize
}

// pluginOptions are what a plug-in is started with.
func (s *Supervisor) pluginOptions(a *config.Autoscaler) (fleeting.Options, error) {
	o, err := fleeting.FromConfig("autoscaler", a)
	o.Find = func() (string, error) { return s.findPlugin(a.Plugin) }
	return o, err
}

// groupEnd is how long a group has to end.
const groupEnd = 30 * time.Second

// close ends what serves the groups; their instances stay.
func (g *groups) close() {
	g.mu.Lock()
	made := g.made
	g.made, g.closed = nil, true
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), groupEnd)
	defer cancel()
	var ends sync.WaitGroup
	for _, one := range made {
		ends.Go(func() { _ = one.Close(ctx) }) // what does not end in time is killed
	}
	ends.Wait()
}

// driver returns the driver of a name for the worker's pool.
func (w *worker) driver(name string) (driver.Driver, error) {
	if !isGroup(name) {
		return w.s.drivers.forPool(name)
	}
	return w.group(name)
}

// group returns the group of a driver's name, and opens it when it is the one that config.toml describes now.
func (w *worker) group(name string) (*grouped, error) {
	g := &w.groups
	g.mu.Lock()
	defer g.mu.Unlock()
	if one := g.made[name]; one != nil {
		return one, nil
	}
	r := w.current()
	if now, err := w.s.groupOf(r); g.closed || err != nil || now != name {
		return nil, fmt.Errorf("group %s: config.toml has its plugin_config no more, so nobody can be asked about its instances; put it back until they are gone", name)
	}
	made, err := w.s.openGroup(w, name, r)
	if err != nil {
		return nil, err
	}
	if g.made == nil {
		g.made = map[string]*grouped{}
	}
	g.made[name] = made
	return made, nil
}

// endGroups ends the groups that make no instances any more, and whose last instance is gone.
func (w *worker) endGroups() {
	used := map[string]bool{w.settings().pool.Driver: true}
	for _, m := range w.pool.Status().Machines {
		used[m.Driver] = true
	}
	g := &w.groups
	g.mu.Lock()
	var ended []*grouped
	for name, one := range g.made {
		if !used[name] {
			ended = append(ended, one)
			delete(g.made, name)
		}
	}
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), groupEnd)
	defer cancel()
	for _, one := range ended {
		_ = one.Close(ctx) // what does not end in time is killed
	}
}

// clearGroups removes the instances that no machine has, such as those of an increase that was under way when the pool ended.
func (w *worker) clearGroups(ctx context.Context) error {
	w.groups.mu.Lock()
	made := maps.Clone(w.groups.made)
	w.groups.mu.Unlock()
	var errs []error
	for name, one := range made {
		if _, begun := one.Info(); !begun {
			continue // it has made none
		}
		for {
			left, err := one.clear(ctx)
			if err == nil && !left {
				break
			}
			if err == nil {
				err = pausing.For(ctx, clearPause)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("instances of %s are left: %w", name, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// clearPause is between two looks at a group that is being cleared.
const clearPause = time.Second

// clear asks for the removal of what no machine has, and tells whether something is left.
func (g *grouped) clear(ctx context.Context) (left bool, err error) {
	res, err := g.List(ctx, abi.ListRequest{ABI: abi.Version})
	if err != nil {
		return false, err
	}
	for _, i := range res.Instances {
		if !group.IsUnclaimed(i.Name) || i.Status == abi.StatusGone {
			continue
		}
		var underWay *driver.UnderWay
		if err := g.Remove(ctx, abi.RemoveRequest{ABI: abi.Version, Name: i.Name, ID: i.ID}); err != nil && !errors.As(err, &underWay) {
			return false, err
		}
		left = true
	}
	return left || g.Stats().Pending > 0, nil
}

// openGroup makes the driver of a group, which nobody is asked about before.
func (s *Supervisor) openGroup(w *worker, name string, r *config.Runner) (*grouped, error) {
	a := r.Autoscaler
	serves, err := s.whoServes(w, r)
	if err != nil {
		return nil, err
	}
	all, _, err := s.journal.Load()
	if err != nil {
		return nil, err
	}
	var machines []fleet.Machine
	for _, m := range all {
		if m.Runner == w.key && m.Driver == name {
			machines = append(machines, m)
		}
	}
	relay := newRelay(serves)
	return &grouped{group: relay, Driver: group.New(group.Options{
		Name: name, Runner: r.Name, Group: relay, Machines: machines, Settings: groupSettings(a), Registry: &s.registry, Log: s.log.With("runner", r.Name),
	})}, nil
}

// whoServes returns what serves a runner's group: a module, or the plug-in, which is started when it is asked first.
func (s *Supervisor) whoServes(w *worker, r *config.Runner) (*servant, error) {
	a := r.Autoscaler
	log := s.log.With("runner", r.Name)
	if module := s.drivers.groupModule(a.Plugin); module != "" {
		options, err := s.drivers.groupOptions(r.Key(), module, a)
		if err != nil {
			return nil, err
		}
		return &servant{by: module, Group: wasm.NewGroup(wasm.GroupOptions{
			Name: module, Use: s.drivers.serving(module, options), Owner: abi.Owner{ID: s.journal.Owner(), Runner: w.key}, Max: a.MaxInstances, Log: log,
			Connector: func() config.Connector { return w.current().Autoscaler.ConnectorConfig },
		})}, nil
	}
	o, err := s.pluginOptions(a)
	if err != nil {
		return nil, err
	}
	o.Log = log
	return &servant{Group: fleeting.New(o)}, nil
}

// findPlugin returns the path of a plug-in's binary.
func (s *Supervisor) findPlugin(plugin string) (string, error) {
	if s.o.FindPlugin != nil {
		return s.o.FindPlugin(plugin)
	}
	folder, err := artifact.Folder()
	if err != nil {
		return "", err
	}
	return artifact.Find(plugin, folder)
}

// targetInGroup settles how an instance of a group is reached.
func (w *worker) targetInGroup(ctx context.Context, m fleet.Machine) (*connect.Target, error) {
	g, err := w.group(m.Driver)
	if err != nil {
		return nil, err
	}
	ask := func(ctx context.Context) (group.Connection, error) { return g.group.Connect(ctx, m.Instance.ID) }
	c, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	return connect.New(connect.Options{
		Connector: w.current().Autoscaler.ConnectorConfig, Connection: c, Renew: ask, PinFile: w.pinFile(m),
	})
}

// heartbeat asks the machine's group whether it is fit for a job, where the runner wants that.
func (w *worker) heartbeat(ctx context.Context, m fleet.Machine) error {
	if !isGroup(m.Driver) || !w.current().FeatureFlags[heartbeatFlag] {
		return nil
	}
	g, err := w.group(m.Driver)
	if err != nil {
		return err
	}
	return g.group.Heartbeat(ctx, m.Instance.ID)
}
