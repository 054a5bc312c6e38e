package main

import "regexp"

// gpuType tells an instance type with NVIDIA's GPUs: the families G and P, such as g4dn.xlarge, gr6.4xlarge and p6-b200.48xlarge. Accelerators of
// other makers (trn1, inf2, dl1, vt1, f2) have no nvidia-smi that could answer; nor have the GPUs of amdType.
var (
	gpuType = regexp.MustCompile(`^(g|gr|p)[0-9]+[a-z]*(-[a-z0-9]+)?\.`)
	amdType = regexp.MustCompile(`^g4ad\.`)
)

// severalGPUs are the types with more GPUs than one. Source: EC2 User Guide, "Accelerated computing instances".
var severalGPUs = map[string]int{
	"g2.8xlarge": 4, "g3.8xlarge": 2, "g3.16xlarge": 4,
	"g4dn.12xlarge": 4, "g4dn.metal": 8,
	"g5.12xlarge": 4, "g5.24xlarge": 4, "g5.48xlarge": 8, "g5g.16xlarge": 2, "g5g.metal": 2,
	"g6.12xlarge": 4, "g6.24xlarge": 4, "g6.48xlarge": 8, "g6e.12xlarge": 4, "g6e.24xlarge": 4, "g6e.48xlarge": 8,
	"p2.8xlarge": 8, "p2.16xlarge": 16, "p3.8xlarge": 4, "p3.16xlarge": 8, "p3dn.24xlarge": 8, "p4d.24xlarge": 8, "p4de.24xlarge": 8,
	"p5.48xlarge": 8, "p5e.48xlarge": 8, "p5en.48xlarge": 8, "p6-b200.48xlarge": 8,
}

// gpus returns how many of NVIDIA's GPUs an instance type has. A newer one than the table has one at least: the first answers when the driver is
// there, and all others with it.
func gpus(instanceType string) int {
	if !gpuType.MatchString(instanceType) || amdType.MatchString(instanceType) {
		return 0
	}
	return max(severalGPUs[instanceType], 1)
}
