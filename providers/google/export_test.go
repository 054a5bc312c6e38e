//go:build !wasip1

package main

import (
	"net/http"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/original"
)

// TestExported has docker-machine go on with a machine that this driver made.
func TestExported(t *testing.T) {
	c := start(t, fakegce.Settings{})
	key := keyFile(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"` + testToken + `","token_type":"Bearer","expires_in":3600}`))
	}))
	o := options(t, c, "google-zone=europe-west1-b", "google-tags=ci", "google-open-port=8080/tcp", "google-disk-size=50", "google-label=team:ci", "google-preemptible")
	create(t, "m1", o)
	i := find(t, o, "m1", runs)
	original.Exported(t, "google", i, o, "MILLWRIGHT_TEST_GCE="+c.URL(), "GOOGLE_APPLICATION_CREDENTIALS="+key)
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
