package pool_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestLogLines has situations and the lines that people search their logs for in them, with GitLab Runner's words and fields. What was a warning
// there and is no trouble is info. A line without a level is GitLab Runner's in that situation and never ours: docs/differences.md says why.
func TestLogLines(t *testing.T) {
	const removal = "name lifetime used usedCount reason"
	type line struct{ message, level, fields string }
	for _, tt := range []struct {
		name  string
		do    func(t *testing.T, w *world)
		lines []line
	}{
		{"a machine lives and is worn out", func(_ *testing.T, w *world) {
			l := w.acquire()
			w.use(l, 1)
			l.Release(false)
		}, []line{
			{"Machine created", "INFO", "name duration now retries"},
			{"Requesting machine removal", "INFO", removal},
			{"Removing machine", "INFO", removal},
			{"Machine removed", "INFO", removal + " now retries"},
			{"Docker Machine Details", "DEBUG",
				"runner used idle total creating removing idleCount idleCountMin idleScaleFactor maxMachines maxMachineCreate"},
			{message: "Stopping machine"},
			{message: "Problem while reading command output"},
			{message: "Could not inspect docker-machine state; emitting metric with empty target labels"},
		}},
		{"a creation fails", func(_ *testing.T, w *world) {
			w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: fake.OverQuota()})
			w.use(w.acquire(), 1)
		}, []line{{"Machine creation failed", "ERROR", "name time error"}}},
		{"a machine is gone", func(_ *testing.T, w *world) {
			w.cloud.Bury(w.names()[0])
		}, []line{
			{"Requesting machine removal", "INFO", removal},
			{"Machine removed", "INFO", removal + " now retries"},
			{message: "Skipping machine removal, because it doesn't exist"},
		}},
		{"a machine can't be removed", func(_ *testing.T, w *world) {
			w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Error: refused})
			l := w.acquire()
			w.use(l, 1)
			l.Release(false)
			wait(20 * time.Minute)
		}, []line{
			{"Removing machine", "INFO", removal},
			{"Machine removal failed", "WARN", "name reason attempts error next_try"},
			{message: "Error while stopping machine"},
			{message: "Giving up on machine removal. The remote VM may be orphaned."},
		}},
		{"a drain", func(t *testing.T, w *world) {
			if err := w.pool.StopRemoving(t.Context(), pool.Drain{}); err != nil {
				t.Error(err)
			}
		}, []line{
			{"Draining machine pool", "INFO", "machines"},
			{"Machine drained successfully", "INFO", "name"},
			{"Machine pool drain completed", "INFO", "success failed total"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, abi.RunnerSettings{IdleCount: 1, MaxBuilds: 1})
				log := w.listen()
				w.start()
				wait(time.Minute)
				tt.do(t, w)
				wait(5 * time.Minute)
				w.cloud.Heal()
				w.stop(true)
				for _, line := range tt.lines {
					said := log.find(t, line.message)
					if said == nil && line.level == "" {
						continue
					}
					if said == nil || said["level"] != line.level {
						t.Errorf("%s: %v", line.message, said)
					}
					for field := range strings.FieldsSeq(line.fields) {
						if _, there := said[field]; !there {
							t.Errorf("%s lacks %s: %v", line.message, field, said)
						}
					}
				}
			})
		})
	}
}
