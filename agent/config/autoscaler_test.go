package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAutoscalerDefaults has what holds where nothing is said.
func TestAutoscalerDefaults(t *testing.T) {
	const entry = "[[runners]]\nurl = \"https://gitlab.example.com\"\ntoken = \"x\"\nexecutor = \"instance\"\n[runners.autoscaler]\nplugin = \"aws\"\n"
	c, diagnostics := Parse("config.toml", []byte("concurrent = 1\n"+entry))
	if c == nil {
		t.Fatal(diagnostics)
	}
	reached := Connector{Keepalive: Duration(30 * time.Second), Timeout: Duration(10 * time.Minute)}
	want := &Autoscaler{
		Plugin: "aws", InstanceAcquireTimeout: Duration(15 * time.Minute), UpdateInterval: Duration(time.Minute), UpdateIntervalExpecting: Duration(2 * time.Second),
		DeletionRetryInterval: Duration(time.Minute), ShutdownDeletionInterval: Duration(10 * time.Second), ShutdownDeletionRetries: 3, FailureThreshold: 3,
		ConnectorConfig: reached, VMIsolation: VMIsolation{ConnectorConfig: reached},
	}
	if diff := cmp.Diff(want, c.Runners[0].Autoscaler); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPreemptive is by default where slots are to be idle.
func TestPreemptive(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name string
		p    ScalePolicy
		want bool
	}{
		{"idle slots", ScalePolicy{IdleCount: 5}, true},
		{"none", ScalePolicy{}, false},
		{"idle slots and off", ScalePolicy{IdleCount: 5, PreemptiveMode: &no}, false},
		{"none and on", ScalePolicy{PreemptiveMode: &yes}, true},
		{"a factor makes none", ScalePolicy{ScaleFactor: 2}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.Preemptive(); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestRate is scale_throttle with its defaults.
func TestRate(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		throttle             ScaleThrottle
		maximum, rate, burst int
	}{
		{"nothing said", ScaleThrottle{}, 0, 100, 100},
		{"the burst is max_instances", ScaleThrottle{}, 10, 100, 10},
		{"a limit alone", ScaleThrottle{Limit: 3}, 0, 3, 3},
		{"both", ScaleThrottle{Limit: 1, Burst: 60}, 10, 1, 60},
		{"no limit", ScaleThrottle{Limit: -1, Burst: 60}, 10, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if rate, burst := tt.throttle.Rate(tt.maximum); rate != tt.rate || burst != tt.burst {
				t.Errorf("%d a second after %d, want %d after %d", rate, burst, tt.rate, tt.burst)
			}
		})
	}
}
