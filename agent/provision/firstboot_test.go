package provision

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRealFirstBoot has machines that make an engine of themselves when they boot. Nobody can log in: the agent knows no port, and the first has
// no sshd either. A container of the helper image runs all the same.
func TestRealFirstBoot(t *testing.T) {
	need.Image(t, systemdImage+"bookworm", "`go tool task images` builds it")
	helper := helloImage(t)
	for name, tc := range map[string]struct {
		image string
		more  []bootFile
	}{
		"systemd":         {systemdImage + "bookworm", []bootFile{{"authorized_keys", ""}}},
		"without systemd": {image: machineImage},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTest(t, Options{Debug: testLog{t}, FirstBootTimeout: 3 * time.Minute, HelperImage: func(string) (string, error) { return helper, nil }})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			w := p.Within(func() Wishes { return Wishes{FirstBoot: true} })
			m := bootAlone(t, w, tc.image, tc.more...)
			var phases []string
			start := time.Now()
			endpoint, err := w.Provision(ctx, m, func(s string) { phases = append(phases, s) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("ready in %v", time.Since(start).Round(time.Millisecond))
			if got := strings.Join(phases, " "); got != "engine image" {
				t.Errorf("phases %s: somebody logged in", got)
			}
			engine, err := newClient(endpoint)
			if err != nil {
				t.Fatal(err)
			}
			defer engine.Close()
			info, err := engine.Info(ctx)
			slices.Sort(info.Labels) // the engine keeps no order
			if err != nil || strings.Join(info.Labels, " ") != "provider=docker tier=a b" || info.NoProxy != "a b,%h,$HOME" || info.Name != m.Name {
				t.Errorf("labels %q, environment %q, name %s, %v", info.Labels, info.NoProxy, info.Name, err)
			}
			runHello(t, ctx, engine)
			checkStranger(t, endpoint)
			if err := p.Check(ctx, m); err != nil {
				t.Error(err)
			}
			if _, err := p.Provision(ctx, m, nil); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// bootAlone starts a machine whose first boot has the script.
func bootAlone(t *testing.T, w Within, image string, more ...bootFile) fleet.Machine {
	t.Helper()
	local := localEngine(t)
	m := machineAt(newMachineName(), "", abi.Options{"engine-label": {"tier=a b"}, "engine-env": {"NO_PROXY=a b,%h,$HOME"}})
	script, err := w.FirstBoot(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if len(script) > 11<<10 {
		t.Errorf("the script has %d bytes; a cloud that takes 16 KB leaves the operator no room", len(script))
	}
	t.Logf("the script has %d bytes", len(script))
	started := startNamed(t, local, w.Provisioner, m.Name, image, "root", append(more, bootFile{"first-boot", script})...)
	m.Instance = started.Instance
	m.Instance.SSHPort = 1
	return m
}

// TestFirstBootFails has a machine whose cloud did not run the script: the agent logs in after a while.
func TestFirstBootFails(t *testing.T) {
	local := localEngine(t)
	p := newTest(t, Options{Debug: testLog{t}, FirstBootTimeout: time.Second})
	m := machineAt(newMachineName(), "", nil)
	if _, err := p.FirstBoot(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Instance = startNamed(t, local, p, m.Name, machineImage, "root").Instance
	var phases []string
	if _, err := p.Provision(t.Context(), m, func(s string) { phases = append(phases, s) }); err != nil || strings.Join(phases, " ") != "engine ssh engine image" {
		t.Fatalf("phases %v, %v", phases, err)
	}
	if err := p.Check(t.Context(), m); err != nil {
		t.Error(err)
	}
}

// A machine of a plug-in or a host that was there takes no script, and none does where the operator has not told so.
func TestNoFirstBoot(t *testing.T) {
	foreign := newTest(t, Options{Login: func(fleet.Machine) (Login, bool) { return Login{}, true }})
	off := newTest(t, Options{}).Within(func() Wishes { return Wishes{} })
	for name, of := range map[string]func() (string, error){
		"foreign":  func() (string, error) { return foreign.FirstBoot(t.Context(), machineAt("m", "", nil)) },
		"not told": func() (string, error) { return off.FirstBoot(t.Context(), machineAt("m", "", nil)) },
	} {
		if script, err := of(); script != "" || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(script), err)
		}
	}
	_, err := newTest(t, Options{}).FirstBoot(t.Context(), machineAt("m", "", abi.Options{"engine-label": {"x"}}))
	if err == nil || !strings.Contains(err.Error(), "machine m: first boot: option engine-label") {
		t.Errorf("a bad option: %v", err)
	}
}
