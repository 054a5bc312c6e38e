package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/executor"
)

// service is one service container of the job.
type service struct {
	Service
	index   int
	aliases []string
	id      string
	ip      string
	ports   []string // exposed, as 5432/tcp
	told    bool     // the trace has that it did not start, or that it died
}

// pickServices expands, checks and names the services. One whose names are all taken is left out.
func (e *Executor) pickServices() ([]*service, error) {
	if limit := e.o.Config.ServicesLimit; limit != nil && *limit >= 0 && len(e.o.Services) > *limit {
		return nil, executor.Errorf(executor.Configuration, "too many services requested: %d, only %d allowed", len(e.o.Services), *limit)
	}
	var out []*service
	taken := map[string]bool{}
	for i, s := range e.o.Services {
		s.Name = e.o.Expand(s.Name)
		if s.Name == "" {
			return nil, executor.Errorf(executor.Configuration, "services[%d]: its image has no name", i)
		}
		if !s.Configured {
			if err := e.checkAllowed("service", s.Name, e.o.Config.AllowedServices, e.configuredServices()...); err != nil {
				return nil, err
			}
		}
		one := &service{Service: s, index: i}
		for _, alias := range serviceAliases(s.Name, e.o.Expand(s.Alias)) {
			if taken[alias] {
				e.o.Console.Warningln(fmt.Sprintf("Skipping alias %q for service %q (services[%d]): alias is already in use by another service.", alias, s.Name, i))
				continue
			}
			taken[alias] = true
			one.aliases = append(one.aliases, alias)
		}
		if len(one.aliases) > 0 {
			out = append(out, one)
		}
	}
	return out, nil
}

func (e *Executor) configuredServices() []string {
	var names []string
	for _, s := range e.o.Config.Services {
		names = append(names, e.o.Expand(s.Name))
	}
	return names
}

// serviceAliases are the host names of a service: its image's path with / as __ and as -, without tag and registry port, then
// those that the user gives.
func serviceAliases(image, given string) []string {
	name := servicePath(image)
	aliases := []string{strings.ReplaceAll(name, "/", "__")}
	for _, a := range append([]string{strings.ReplaceAll(name, "/", "-")},
		strings.FieldsFunc(given, func(r rune) bool { return r == ' ' || r == ',' })...) {
		if !slices.Contains(aliases, a) {
			aliases = append(aliases, a)
		}
	}
	return aliases
}

// servicePath is the image's name as the user wrote it, without tag, digest and registry port.
func servicePath(image string) string {
	if ref, err := reference.ParseAnyReference(image); err == nil {
		if named, ok := ref.(reference.Named); ok {
			image = reference.FamiliarName(named)
		}
	}
	host, rest, ok := strings.Cut(image, "/")
	if !ok {
		return image
	}
	host, _, _ = strings.Cut(host, ":")
	return host + "/" + rest
}

// startService brings one service up: image, container, start, address.
func (e *Executor) startService(ctx context.Context, s *service) error {
	e.o.Console.Println(fmt.Sprintf("Starting service %s ...", s.Name))
	img, err := e.ensure(ctx, s.Image)
	if err != nil {
		return err
	}
	s.ports = img.ports
	host, err := hostConfig(e.o.Config, serviceRole, s.Name, e.o.Flags.Init)
	if err != nil {
		return err
	}
	host.Binds, host.Mounts = e.vols.binds, e.vols.mounts
	labels := e.o.Name.labels(string(serviceRole), e.own)
	named := servicePath(s.Name)
	labels[labelPrefix+"service"] = named
	labels[labelPrefix+"service.version"] = strings.TrimPrefix(strings.TrimPrefix(s.Name, named), ":")
	for k, v := range e.o.Config.ContainerLabels {
		labels[k], labels[labelPrefix+k] = e.o.Expand(v), e.o.Expand(v)
	}
	c := &container.Config{
		Image:      img.ref,
		Labels:     labels,
		Env:        append(slices.Clone(e.o.ServiceEnv), s.Env...),
		Cmd:        unlessEmpty(s.Command),
		Entrypoint: unlessEmpty(s.Entrypoint),
		User:       s.User,
	}
	if s.id, err = e.create(ctx, c, host, e.serviceName(s), s.Platform, s.aliases...); err != nil {
		return fmt.Errorf("service %s: %w", s.Name, err)
	}
	return e.upService(ctx, s)
}

// serviceName is the name of a service's container.
func (e *Executor) serviceName(s *service) string {
	return fmt.Sprintf("%s-%s-%d", e.base, strings.ReplaceAll(servicePath(s.Name), "/", "__"), s.index)
}

func (e *Executor) upService(ctx context.Context, s *service) error {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := e.api.ContainerStart(call, s.id, container.StartOptions{}); err != nil {
		return engineErr(fmt.Errorf("service %s: %w", s.Name, err))
	}
	info, err := e.api.ContainerInspect(call, s.id)
	if err != nil {
		return engineErr(fmt.Errorf("service %s: %w", s.Name, err))
	}
	for _, n := range info.NetworkSettings.Networks {
		if s.ip = n.IPAddress; s.ip != "" {
			break
		}
	}
	if mode := container.NetworkMode(e.o.Config.NetworkMode); mode.IsHost() || mode.IsContainer() {
		s.ip = "127.0.0.1" // all containers of the job share one network stack
	}
	if e.o.ServiceOutput != nil {
		e.followService(s)
	}
	return nil
}

// links are the host entries by which the build and helper containers find the services on the default bridge, where the
// engine knows no names.
func (e *Executor) links() []string {
	if e.net.aliases || container.NetworkMode(e.o.Config.NetworkMode).IsContainer() { // there the other container's hosts count
		return nil
	}
	var hosts []string
	for _, s := range e.services {
		if s.ip == "" {
			continue
		}
		for _, alias := range append(slices.Clone(s.aliases), s.id[:min(12, len(s.id))]) {
			hosts = append(hosts, alias+":"+s.ip)
		}
	}
	return hosts
}

// startServices starts all of them at once.
func (e *Executor) startServices(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range e.services {
		group.Go(func() error { return e.startService(ctx, s) })
	}
	return group.Wait()
}

// followService copies a service's output to the trace until the service ends or Cleanup comes.
func (e *Executor) followService(s *service) {
	prefix := "\x1b[0;37m[service:" + strings.Join(s.aliases, "-") + "] "
	e.background.Go(func() {
		body, err := e.api.ContainerLogs(e.life, s.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
		if err != nil {
			return
		}
		defer body.Close()
		w := &lineWriter{to: e.o.ServiceOutput, prefix: prefix, suffix: "\x1b[0;m"}
		_, _ = stdcopy.StdCopy(w, w, body)
		w.flush()
	})
}

// lineWriter passes whole lines on, dressed up.
type lineWriter struct {
	to             io.Writer
	prefix, suffix string
	part           []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		line, rest, ok := bytes.Cut(w.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.part = rest
		if err := w.emit(line); err != nil {
			return 0, err
		}
	}
}

func (w *lineWriter) emit(line []byte) error {
	_, err := io.WriteString(w.to, w.prefix+string(bytes.TrimRight(line, "\r"))+w.suffix+"\n")
	return err
}

func (w *lineWriter) flush() {
	if len(w.part) > 0 {
		_ = w.emit(w.part)
	}
}

func servicePort(p string) (port string, tcp bool) {
	port, proto, _ := strings.Cut(p, "/")
	return path.Base(port), proto == "" || proto == "tcp"
}
