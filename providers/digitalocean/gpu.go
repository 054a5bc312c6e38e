package main

import (
	"regexp"
	"strconv"
	"strings"
)

// gpuSize is the slug of a size with GPUs: their model, and after an x how many, as in gpu-h100x8-640gb and gpu-4000adax1-20gb.
var gpuSize = regexp.MustCompile(`^gpu-(.+)x([0-9]{1,2})-`)

// gpus returns how many of NVIDIA's GPUs a size has. AMD's, whose models begin with mi, have no nvidia-smi that could answer. One of a slug of another
// form has one at least.
func gpus(size string) int {
	if !strings.HasPrefix(size, "gpu-") || strings.HasPrefix(size, "gpu-mi") {
		return 0
	}
	if m := gpuSize.FindStringSubmatch(size); m != nil {
		n, _ := strconv.Atoi(m[2]) // digits
		return max(n, 1)
	}
	return 1
}
