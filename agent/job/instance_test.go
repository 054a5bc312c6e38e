package job_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// oneInstance is all that its jobs get.
type oneInstance struct{ engine job.Engine }

func (o oneInstance) Engine(context.Context) (job.Engine, error) { return o.engine, nil }
func (oneInstance) Broken(error)                                 {}

// A job on an instance has its sources in a folder of the runner's there, or, where each instance serves one job, of the project's alone.
func TestInstance(t *testing.T) {
	t.Parallel()
	need.Command(t, "git")
	need.Command(t, "bash")
	there := sshd.Start(t)
	key, err := os.ReadFile(there.Identity)
	if err != nil {
		t.Fatal(err)
	}
	target, err := connect.New(connect.Options{
		Connector:  config.Connector{ProtocolPort: there.Port, UseExternalAddr: true},
		Connection: group.Connection{Username: there.User, Key: config.Secret(key), InternalAddr: "192.0.2.1", ExternalAddr: there.Address},
		PinFile:    filepath.Join(t.TempDir(), "host_key.pub"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		uses    int
		project func(b *jobtest.Bench) string
	}{
		{"many jobs", 0, func(b *jobtest.Bench) string {
			return filepath.Join(there.Home, "builds", config.ShortToken(b.Runner.Token), "0", "group", "project")
		}},
		{"one job", 1, func(*jobtest.Bench) string { return filepath.Join(there.Home, "builds", "group", "project") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := jobtest.NewHost(t, "instance")
			b.Runner.BuildsDir, b.Runner.CacheDir = "", ""
			b.Runner.Autoscaler = &config.Autoscaler{MaxUseCount: tt.uses, LogInternalIP: true, LogExternalIP: true}
			b.Runner.Instance = &config.Instance{UseCommonBuildDir: true}
			e := b.Run(t, t.Context(), jobtest.Script([]string{"pwd", "git log -1 >/dev/null && echo there"}), func(p *job.Params, _ *config.Runner) {
				p.Engines = oneInstance{job.Engine{Machine: "m-1", Instance: "i-1", Target: target}}
			})
			jobtest.CheckTrace(t, e, []string{
				"Using machine m-1 (i-1) ...", "Instance internal IP: 192.0.2.1\n", "Instance external IP: " + there.Address, "Using Instance executor on ",
				"Running on ", " via m-1...", "\n" + tt.project(b) + "\n", "\nthere\n", "Job succeeded",
			}, nil)
			jobtest.CheckEnd(t, e, "", 0)
		})
	}
}
