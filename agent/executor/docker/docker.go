// Package docker runs a job's stages in containers of one Docker engine: a helper container for git, caches and artifacts, a
// build container of the user's image, and one container per service. Each stage starts its container anew with the script as
// a file inside; no stage runs through exec, so that a container's life is the stage's and outlives the agent.
package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
)

// Executor is one job on one engine. It implements executor.Executor.
type Executor struct {
	o     Options
	api   *client.Client
	auth  *resolver
	own   string // value of ownLabel
	base  string // stem of the containers' names
	facts        // of the engine

	heard atomic.Int64 // when something last came from a stage, Unix milliseconds

	image    Image // the job's image, expanded
	build    local
	helper   local
	first    First // what to do ahead; zero after Resume
	shares   bool  // the helper container is made with the build container's network
	had      had   // images that are there
	vols     volumes
	net      networks
	services []*service

	life       context.Context // ends with Cleanup; what goes on in the background lives in it
	endLife    context.CancelFunc
	background sync.WaitGroup

	slots map[executor.Place]*slot // not changed after New

	handle  handle
	resumed bool // containers and the network may be there already
}

// slot is the place of one container. Its lock is held while the container is made, so that it is made once.
type slot struct {
	mu     sync.Mutex
	id     string // "" when there is none
	fresh  string // the id of a container that was made here and not started for a stage yet
	gated  bool   // it has a gate, which is to be opened at each start
	shared bool   // it has the build container's network

	early  *early // of the first stage; nil when there is nothing of it any more. Prepare and Run alone use it, which don't overlap
	ending string // the id of a container whose script has said its last word, under mu
}

// New returns an executor for one job. Nothing is asked of the engine before Prepare. After New, Cleanup must be called.
func New(o Options) (*Executor, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	api, err := dial(o)
	if err != nil {
		return nil, err
	}
	h := handle{Stem: random()}
	if o.Handle != nil {
		if err := json.Unmarshal(o.Handle, &h); err != nil {
			return nil, fmt.Errorf("what the agent before has noted of the engine: %w", err)
		}
	}
	e := &Executor{
		o: o, api: api, auth: newResolver(o.Auth, o.Console), handle: h,
		own: fmt.Sprintf("%d-%s", o.Name.JobID, h.Stem), base: o.Name.base(h.Stem),
		slots: map[executor.Place]*slot{executor.Helper: {}, executor.Build: {}},
	}
	e.life, e.endLife = context.WithCancel(context.Background())
	return e, nil
}

// SharedBuildsDir tells whether a bind of the engine's host covers the builds directory, so that several jobs share it.
func SharedBuildsDir(c *config.Docker, buildsDir string) bool {
	for _, entry := range c.Volumes {
		parts := strings.SplitN(entry, ":", 3)
		if len(parts) > 1 && coveredBy(buildsDir, map[string]bool{path.Clean(parts[1]): true}) {
			return true
		}
	}
	return false
}

// Prepare checks what the job asks for, then gets images and services at the same time.
func (e *Executor) Prepare(ctx context.Context) (executor.Ready, error) {
	if err := e.check(); err != nil {
		return executor.Ready{}, err
	}
	e.o.Console.Println("Using Docker executor with image " + e.image.Name + " ...")
	if err := e.makeNetwork(ctx); err != nil {
		return executor.Ready{}, err
	}
	if err := e.gather(ctx); err != nil {
		return executor.Ready{}, err
	}
	if err := e.waitForServices(ctx); err != nil {
		return executor.Ready{}, err
	}
	ready := executor.Ready{Dirs: e.vols.fresh, Hostname: e.helperHostname()}
	if e.o.Flags.Owner {
		owner, err := e.owner(ctx)
		if err != nil {
			return executor.Ready{}, err
		}
		ready.Owner = owner
	}
	if e.net.name != "" {
		ready.Variables = append(ready.Variables, executor.Variable{Name: "CI_BUILD_NETWORK_NAME", Value: e.net.name})
	}
	if e.o.First != nil {
		e.first = e.o.First(ready)
	}
	if err := e.goAhead(ctx); err != nil {
		return executor.Ready{}, err
	}
	e.remember()
	return ready, nil
}

// gather gets what the containers are made of, all at once. That the engine does not answer is told before anything else.
func (e *Executor) gather(ctx context.Context) error {
	var silent error
	group, all := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if silent = e.greet(ctx); silent != nil {
			return silent
		}
		e.helper, err = e.ensureHelper(all)
		return err
	})
	group.Go(func() (err error) { e.build, err = e.ensure(all, e.image); return })
	group.Go(func() error { return e.startServices(all) })
	err := group.Wait()
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case silent != nil:
		return silent
	}
	return err
}

// check settles what needs no engine, so that a refusal comes at once and for the right reason.
func (e *Executor) check() (err error) {
	e.image = e.o.Image
	configured := e.o.Expand(e.o.Config.Image)
	if e.image.Name = e.o.Expand(e.image.Name); e.image.Name == "" {
		e.image.Name = configured
	}
	if e.image.Name == "" {
		return executor.Errorf(executor.Configuration, "no image: neither the job nor [runners.docker] names one; set image")
	}
	if err := e.checkAllowed("image", e.image.Name, e.o.Config.AllowedImages, configured); err != nil {
		return err
	}
	if e.o.Config.DisableEntrypointOverwrite && len(e.image.Entrypoint) > 0 {
		e.o.Console.Warningln("Entrypoint override disabled")
		e.image.Entrypoint = nil
	}
	if _, err := e.user(); err != nil {
		return err
	}
	if e.vols, err = e.volumes(); err != nil {
		return err
	}
	if e.services, err = e.pickServices(); err != nil {
		return err
	}
	_, err = hostConfig(e.o.Config, buildRole, e.image.Name, false)
	return err
}

// user is the build container's user: the configured one, else the job's, as far as the lists allow.
func (e *Executor) user() (string, error) {
	user, allowed := e.o.Config.User, e.o.Config.AllowedUsers
	if user != "" && len(allowed) == 0 {
		allowed = []string{user}
	}
	if user == "" {
		user = e.o.Expand(e.o.UserOverAny)
	}
	if user != "" && len(allowed) > 0 && !slices.Contains(allowed, user) {
		return "", executor.Errorf(executor.Configuration, "user %q is not one of the allowed users %s", user, strings.Join(allowed, ", "))
	}
	return user, nil
}

// goArch is the architecture in Go's words by the kernel's.
var goArch = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}

// greet learns the engine's architecture, how it runs containers, and where. It takes an engine longer than what else is asked of it here.
func (e *Executor) greet(ctx context.Context) error {
	if e.arch != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if f, ok := e.o.EngineFacts.recall(e.api.DaemonHost()); ok && e.ping(ctx) == nil {
		e.facts = f
		return nil
	}
	info, err := e.api.Info(ctx)
	if e.arch = goArch[info.Architecture]; err == nil && e.arch == "" {
		v, failed := e.api.ServerVersion(ctx)
		e.arch, err = v.Arch, failed
	}
	if err != nil {
		return executor.Errorf(executor.Engine, "engine %s: %w", e.api.DaemonHost(), err)
	}
	e.runc, e.here = info.DefaultRuntime == "runc", e.isHere(info)
	e.o.EngineFacts.note(e.api.DaemonHost(), e.facts)
	return nil
}

// container returns the id of the place's container and makes it when there is none yet.
func (e *Executor) container(ctx context.Context, place executor.Place) (string, error) {
	s := e.slots[place]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != "" {
		return s.id, nil
	}
	if e.resumed {
		if info, err := e.named(ctx, e.containerName(place)); err != nil || info.ID != "" {
			s.know(e, info)
			return s.id, err
		}
	}
	c, r, platform := &container.Config{Image: e.helper.ref}, helperRole, ""
	image := e.helper.ref
	if place == executor.Build {
		r, image, platform = buildRole, e.image.Name, e.image.Platform
		c.Image, c.Entrypoint = e.build.ref, unlessEmpty(e.image.Entrypoint)
		c.User, _ = e.user() // checked in Prepare
	}
	host, err := hostConfig(e.o.Config, r, image, e.o.Flags.Init)
	if err != nil {
		return "", err
	}
	host.Binds, host.Mounts = e.vols.binds, e.vols.mounts
	host.ExtraHosts = append(host.ExtraHosts, e.links()...)
	s.shared = place == executor.Helper && e.shares
	if s.shared {
		e.share(host)
	}
	s.gated = e.command(c, host, place)
	c.Labels = e.o.Name.labels(string(r), e.own)
	for k, v := range e.o.Config.ContainerLabels {
		c.Labels[k] = e.o.Expand(v)
	}
	c.Hostname = e.hostname()
	name := e.containerName(place)
	s.id, err = e.create(ctx, c, host, name, platform, "build", name)
	if e.resumed && errdefs.IsConflict(err) { // the agent before had just asked for it
		s.id, err = e.appeared(ctx, name, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s container: %w", place, err)
	}
	if !e.resumed {
		s.fresh = s.id
	}
	return s.id, nil
}

// hostname is that of the job's containers in networks of their own.
func (e *Executor) hostname() string {
	if e.o.Config.Hostname != "" {
		return e.o.Config.Hostname
	}
	return e.base
}

// helperHostname is the name that the helper container will find for itself; "" when it has another's network, and so another's name.
func (e *Executor) helperHostname() string {
	host, err := hostConfig(e.o.Config, helperRole, e.helper.ref, e.o.Flags.Init)
	if err != nil || host.NetworkMode.IsHost() || host.NetworkMode.IsContainer() {
		return ""
	}
	return e.hostname()
}

// create makes a container. The call is not torn off when ctx ends: the engine would make it all the same, unknown to Cleanup.
func (e *Executor) create(ctx context.Context, c *container.Config, h *container.HostConfig, name, platform string, aliases ...string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	call, cancel := lasting(ctx)
	defer cancel()
	if h.NetworkMode.IsHost() || h.NetworkMode.IsContainer() {
		c.Hostname = ""
	} else {
		c.MacAddress = e.o.Config.MacAddress //nolint:staticcheck // engines before API 1.44 know no other place; the client drops it for later ones
	}
	made, err := e.api.ContainerCreate(call, c, h, e.join(h, aliases...), parsePlatform(platform), name)
	if err != nil {
		return "", engineErr(err)
	}
	for _, w := range made.Warnings {
		e.o.Log.Debug("engine's warning", "container", name, "warning", w)
	}
	return made.ID, nil
}

// unlessEmpty is a list for the engine, to which an empty one means something else than none.
func unlessEmpty(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// know takes over what the engine tells of a container that an agent before has made.
func (s *slot) know(e *Executor, info container.InspectResponse) {
	s.id, s.gated = info.ID, info.Config != nil && info.Config.OpenStdin
	if info.State != nil && info.State.Running && !s.gated { // its script may have said its last word
		s.ending = s.id
	}
	s.shared = info.HostConfig != nil && info.HostConfig.NetworkMode.IsContainer() && !container.NetworkMode(e.o.Config.NetworkMode).IsContainer()
}

// gone forgets a container that has vanished, so that another try makes a new one.
func (e *Executor) gone(place executor.Place, err error) error {
	if !errdefs.IsNotFound(err) && !errors.Is(err, errRemoved) {
		return err
	}
	s := e.slots[place]
	s.mu.Lock()
	s.id = ""
	s.mu.Unlock()
	return executor.Errorf(executor.Gone, "%w; it was removed from outside: keep clean-ups of the engine away from running jobs", err)
}

// drop removes a container by force and forgets it.
func (e *Executor) drop(ctx context.Context, id string) {
	for _, s := range e.slots {
		s.mu.Lock()
		if s.id == id {
			s.id = ""
		}
		s.mu.Unlock()
	}
	if err := e.remove(ctx, id); err != nil {
		e.o.Log.Warn("a container stays behind until the job's end", "container", id, "error", err)
	}
}

func (e *Executor) remove(ctx context.Context, id string) error {
	err := e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: !e.o.Config.VolumeKeep})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // conflict: its removal is under way
		return nil
	}
	return err
}

// Cleanup removes the containers, then the temporary volumes and the network. It asks the engine what bears this executor's
// label, so that what was made unseen goes too.
func (e *Executor) Cleanup(ctx context.Context) error {
	e.letSettle(ctx)
	e.endLife()
	defer e.api.Close()
	e.background.Wait()
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", ownLabel+"="+e.own))})
	if err != nil {
		return engineErr(fmt.Errorf("clean-up: %w", err))
	}
	var group sync.WaitGroup
	errs := make([]error, len(list))
	for i, c := range list {
		group.Go(func() { errs[i] = e.remove(ctx, c.ID) })
	}
	group.Wait()
	for _, v := range e.vols.temporary {
		if e.o.Config.VolumeKeep {
			break
		}
		errs = append(errs, e.removed(ctx, func() error { return e.api.VolumeRemove(ctx, v, true) }))
	}
	if err := e.findNetwork(ctx); err != nil {
		errs = append(errs, err)
	}
	if e.net.id != "" {
		errs = append(errs, e.removed(ctx, func() error { return e.api.NetworkRemove(ctx, e.net.id) }))
	}
	if err := errors.Join(errs...); err != nil {
		return engineErr(fmt.Errorf("clean-up: %w", err))
	}
	return nil
}
