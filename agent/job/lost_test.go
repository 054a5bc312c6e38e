package job_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/job"
)

// never is an engine that does not come.
type never struct{}

func (never) Engine(ctx context.Context) (job.Engine, error) {
	<-ctx.Done()
	return job.Engine{}, ctx.Err()
}
func (never) Broken(error) {}

// vanished is a machine whose engine does not answer; the provider says so when it is asked.
type vanished struct{ spot }

func (v *vanished) Engine(context.Context) (job.Engine, error) {
	return job.Engine{Machine: "auto-1", Endpoint: fleet.Endpoint{Host: "tcp://127.0.0.1:1"}}, nil
}

// prepared is the checkpoint of a job that ran on auto-1 when its agent ended.
const prepared = `{"version":1,"size":%d,"sent":%[1]d,"said":9,"state":{"version":1,"accepted":true,"machine":"auto-1","handle":{"stem":"x","network":{}},
	"done":[{"name":"prepare_executor","said":5,"ready":{}}]}}`

// A job that can't be taken up is reported at once, and no machine is made for that; what the coordinator has of its trace stays, with the
// reason behind it.
func TestLost(t *testing.T) {
	const before = "2026-08-22T10:11:12.345678Z 01O printed before\n"
	for _, tt := range []struct {
		name       string
		checkpoint string
		lost       error
		canceled   bool
		engines    job.Engines
		want       string // in the trace
	}{
		{name: "its machine is gone", lost: errors.New("its machine auto-7 is gone"), want: "can't go on with the job: its machine auto-7 is gone"},
		{name: "its checkpoint is spoilt", checkpoint: "{", want: "can't go on with the job: trace: checkpoint: unexpected end"},
		{name: "its trace is missing", checkpoint: `{"version":1,"size":500,"state":{"version":1,"accepted":true}}`, want: "can't go on with the job: trace: "},
		{name: "the coordinator has given it up", lost: errors.New("its machine auto-7 is gone"), canceled: true},
		{name: "the provider says that its machine is gone", checkpoint: fmt.Sprintf(prepared, len(before)), engines: &vanished{spot{asked: true, notice: make(chan struct{})}},
			want: "can't go on with the job: its machine auto-1 is gone: the instance is interrupted: price"},
		{name: "another machine", checkpoint: fmt.Sprintf(strings.ReplaceAll(prepared, "auto-1", "auto-2"), len(before)), engines: &vanished{spot{notice: make(chan struct{})}},
			want: "can't go on with the job: its machine auto-2 is gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.engines == nil {
				tt.engines = never{}
			}
			server, err := embedded.New(embedded.Options{Dir: t.TempDir(), TraceInterval: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			id := server.Enqueue(coordinator.Job{Info: coordinator.JobInfo{Name: "lost", Stage: "test"}})
			client, err := coordinator.New(coordinator.Options{URL: server.URL(), Token: server.RunnerToken(), SystemID: "s_test"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			j, err := client.RequestJob(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.UpdateJob(t.Context(), j, coordinator.Update{State: coordinator.JobRunning})
			if err == nil {
				_, err = client.PatchTrace(t.Context(), j, []byte(before), 0, false)
			}
			runner := &config.Runner{Name: "r", URL: server.URL(), Executor: "docker+machine", Docker: config.Docker{Image: "any"}}
			keep := filepath.Join(t.TempDir(), "job")
			record := job.Record{Job: j, Runner: runner}
			err = errors.Join(err, record.Save(keep))
			if tt.checkpoint != "" {
				err = errors.Join(err, os.WriteFile(filepath.Join(keep, "checkpoint"), []byte(tt.checkpoint), 0o600))
			}
			if tt.engines != (never{}) {
				err = errors.Join(err, os.WriteFile(filepath.Join(keep, "trace"), []byte(before), 0o600))
			}
			if tt.canceled {
				err = errors.Join(err, server.ForceCancel(id))
			}
			if err != nil {
				t.Fatal(err)
			}
			res := job.Run(t.Context(), job.Params{Job: j, Runner: runner, Client: client, Engines: tt.engines, Keep: keep, Lost: tt.lost})
			raw, err := server.Trace(id)
			if err != nil {
				t.Fatal(err)
			}
			at, _ := server.Job(id)
			if _, err := os.Stat(keep); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the job's folder is still there: %v", err)
			}
			if tt.canceled {
				if !res.Dropped || string(raw) != before {
					t.Errorf("got %+v\n%s", res, raw)
				}
				return
			}
			if at.State != "failed" || at.FailureReason != coordinator.RunnerSystemFailure || res.Unsent != nil {
				t.Errorf("the coordinator has %s %s: %+v", at.State, at.FailureReason, res)
			}
			if text := string(raw); !strings.HasPrefix(text, before) || !strings.Contains(text, tt.want) {
				t.Errorf("the trace lacks %q:\n%s", tt.want, text)
			}
			for _, v := range server.Violations() {
				t.Errorf("the coordinator complains: %s", v)
			}
		})
	}
}
