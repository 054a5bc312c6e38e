//go:build !wasip1

package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/original"
)

// TestExported has docker-machine go on with a machine that this driver made.
func TestExported(t *testing.T) {
	c := start(t, fakegce.Settings{})
	key := fakegce.Account(t, testToken)
	o := options(t, c, "google-zone=europe-west1-b", "google-tags=ci", "google-open-port=8080/tcp", "google-disk-size=50", "google-label=team:ci", "google-preemptible")
	create(t, "m1", o)
	i := find(t, o, "m1", runs)
	original.Exported(t, "google", i, o, "MILLWRIGHT_TEST_GCE="+c.URL(), "GOOGLE_APPLICATION_CREDENTIALS="+key)
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
