// Package boxes gives the fake clouds machines that are whole: containers of the machine image on the local engine, with sshd and a Docker engine
// that nobody has started, such as the docker driver makes.
package boxes

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/nxdns"
	"github.com/millwright-ci/millwright/agent/internal/registry"
)

// image is a fresh machine.
const image = "millwright/machine:bookworm"

// label is on all that is made, with a value of the test's own.
const label = "io.millwright.test.boxes"

// Boxes is hardware for a fake cloud. What is left of it at the end of the test fails the test, and is removed.
type Boxes struct {
	// Mirror is where the machines get the demo's images from, for engine-registry-mirror.
	Mirror string
	// Gateway is this host's address as the machines see it.
	Gateway string

	engine  *client.Client
	network string
	mark    string
}

var _ fakecloud.Keyring = (*Boxes)(nil)

// Open makes a network of the test's own with a registry and a name server that knows no name. images is the folder of OCI layouts that the registry
// serves.
func Open(t testing.TB, images string) *Boxes {
	t.Helper()
	need.Root(t) // for the name server's port
	need.Image(t, image, "`go tool task machine-image` builds it")
	need.File(t, images, "`go tool task demo-images` makes it")
	b := &Boxes{engine: dockertest.Engine(t), mark: dockertest.Random()}
	b.network = "millwright-boxes-" + b.mark
	if _, err := b.engine.NetworkCreate(t.Context(), b.network, network.CreateOptions{Driver: "bridge", Labels: b.labels()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.clear(t) })
	found, err := b.engine.NetworkInspect(t.Context(), b.network, network.InspectOptions{})
	if err != nil || len(found.IPAM.Config) == 0 {
		t.Fatalf("network %s: %v", b.network, err)
	}
	b.Gateway = found.IPAM.Config[0].Gateway
	mirror, err := registry.Start(net.JoinHostPort(b.Gateway, "0"), images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mirror.Close() })
	names, err := nxdns.Start(net.JoinHostPort(b.Gateway, "53"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { names.Close() })
	b.Mirror = mirror.URL
	return b
}

func (b *Boxes) labels() map[string]string { return map[string]string{label: b.mark} }

// clear removes what is left, and complains when it is machines.
func (b *Boxes) clear(t testing.TB) {
	for _, left := range dockertest.Left(t, label+"="+b.mark) {
		if left != "network "+b.network {
			t.Errorf("left on the engine: %s", left)
		}
	}
	ctx := context.Background()
	if found, err := b.engine.NetworkInspect(ctx, b.network, network.InspectOptions{}); err == nil {
		for id := range found.Containers {
			_ = b.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}) // it was complained of
		}
	}
	if err := b.engine.NetworkRemove(ctx, b.network); err != nil {
		t.Error(err)
	}
}

// container is the name of a machine's.
func (b *Boxes) container(machine string) string { return machine + "-" + b.mark }

// Start boots a machine. Its login has sudo, unless it is root.
func (b *Boxes) Start(machine string, data fakecloud.UserData) (string, error) {
	ctx := context.Background()
	files, err := bootFiles(data, b.Gateway)
	if err != nil {
		return "", err
	}
	reap := true
	c, err := b.engine.ContainerCreate(ctx, &container.Config{Image: image, Hostname: machine, Labels: b.labels(), Volumes: map[string]struct{}{"/var/lib/docker": {}}},
		&container.HostConfig{
			NetworkMode: container.NetworkMode(b.network), DNS: []string{b.Gateway}, CapAdd: []string{"ALL"}, CapDrop: []string{"SYS_RESOURCE"}, Init: &reap,
			SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"}, CgroupnsMode: "private", MaskedPaths: []string{}, ReadonlyPaths: []string{},
			Resources: container.Resources{DeviceCgroupRules: []string{"a *:* rwm"}},
		}, nil, nil, b.container(machine))
	if err != nil {
		return "", err
	}
	if err := b.engine.CopyToContainer(ctx, c.ID, "/etc", files, container.CopyToContainerOptions{}); err != nil {
		return "", err
	}
	if err := b.engine.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil {
		return "", err
	}
	info, err := b.engine.ContainerInspect(ctx, c.ID)
	if err != nil {
		return "", err
	}
	on := info.NetworkSettings.Networks[b.network]
	if on == nil || on.IPAddress == "" {
		return "", fmt.Errorf("the machine %s has no address", machine)
	}
	return on.IPAddress, nil
}

// Stop removes a machine's container with its disk.
func (b *Boxes) Stop(machine string) {
	_ = b.engine.ContainerRemove(context.Background(), b.container(machine), container.RemoveOptions{Force: true, RemoveVolumes: true}) // clear complains of what is left
}

// bootFiles is what a machine finds in /etc/millwright: see providers/docker/image.
func bootFiles(data fakecloud.UserData, resolver string) (io.Reader, error) {
	if (data.AuthorizedKey == "") != (data.SSHUser == "") {
		return nil, errors.New("its user data lacks a key or a login")
	}
	if data.AuthorizedKey == "" {
		data.AuthorizedKey, data.SSHUser = "# nobody yet", "root"
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "millwright/", Typeflag: tar.TypeDir, Mode: 0o700}); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"authorized_keys": data.AuthorizedKey + "\n", "ssh_user": data.SSHUser + "\n", "ssh_host_ed25519_key": data.HostKeyPrivate,
		"resolv.conf": "nameserver " + resolver + "\n",
	} {
		if err := w.WriteHeader(&tar.Header{Name: filepath.Join("millwright", name), Mode: 0o600, Size: int64(len(text))}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return nil, err
		}
	}
	return &out, w.Close()
}
