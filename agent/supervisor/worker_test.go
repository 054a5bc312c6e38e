package supervisor

import (
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

func TestEngineTime(t *testing.T) {
	for seconds, want := range map[int]time.Duration{-1: 0, 0: 0, 5: 30 * time.Second, 600: 10 * time.Minute} {
		w := &worker{now: settings{runner: &config.Runner{Docker: config.Docker{WaitForServicesTimeout: seconds}}}}
		if got := w.engineTime(); got != want {
			t.Errorf("wait_for_services_timeout = %d: %s, want %s", seconds, got, want)
		}
	}
}
