package main

import (
	"regexp"
	"strings"
)

// gpuSize tells a size with NVIDIA's GPUs, in lower case: the families NC, ND and NV. Those of amdSize have GPUs of AMD's, and no nvidia-smi
// that could answer; nor have the families NG (AMD), NM and NP (accelerators of others).
var (
	gpuSize = regexp.MustCompile(`^standard_n(c|cc|d|v)[0-9]`)
	amdSize = regexp.MustCompile(`^standard_nv[0-9]+as_v4$|_mi[0-9]+x_|_v710_`)
)

// severalGPUs are the sizes with more GPUs than one, without what they all begin with.
// Source: Azure documentation, "GPU accelerated virtual machine sizes".
var severalGPUs = map[string]int{
	"nc12s_v3": 2, "nc24s_v3": 4, "nc24rs_v3": 4, "nc64as_t4_v3": 4, "nc48ads_a100_v4": 2, "nc96ads_a100_v4": 4, "nc80adis_h100_v5": 2,
	"nd40rs_v2": 8, "nd96asr_v4": 8, "nd96amsr_a100_v4": 8, "nd96isr_h100_v5": 8, "nd96isr_h200_v5": 8, "nd128isr_ndr_gb200_v6": 4, "nd128isr_gb300_v6": 4,
	"nv24s_v3": 2, "nv48s_v3": 4, "nv72ads_a10_v5": 2,
}

// gpus returns how many of NVIDIA's GPUs a size has, a part of one counting as one. A newer size than the table has one at least: the first answers
// when the driver is there, and all others with it.
func gpus(size string) int {
	size = strings.ToLower(size)
	if !gpuSize.MatchString(size) || amdSize.MatchString(size) {
		return 0
	}
	return max(severalGPUs[strings.TrimPrefix(size, "standard_")], 1)
}
