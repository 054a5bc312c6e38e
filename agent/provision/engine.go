package provision

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // the services
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/wait"
)

// engine is the second phase: it finds out what the machine is, installs an engine where there is none, configures and starts it,
// and waits until it answers over TLS.
func (r *run) engine(ctx context.Context) error {
	r.armEnd(ctx) // first of all: whatever fails from here on, the machine does not stay for ever
	f, err := r.probe(ctx)
	if err != nil {
		return err
	}
	r.debug.printf("%s on %s, engine %q, services by %s", f.os, f.arch, f.dockerd, f.init)
	if f.dockerd == "" {
		if err := r.install(ctx, f); err != nil {
			return fmt.Errorf("error installing docker: %w", err)
		}
		if f, err = r.probe(ctx); err != nil {
			return err
		}
	}
	limit := r.engineLimit
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no engine within %s", limit))
	defer cancel()
	if err := r.configure(ctx, f); err != nil {
		return err
	}
	return r.waitEngine(ctx)
}

func (r *run) probe(ctx context.Context) (facts, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("no answer within a minute"))
	defer cancel()
	mark := "==" + rand.Text()
	out, err := r.conn.run(ctx, script{name: "probe", vars: map[string]string{"MARK": mark}, files: []file{managerFile}})
	if err != nil {
		return facts{}, err
	}
	return parseFacts(out, mark)
}

// install puts an engine on a machine that has none: by the script of engine-install-url, else by the package of its distribution. The words
// "error installing docker", which its errors get, are those that people search docker-machine's logs for.
func (r *run) install(ctx context.Context, f facts) error {
	url, kind := r.opts.installURL, system{}
	if known, ok := systemOf(f.os); ok {
		kind = known
	}
	if url == "" && kind.install == "" {
		return fmt.Errorf("%s has no engine (no dockerd on its PATH); %s", f.os, cmp.Or(kind.advice,
			"use an image with Docker in it, or name a script that installs it: MachineOptions engine-install-url=https://get.docker.com"))
	}
	limit := r.p.opts.InstallTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not installed within %s", limit))
	defer cancel()
	r.log.Info("installing the engine", "os", f.os.String(), "from", cmp.Or(redacted(url), "packages: "+kind.install))
	out, err := r.conn.run(ctx, script{name: "install", vars: map[string]string{"URL": url, "HOW": kind.install}})
	switch why := endOfLife(f.os, out); {
	case err == nil:
		return nil
	case why != "":
		return fmt.Errorf("%s: %w", why, err)
	}
	return fmt.Errorf("on %s: %w", f.os, err)
}

// configure sends certificates and configuration and (re)starts the engine, unless it runs with exactly these already.
func (r *run) configure(ctx context.Context, f facts) error {
	ca, server, err := r.p.machineCerts(ctx, r.m, r.opts.sans)
	if err != nil {
		return err
	}
	r.p.engines.forget(r.p.Endpoint(r.m)) // the certificates may be new
	daemon, err := r.opts.daemonJSON(f.daemonJSON, r.enginePort())
	if err != nil {
		return err
	}
	s := script{name: "engine", files: r.opts.engineFiles(ca, server, daemon, f.dockerd)}
	s.vars = map[string]string{"STAMP": s.stamp(), "INIT": f.init, "PORT": r.enginePort(), "FIREWALL": firewall(f.os), "NAME": r.hostname()}
	_, err = r.conn.run(ctx, s)
	return err
}

// hostname is what the machine's host is to be called, "" for what it is called already: a host that is only lent keeps its name.
func (r *run) hostname() string {
	if r.access.Borrowed && !r.access.Rename {
		return ""
	}
	return r.m.Name
}

// engineFiles are what engine.sh puts into place.
func (o engineOptions) engineFiles(ca []byte, server *pair, daemon []byte, dockerd string) []file {
	return []file{
		{name: "ca.pem", data: ca},
		{name: "server.pem", data: server.certPEM},
		{name: "server-key.pem", data: server.keyPEM, secret: true},
		{name: "daemon.json", data: daemon},
		{name: "drop-in", data: o.dropIn(dockerd)},
		{name: "start", data: o.startScript(dockerd)},
		{name: "openrc", data: openrcService},
		{name: "sysv", data: sysvService},
	}
}

// managerFile tells scripts what manages services.
var managerFile = file{name: "manager.sh", data: managerScript}

// The services that start the engine with the machine, where no systemd does.
var (
	//go:embed scripts/openrc.init
	openrcService []byte
	//go:embed scripts/sysv.init
	sysvService []byte
	//go:embed scripts/manager.sh
	managerScript []byte
)

// firewall tells whether the system as it comes turns away whoever asks for the engine: closed or open.
//
// Source: Container-Optimized OS documentation, "Configuring the host firewall".
func firewall(o osRelease) string {
	if s, _ := systemOf(o); slices.Contains(s.ids, "cos") {
		return "closed"
	}
	return "open"
}

// stamp stands for the content of all files of s.
func (s script) stamp() string {
	h := sha256.New()
	for _, f := range s.files {
		fmt.Fprintf(h, "%s %d\n%s", f.name, len(f.data), f.data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// adopted is the second phase of a machine that is nothing but an engine.
func (r *run) adopted(ctx context.Context) error {
	if err := r.adopt(); err != nil {
		return err
	}
	limit := r.engineLimit
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no engine within %s", limit))
	defer cancel()
	return r.waitEngine(ctx)
}

// waitEngine asks the engine over TLS until it answers, and looks after it over SSH in between: one that died will never answer.
func (r *run) waitEngine(ctx context.Context) error {
	at := r.p.Endpoint(r.m)
	pause := backoff(30*time.Millisecond, 500*time.Millisecond)
	looked := time.Now()
	for {
		err := r.ping(ctx, at)
		if err == nil {
			return nil
		}
		r.debug.printf("engine: %v", err)
		if r.conn != nil && time.Since(looked) > time.Second {
			if _, dead := r.conn.run(ctx, script{name: "alive"}); dead != nil && ctx.Err() == nil {
				return fmt.Errorf("the engine does not start: %w", dead)
			}
			looked = time.Now()
		}
		if wait.For(ctx, pause()) != nil {
			return fmt.Errorf("%s: %w: %w", at.Host, context.Cause(ctx), err)
		}
	}
}

// ping asks the engine for a sign of life, for a while.
func (r *run) ping(ctx context.Context, at fleet.Endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.p.engines.get(at).ping(ctx, at)
}
