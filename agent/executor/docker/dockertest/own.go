package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// machineImage is a small Debian with a Docker engine that nobody has started.
const machineImage = "millwright/machine:bookworm"

// ownEnginePort is where an engine of a test's own answers, without TLS: only this host reaches it.
const ownEnginePort = "2375"

// Own is an engine of a test's own, in a container of the local engine: it may be restarted, silenced, filled up and removed.
type Own struct {
	t     testing.TB
	local *client.Client
	id    string
	API   *client.Client
	Host  string // tcp://172.17.0.9:2375
}

// NewOwn starts an engine, which goes when the test ends. dataSize bounds what it can store, in bytes; 0 is no bound.
func NewOwn(t testing.TB, dataSize int64) *Own {
	t.Helper()
	need.Image(t, machineImage, "`go tool task machine-image` builds it")
	o := &Own{t: t, local: Engine(t)}
	name := "millwright-test-engine-" + Random()
	labels := map[string]string{"io.millwright.test": "engine"}
	init := true
	host := &container.HostConfig{
		CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_RESOURCE"}, SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"}, CgroupnsMode: "private", Init: &init,
		MaskedPaths: []string{}, ReadonlyPaths: []string{}, Resources: container.Resources{DeviceCgroupRules: []string{"a *:* rwm"}},
	}
	if dataSize > 0 {
		host.Tmpfs = map[string]string{"/var/lib/docker": fmt.Sprintf("exec,size=%d", dataSize)}
	} else {
		host.Binds = []string{name + ":/var/lib/docker"}
		if _, err := o.local.VolumeCreate(t.Context(), volume.CreateOptions{Name: name, Labels: labels}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		o.Remove()
		_ = o.local.VolumeRemove(context.Background(), name, true)
	})
	made, err := o.local.ContainerCreate(t.Context(), &container.Config{Image: machineImage, Hostname: name, Labels: labels}, host, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	o.id = made.ID
	var files bytes.Buffer // nobody logs in, but the image wants to know who may
	w := tar.NewWriter(&files)
	key := []byte("# nobody\n")
	err = errors.Join(w.WriteHeader(&tar.Header{Name: "etc/millwright/authorized_keys", Mode: 0o600, Size: int64(len(key))}))
	if err == nil {
		_, err = w.Write(key)
	}
	if err = errors.Join(err, w.Close()); err == nil {
		err = o.local.CopyToContainer(t.Context(), o.id, "/", &files, container.CopyToContainerOptions{})
	}
	if err == nil {
		err = o.local.ContainerStart(t.Context(), o.id, container.StartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	info, err := o.local.ContainerInspect(t.Context(), o.id)
	if err != nil {
		t.Fatal(err)
	}
	o.Host = "tcp://" + net.JoinHostPort(info.NetworkSettings.IPAddress, ownEnginePort)
	if o.API, err = client.NewClientWithOpts(client.WithHost(o.Host), client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.API.Close() })
	o.Start()
	return o
}

// Start starts the engine and waits until it answers.
func (o *Own) Start() {
	o.t.Helper()
	o.Do("rm -f /var/run/docker.pid; setsid dockerd -H tcp://0.0.0.0:" + ownEnginePort + " -H unix:///var/run/docker.sock --log-driver json-file" +
		" >>/var/log/dockerd.log 2>&1 </dev/null &")
	for deadline := time.Now().Add(2 * time.Minute); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, err := o.API.Ping(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("the engine does not start: %v\n%s", err, o.Do("tail -n 40 /var/log/dockerd.log"))
		}
		time.Sleep(50 * time.Millisecond) // the next look
	}
}

// Stop ends the engine with a signal (TERM as a service manager does, KILL as a crash) and waits until it is gone.
func (o *Own) Stop(signal string) {
	o.t.Helper()
	o.Do("kill -" + signal + " $(pidof dockerd); while pidof dockerd >/dev/null; do sleep 0.1; done")
}

// Do runs a shell line beside the engine and returns what it prints. What it starts in the background stays.
func (o *Own) Do(line string) string {
	o.t.Helper()
	ctx := context.Background()
	made, err := o.local.ContainerExecCreate(ctx, o.id, container.ExecOptions{Cmd: []string{"sh", "-c", line}, AttachStdout: true, AttachStderr: true})
	if err != nil {
		o.t.Fatal(err)
	}
	at, err := o.local.ContainerExecAttach(ctx, made.ID, container.ExecStartOptions{})
	if err != nil {
		o.t.Fatal(err)
	}
	defer at.Close()
	var out bytes.Buffer
	_, _ = stdcopy.StdCopy(&out, &out, at.Reader)
	return out.String()
}

// Load takes an image from the local engine.
func (o *Own) Load(ref string) {
	o.t.Helper()
	archive, err := o.local.ImageSave(o.t.Context(), []string{ref})
	if err != nil {
		o.t.Fatal(err)
	}
	defer archive.Close()
	answer, err := o.API.ImageLoad(o.t.Context(), archive)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	if out, err := io.ReadAll(answer.Body); err != nil || strings.Contains(string(out), `"error"`) {
		o.t.Fatalf("load %s: %v %s", ref, err, out)
	}
}

// Silence takes the engine off the network: nothing answers any more, and no connection is told.
func (o *Own) Silence() {
	o.t.Helper()
	if err := o.local.NetworkDisconnect(o.t.Context(), network.NetworkBridge, o.id, true); err != nil {
		o.t.Fatal(err)
	}
}

// Remove takes the engine away with all that is on it, as a machine that is deleted.
func (o *Own) Remove() {
	err := o.local.ContainerRemove(context.Background(), o.id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !client.IsErrNotFound(err) {
		o.t.Error(err)
	}
}
