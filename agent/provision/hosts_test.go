package provision

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// fakeSMI stands for NVIDIA's tool on a machine that has no GPU.
const fakeSMI = "#!/bin/sh\necho 'GPU 0: NVIDIA T4 (UUID: GPU-1)'\n"

// TestRealGPU has a real machine whose driver is put in place while it is provisioned: it is ready after that, not before.
func TestRealGPU(t *testing.T) {
	local := localEngine(t)
	p := newTest(t, Options{Debug: testLog{t}, GPUTimeout: 3 * time.Minute})
	m := startMachine(t, local, p, "root")
	m.Instance.GPUs = 1
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	installed := make(chan error, 1)
	var phases []string
	_, err := p.Provision(ctx, m, func(phase string) {
		phases = append(phases, phase)
		if phase == PhaseGPU {
			go func() { // as an installation at the first boot does
				time.Sleep(2 * time.Second)
				installed <- execIn(ctx, local, m.Name, "printf '%s' \"$0\" >/usr/bin/nvidia-smi.new && chmod 755 /usr/bin/nvidia-smi.new && mv /usr/bin/nvidia-smi.new /usr/bin/nvidia-smi", fakeSMI)
			}()
		}
		if phase == PhaseEngine {
			select {
			case err := <-installed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Second):
				t.Error("the engine is set up before the GPU answers")
			}
		}
	})
	if err != nil || strings.Join(phases, " ") != "ssh gpu engine image" {
		t.Errorf("phases %v, %v", phases, err)
	}
}

func execIn(ctx context.Context, local *client.Client, name, script string, args ...string) error {
	e, err := local.ContainerExecCreate(ctx, name, container.ExecOptions{Cmd: append([]string{"sh", "-c", script}, args...)})
	if err != nil {
		return err
	}
	return local.ContainerExecStart(ctx, e.ID, container.ExecStartOptions{})
}

// TestRealHost has a host that was there before, with an operator's key, that two machines lease one after the other, and its engine as a
// machine of the driver none.
func TestRealHost(t *testing.T) {
	local := localEngine(t)
	before := newTest(t, Options{})
	host := startMachine(t, local, before, "root") // the operator's
	key := filepath.Join(before.store.machine(host.Name), userKeyFile)
	dir := t.TempDir()
	access := Login{KeyFile: key, KnownHosts: filepath.Join(dir, "known_hosts"), EnginePort: 2399, Borrowed: true}
	p := newTest(t, Options{StoreDir: dir, Debug: testLog{t}, Login: func(m fleet.Machine) (Login, bool) { return access, true }})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, name := range []string{"first", "second"} {
		m := fleet.Machine{Name: name, Driver: "generic", ExpiresAt: time.Now().Add(time.Hour),
			Instance: abi.Instance{Name: name, Address: host.Instance.Address, EnginePort: 2399}}
		if err := p.Release(ctx, m); err != nil {
			t.Errorf("a machine that was never set up: %v", err)
		}
		endpoint, err := p.Provision(ctx, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(endpoint.Host, ":2399") {
			t.Errorf("the engine is at %s", endpoint.Host)
		}
		engine, err := newClient(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := engine.Info(ctx); err != nil || info.Name != freshName {
			t.Errorf("a host that is only lent is called %s, %v", info.Name, err)
		}
		label, value, _ := strings.Cut(managedLabel, "=")
		for _, v := range []volume.CreateOptions{{Name: "cache", Labels: map[string]string{label: value}}, {Name: "theirs"}} {
			if _, err := engine.VolumeCreate(ctx, v); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Release(ctx, m); err != nil {
			t.Fatal(err)
		}
		if _, err := engine.VolumeInspect(ctx, "cache"); !client.IsErrNotFound(err) {
			t.Errorf("a job's cache is left for the next machine: %v", err)
		}
		if _, err := engine.VolumeInspect(ctx, "theirs"); err != nil {
			t.Errorf("the host's own volume: %v", err)
		}
		engine.Close()
	}

	certs := p.store.machine("second")
	access = Login{Engine: certs}
	m := fleet.Machine{Name: "third", Driver: "none", Instance: abi.Instance{Name: "third", Address: host.Instance.Address, EnginePort: 2399}}
	var phases []string
	if _, err := p.Provision(ctx, m, func(s string) { phases = append(phases, s) }); err != nil || strings.Join(phases, " ") != "engine image" {
		t.Errorf("an engine that is there: %v %v", phases, err)
	}
	if err := p.Check(ctx, m); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(certs, caFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Provision(ctx, m, nil); err == nil || !strings.Contains(err.Error(), "the folder must hold ca.pem") {
		t.Errorf("without certificates: %v", err)
	}
}
