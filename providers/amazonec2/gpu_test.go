package main

import (
	"strconv"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
)

// TestGPUs compares the table with what the API tells of each instance type, and has a machine with a GPU say so.
func TestGPUs(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "us-west-2"})
	o := options(t, c, "amazonec2-instance-type=g4dn.xlarge")
	p, err := reachable(o)
	if err != nil {
		t.Fatal(err)
	}
	types, withGPUs := 0, 0
	if _, err := p.pages("DescribeInstanceTypes", newForm(), func(a answer) {
		for _, e := range a.Items("instanceTypeSet") {
			name, want := e.At("instanceType"), 0
			for _, gpu := range e.Items("gpuInfo", "gpus") {
				if n, err := strconv.Atoi(gpu.At("count")); err == nil && gpu.At("manufacturer") == "NVIDIA" {
					want += n
				}
			}
			types++
			if want > 0 {
				withGPUs++
			}
			if got := gpus(name); got != want {
				t.Errorf("%s: %d GPUs, the API says %d", name, got, want)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if types < 500 || withGPUs < 40 {
		t.Errorf("the API tells of %d types, %d of them with GPUs", types, withGPUs)
	}
	for name, want := range map[string]int{"p6-b200.48xlarge": 8, "p6-b300.48xlarge": 1, "g9x.large": 1, "gr7.xlarge": 1, "g4ad.xlarge": 0, "trn2.48xlarge": 0, "": 0} {
		if got := gpus(name); got != want {
			t.Errorf("%q: %d GPUs, want %d", name, got, want)
		}
	}
	create(t, "gpu-1", o)
	defer remove(t, o, "gpu-1")
	if shown := list(t, o)["gpu-1"]; shown.GPUs != 1 {
		t.Errorf("listed with %d GPUs: %+v", shown.GPUs, shown)
	}
}
