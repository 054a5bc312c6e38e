// Package soak runs random worlds from seeds: one in each run of the tests, and as many as fit into the time that MILLWRIGHT_SOAK
// names, as `task soak` does. A failure names its seed; MILLWRIGHT_SEED runs that world again.
package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Ticks is how long a world lives.
const Ticks = 10_000

// The environment.
const (
	envTime = "MILLWRIGHT_SOAK" // a duration such as 30m; worlds are begun until it is over
	envSeed = "MILLWRIGHT_SEED" // the seed of the only world
)

// Run runs world as a test of its own for each seed. What is random in it comes from r alone, so that the seed tells the world.
func Run(t *testing.T, world func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	one := func(seed uint64) bool {
		return t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("to see it again: %s=%d go test -run '^%s$' in this folder", envSeed, seed, t.Name()[:len(t.Name())-len(fmt.Sprintf("/seed_%d", seed))])
				}
			})
			world(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
	if text := os.Getenv(envSeed); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s=%q: %v", envSeed, text, err)
		}
		one(seed)
		return
	}
	var limit time.Duration
	if text := os.Getenv(envTime); text != "" {
		var err error
		if limit, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s=%q: %v", envTime, text, err)
		}
	}
	begun, worlds := time.Now(), 0
	for ok := true; ok && (worlds == 0 || time.Since(begun) < limit); worlds++ {
		ok = one(rand.Uint64())
	}
	t.Logf("%d worlds of %d ticks", worlds, Ticks)
}
