package provision

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// wholeEnv makes TestRealDebian do all of its rows, which needs images that `go tool task e2e:provision` builds, and Debian's package server.
const wholeEnv = "MILLWRIGHT_PROVISION"

// TestRealDebian has machines of Debian's releases with each of its service managers, with an engine and without one, which is then installed
// from Debian's packages. What costs minutes runs only when wholeEnv is set.
func TestRealDebian(t *testing.T) {
	local := localEngine(t)
	whole := os.Getenv(wholeEnv) != ""
	for _, tt := range []struct {
		name, image string
		prepare     string // what is done to the machine first
		init        string
		always      bool
	}{
		{name: "12 with systemd", image: systemdImage + "bookworm", init: "systemd", always: true},
		{name: "12 with systemd, no engine", image: systemdImage + "bookworm", prepare: noEngine, init: "systemd"},
		{name: "12 without, no engine", image: machineImages + "bookworm", prepare: noEngine, init: "none"},
		{name: "12 with OpenRC", image: machineImages + "bookworm", prepare: openrc, init: "openrc"},
		{name: "12 with System V", image: sysvImage + "bookworm", init: "sysv"},
		{name: "12 with System V, no engine", image: sysvImage + "bookworm", prepare: noEngine + noStart, init: "sysv"},
		{name: "13 with systemd", image: systemdImage + "trixie", init: "systemd"},
		{name: "13 with systemd, no engine", image: systemdImage + "trixie", prepare: noEngine, init: "systemd"},
		{name: "13 with System V", image: sysvImage + "trixie", init: "sysv"},
		{name: "13 without", image: machineImages + "trixie", init: "none"},
		{name: "13 without, no engine", image: machineImages + "trixie", prepare: noEngine, init: "none"},
	} {
		if !whole && !tt.always {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			need.Image(t, tt.image, "`go tool task e2e:provision` builds it")
			provisionDebian(t, local, tt.image, tt.prepare, tt.init)
		})
	}
}

// Preparations.
const (
	noEngine = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y purge docker.io >/dev/null && ! command -v dockerd"
	// noStart has the package not start its engine: the limits that its init script sets are refused to a container.
	noStart = " && printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d"
	// openrc has OpenRC manage services, in a container whose first process is another.
	openrc = "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends openrc >/dev/null && mkdir -p /run/openrc && touch /run/openrc/softlevel"
)

func provisionDebian(t *testing.T, local *client.Client, image, prepare, manager string) {
	p := newTest(t, Options{Debug: testLog{t}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	m := startMachineOf(t, local, p, image, "root")
	m.Options = abi.Options{"engine-label": {"tier=a b"}, "engine-env": {"NO_PROXY=a b,%h,$HOME"}, "engine-opt": {"log-opt=max-size=7m", "log-driver=local"}}
	if prepare != "" {
		if out, err := sayIn(ctx, local, m.Name, prepare); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	start := time.Now()
	endpoint, err := p.Provision(ctx, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("provisioned in %v", time.Since(start).Round(time.Millisecond))
	engine, err := newClient(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	info, err := engine.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(info.Labels, "tier=a b") || info.NoProxy != "a b,%h,$HOME" || info.LoggingDriver != "local" {
		t.Errorf("labels %q, environment %q, log driver %s", info.Labels, info.NoProxy, info.LoggingDriver)
	}
	if info.Name != m.Name {
		t.Errorf("the machine calls itself %s", info.Name)
	}
	if out, err := sayIn(ctx, local, m.Name, managed[manager]); err != nil {
		t.Errorf("the engine is not kept by %s: %v\n%s", manager, err, out)
	}
	before := enginePID(t, ctx, local, m)
	if _, err := p.Provision(ctx, m, nil); err != nil {
		t.Fatal(err)
	}
	if after := enginePID(t, ctx, local, m); after != before {
		t.Error("it is restarted though nothing changed")
	}
	changed := m
	changed.Options = abi.Options{"engine-label": {"tier=other"}}
	if _, err := p.Provision(ctx, changed, nil); err != nil {
		t.Fatal(err)
	}
	if info, err = engine.Info(ctx); err != nil || !slices.Contains(info.Labels, "tier=other") || info.LoggingDriver == "local" {
		t.Errorf("labels %q, log driver %s, %v: a change has no effect", info.Labels, info.LoggingDriver, err)
	}
	if manager == "systemd" || manager == "sysv" { // the others are not booted by it
		comesBack(t, ctx, local, p, m)
	}
}

// comesBack boots the machine again, and wants its engine without anybody's doing.
func comesBack(t *testing.T, ctx context.Context, local *client.Client, p *Provisioner, m fleet.Machine) {
	t.Helper()
	if err := local.ContainerRestart(ctx, m.Name, container.StopOptions{Timeout: new(int)}); err != nil {
		t.Fatal(err)
	}
	info, err := local.ContainerInspect(ctx, m.Name)
	if err != nil {
		t.Fatal(err)
	}
	m.Instance.Address = info.NetworkSettings.IPAddress
	for {
		err := p.Check(ctx, m)
		if err == nil {
			return
		}
		if wait.For(ctx, 200*time.Millisecond) != nil {
			t.Fatalf("no engine after a boot: %v", err)
		}
	}
}

// managed succeeds when the engine is started by this manager of services, also at the next boot.
var managed = map[string]string{
	"systemd": "systemctl is-active docker.service && systemctl is-enabled docker.service",
	"openrc":  "rc-service millwright-engine status && rc-update show default | grep -q millwright-engine",
	"sysv":    "service millwright-engine status && ls /etc/rc2.d/S*millwright-engine && ! ls /etc/rc2.d/S*docker 2>/dev/null",
	"none":    `[ "$(cat /proc/$(cat /run/millwright-engine.pid)/comm)" = dockerd ]`,
}

func enginePID(t *testing.T, ctx context.Context, local *client.Client, m fleet.Machine) string {
	t.Helper()
	out, err := sayIn(ctx, local, m.Name, "pidof dockerd || cat /run/millwright-engine.pid")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

// sayIn runs a script on a machine and returns what it said; another exit code than 0 is an error.
func sayIn(ctx context.Context, local *client.Client, name, script string) (string, error) {
	e, err := local.ContainerExecCreate(ctx, name, container.ExecOptions{Cmd: []string{"sh", "-c", script}, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", err
	}
	stream, err := local.ContainerExecAttach(ctx, e.ID, container.ExecAttachOptions{})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, stream.Reader); err != nil {
		return out.String(), err
	}
	end, err := local.ContainerExecInspect(ctx, e.ID)
	if err == nil && end.ExitCode != 0 {
		err = fmt.Errorf("exit code %d", end.ExitCode)
	}
	return out.String(), err
}

// standIns are package managers, by the words of install.sh, that say what they are asked and have a hidden engine to install.
var standIns = map[string][]string{
	"dnf-moby": {"dnf"}, "amazon": {"yum"}, "docker-rhel": {"dnf", "curl"}, "docker-centos": {"yum", "curl"}, "zypper": {"zypper", "SUSEConnect"},
	"apk": {"apk"}, "pacman": {"pacman"}, "apt": {"apt-get"},
}

// TestInstallers has a machine that is, one after the other, of each distribution whose packages can't be had here: what its package manager is
// asked for. What Debian's is asked for is proven with Debian itself, by TestRealDebian.
func TestInstallers(t *testing.T) {
	local := localEngine(t)
	p := newTest(t, Options{Debug: testLog{t}})
	m := startMachine(t, local, p, "root")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	texts := osReleases(t)
	r := &run{p: p, m: m, log: p.log, debug: p.debug.machine(m.Name)}
	if err := r.login(ctx); err != nil {
		t.Fatal(err)
	}
	defer r.conn.Close()
	for _, tt := range []struct{ file, want string }{
		{"fedora-42", "dnf -y install moby-engine"},
		{"amazon-2023", "yum -y install docker"},
		{"rhel-9", "curl https://download.docker.com/linux/rhel/docker-ce.repo; dnf -y install docker-ce docker-ce-cli containerd.io"},
		{"rocky-9", "curl https://download.docker.com/linux/centos/docker-ce.repo; yum -y install docker-ce docker-ce-cli containerd.io"},
		{"oracle-9", "curl https://download.docker.com/linux/centos/docker-ce.repo; yum -y install docker-ce docker-ce-cli containerd.io"},
		{"sles-15", "SUSEConnect -p sle-module-containers/15.6/x86_64; zypper --non-interactive install docker"},
		{"opensuse-leap", "SUSEConnect -p sle-module-containers/15.6/x86_64; zypper --non-interactive install docker"},
		{"alpine", "apk add --no-cache docker"},
		{"arch", "pacman -Sy --noconfirm --needed docker"},
		{"mint-22", "apt-get update; apt-get update; apt-get install -y --no-install-recommends docker.io iptables ca-certificates"}, // somebody held the lock at first
	} {
		t.Run(tt.file, func(t *testing.T) {
			kind, _ := systemOf(parseOSRelease(texts[tt.file]))
			setUp := "mkdir -p /etc/yum.repos.d /stand-in && rm -f /usr/local/bin/* /tmp/asked && printf '%s' '" + texts[tt.file] + "' >/etc/os-release\n" +
				"[ -e /stand-in/dockerd ] || cp $(command -v dockerd) /stand-in/\nrm -f /usr/sbin/dockerd /usr/bin/dockerd\n"

			for _, program := range standIns[kind.install] {
				setUp += "cat >/usr/local/bin/" + program + " <<'EOF'\n" + standIn + "EOF\nchmod 755 /usr/local/bin/" + program + "\n"
			}
			if out, err := sayIn(ctx, local, m.Name, setUp); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			f, err := r.probe(ctx)
			if err != nil || f.dockerd != "" {
				t.Fatalf("probe: %+v, %v", f, err)
			}
			if err := r.install(ctx, f); err != nil {
				t.Fatal(err)
			}
			asked, err := sayIn(ctx, local, m.Name, "cat /tmp/asked")
			want := strings.ReplaceAll(tt.want, "x86_64", f.arch)
			if got := strings.ReplaceAll(strings.TrimSpace(asked), "\n", "; "); err != nil || got != want {
				t.Errorf("asked %q, %v; want %q", got, err, want)
			}
			if f, err = r.probe(ctx); err != nil || f.dockerd == "" {
				t.Errorf("no engine afterwards: %+v, %v", f, err)
			}
		})
	}
}

// standIn notes its name with its arguments, of curl's only the address, and installs.
const standIn = `#!/bin/sh
case ${0##*/} in
curl) for word; do last=$word; done; echo "curl $last" >>/tmp/asked; exit 0 ;;
esac
if [ "${0##*/}" = apt-get ]; then
	while [ "$1" = -o ]; do shift 2; done
	echo "apt-get $*" >>/tmp/asked
	if [ "$*" = update ] && mkdir /tmp/locked 2>/dev/null; then
		echo "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?"
		exit 100
	fi
else
	echo "${0##*/} $*" >>/tmp/asked
fi
case "$*" in *install*|*add*|*-Sy*) cp /stand-in/dockerd /usr/sbin/ ;; esac
`
