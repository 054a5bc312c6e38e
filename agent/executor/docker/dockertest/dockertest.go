// Package dockertest gives tests small images on a real engine, and takes them away again.
package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Engine returns a client of the local engine; it is closed when the test ends.
func Engine(t testing.TB) *client.Client {
	t.Helper()
	api, err := client.NewClientWithOpts(client.WithHost(need.Docker(t)), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	return api
}

// Gateway is this host's address on one of the engine's networks, such as "bridge", by which containers reach it.
func Gateway(t testing.TB, name string) string {
	t.Helper()
	found, err := Engine(t).NetworkInspect(t.Context(), name, network.InspectOptions{})
	if err != nil || len(found.IPAM.Config) == 0 {
		t.Fatalf("the engine's network %s: %+v, %v", name, found.IPAM, err)
	}
	if gateway := found.IPAM.Config[0].Gateway; gateway != "" {
		return gateway
	}
	// An engine's first start takes the first address of its bridge, and does not tell.
	return netip.MustParsePrefix(found.IPAM.Config[0].Subnet).Masked().Addr().Next().String()
}

// Busybox makes an image of Debian's busybox-static and returns its name, under which no other test knows it. changes are lines
// of a Dockerfile, such as ENTRYPOINT or EXPOSE. The image is removed when the test ends.
func Busybox(t testing.TB, changes ...string) string {
	t.Helper()
	path := need.Command(t, "busybox")
	list, err := exec.Command(path, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/", "usr/", "usr/bin/", "root/"} {
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o777}, nil)
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, binary)
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}, nil)
		}
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n"))
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/nsswitch.conf", Mode: 0o644}, []byte("hosts: files dns\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return importImage(t, "busybox", &archive, append([]string{"ENV PATH=/usr/local/bin:/usr/bin:/bin"}, changes...))
}

// Bare makes an image that holds one file and no program, not even a shell, and returns its name. It is removed when the test ends.
func Bare(t testing.TB) string {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	const text = "nothing runs here\n"
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "README", Mode: 0o644, Size: int64(len(text))})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return importImage(t, "bare", &archive, nil)
}

// Tag gives an image another name, which is removed when the test ends.
func Tag(t testing.TB, ref, name string) {
	t.Helper()
	api := Engine(t)
	if err := api.ImageTag(t.Context(), ref, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Untag(t, name) })
}

// Untag removes an image's name, if it is there, and the image with its last name.
func Untag(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if _, err := Engine(t).ImageRemove(ctx, name, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		t.Errorf("remove the image's name %s: %v", name, err)
	}
}

func importImage(t testing.TB, name string, archive io.Reader, changes []string) string {
	t.Helper()
	api := Engine(t)
	ref := "millwright-test/" + name + ":" + Random()
	body, err := api.ImageImport(t.Context(), image.ImportSource{Source: archive, SourceName: "-"}, ref, image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, ref) })
	return ref
}

func removeImage(t testing.TB, ref string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := Engine(t).ImageRemove(ctx, ref, image.RemoveOptions{Force: true}); err != nil {
		t.Errorf("remove image %s: %v", ref, err)
	}
}

// RunToEnd starts a container and returns its exit code.
func RunToEnd(t testing.TB, ctx context.Context, api *client.Client, id string) int64 {
	t.Helper()
	ended, failed := api.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-ended:
		return e.StatusCode
	case err := <-failed:
		t.Fatal(err)
	}
	return 0
}

// After returns the name of an image as a script for sh leaves it. It is removed when the test ends.
func After(t testing.TB, base, script string) string {
	t.Helper()
	api := Engine(t)
	made, err := api.ContainerCreate(t.Context(), &container.Config{Image: base, Cmd: []string{"sh", "-c", script}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := api.ContainerRemove(context.WithoutCancel(t.Context()), made.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}()
	if code := RunToEnd(t, t.Context(), api, made.ID); code != 0 {
		t.Fatalf("%s: exit code %d", script, code)
	}
	ref := "millwright-test/after:" + Random()
	if _, err := api.ContainerCommit(t.Context(), made.ID, container.CommitOptions{Reference: ref}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, ref) })
	return ref
}

// Random is a short name that no other test has.
func Random() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// Left lists the containers and volumes on the engine that bear a label, such as a=b.
func Left(t testing.TB, label string) []string {
	t.Helper()
	api := Engine(t)
	var out []string
	containers, err := api.ContainerList(context.WithoutCancel(t.Context()), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", label))})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		out = append(out, "container "+strings.Join(c.Names, ","))
	}
	return append(out, leftOthers(t, api, label)...)
}
