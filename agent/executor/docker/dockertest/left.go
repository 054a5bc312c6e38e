package dockertest

import (
	"context"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

func leftOthers(t testing.TB, api *client.Client, label string) []string {
	t.Helper()
	var out []string
	only := filters.NewArgs(filters.Arg("label", label))
	volumes, err := api.VolumeList(context.WithoutCancel(t.Context()), volume.ListOptions{Filters: only})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		out = append(out, "volume "+v.Name)
	}
	networks, err := api.NetworkList(context.WithoutCancel(t.Context()), network.ListOptions{Filters: only})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		out = append(out, "network "+n.Name)
	}
	return out
}

// RemoveVolumes removes the volumes that bear a label when the test ends: those that a runner keeps for its next job.
func RemoveVolumes(t testing.TB, label string) {
	t.Helper()
	api := Engine(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		list, err := api.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
		if err != nil {
			t.Error(err)
			return
		}
		for _, v := range list.Volumes {
			if err := api.VolumeRemove(ctx, v.Name, true); err != nil {
				t.Error(err)
			}
		}
	})
}

// ForgetImage removes an image that the test may load, unless it is on the engine already or in use at the end.
func ForgetImage(t testing.TB, ref string) {
	t.Helper()
	api := Engine(t)
	if _, err := api.ImageInspect(t.Context(), ref); err == nil {
		return
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = api.ImageRemove(ctx, ref, image.RemoveOptions{})
	})
}
