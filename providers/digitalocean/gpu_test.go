package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
)

// TestGPUs tells sizes with NVIDIA's GPUs from others, and has a machine with one say so.
func TestGPUs(t *testing.T) {
	for size, want := range map[string]int{
		"gpu-h100x1-80gb": 1, "gpu-h100x8-640gb": 8, "gpu-h200x8-1128gb-contracted": 8, "gpu-l40sx1-48gb": 1, "gpu-4000adax1-20gb": 1, "gpu-of-tomorrow": 1,
		"gpu-mi300x1-192gb": 0, "gpu-mi325x8-2048gb": 0, "gpu-mi350x1-288gb-spot": 0, "g-8vcpu-32gb": 0, "s-1vcpu-1gb": 0, "": 0,
	} {
		if got := gpus(size); got != want {
			t.Errorf("%s: %d GPUs, want %d", size, got, want)
		}
	}
	c := start(t, fakedo.Settings{})
	o := options(t, c, "digitalocean-size=gpu-h100x1-80gb")
	made := create(t, "m1", o)
	if shown := find(t, o, "m1", runs); shown.GPUs != 1 {
		t.Errorf("listed with %d GPUs: %+v", shown.GPUs, shown)
	}
	remove(t, "m1", o, made.State)
}
