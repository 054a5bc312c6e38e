package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
)

// TestGPUs tells sizes with NVIDIA's GPUs from others, and has a machine with some say so.
func TestGPUs(t *testing.T) {
	t.Parallel()
	for size, want := range map[string]int{
		"Standard_NC6s_v3": 1, "Standard_NC24rs_v3": 4, "Standard_NC4as_T4_v3": 1, "Standard_NC64as_T4_v3": 4, "Standard_NC24ads_A100_v4": 1, "Standard_NC96ads_A100_v4": 4,
		"Standard_NC40ads_H100_v5": 1, "Standard_NCC40ads_H100_v5": 1, "Standard_NC128lds_xl_RTXPRO6000BSE_v6": 1, "Standard_ND96asr_v4": 8, "standard_nd96isr_h100_v5": 8,
		"Standard_ND128isr_NDR_GB200_v6": 4, "Standard_NV6ads_A10_v5": 1, "Standard_NV72ads_A10_v5": 2, "Standard_NV48s_v3": 4,
		"Standard_NV4as_v4": 0, "Standard_NV32as_v4": 0, "Standard_NV24ads_V710_v5": 0, "Standard_ND96isr_MI300X_v5": 0, "Standard_NG8ads_V620_v1": 0, "Standard_NP10s": 0,
		"Standard_D2s_v5": 0, "Standard_A2": 0, "Standard_N1": 0, "": 0,
	} {
		if got := gpus(size); got != want {
			t.Errorf("%s: %d GPUs, want %d", size, got, want)
		}
	}
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c, "azure-size=Standard_ND96asr_v4")
	if made := create(t, "m1", o); made.GPUs != 8 {
		t.Errorf("made with %d GPUs", made.GPUs)
	}
	if shown := find(t, o, "m1", runs); shown.GPUs != 8 {
		t.Errorf("listed with %d GPUs: %+v", shown.GPUs, shown)
	}
	if err := remove(t, "m1", o); err != nil {
		t.Error(err)
	}
}
