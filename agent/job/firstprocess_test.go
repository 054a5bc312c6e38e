package job_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/volume"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// The script has millwright-init for its parent, which leaves no trace of itself in what the script sees and says.
func TestFirstProcess(t *testing.T) {
	site := jobtest.NewSite(t)
	// busybox has no ps that tells states; a process that is over, and that nobody has waited for, is a Z.
	const zombies = `n=0; for s in /proc/[0-9]*/stat; do case "$(cat $s 2>/dev/null)" in *") Z "*) n=$((n + 1)) ;; esac; done; echo "zombies: $n"`
	const first = `echo "first: $(tr '\0' ' ' </proc/1/cmdline)"`
	many := "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i + 1)); done"
	var lines strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	api, sealed := dockertest.Engine(t), "millwright-test-"+dockertest.Random()
	if _, err := api.VolumeCreate(t.Context(), volume.CreateOptions{Name: sealed, DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "noexec"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.VolumeRemove(context.Background(), sealed, true); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name      string
		payload   coordinator.Job
		runner    func(*config.Runner)
		want, not []string
		reason    coordinator.FailureReason
		code      int
	}{
		{name: "it is there", payload: jobtest.Script([]string{first}), want: []string{"\nfirst: ", ".tmp/.millwright-init ", "Job succeeded"}},
		{name: "for another user", payload: jobtest.Script([]string{first, "id -u"}), runner: func(r *config.Runner) { r.Docker.User = "1000" },
			want: []string{"\nfirst: ", ".tmp/.millwright-init ", "\n1000\n", "Job succeeded"}},
		{name: "MILLWRIGHT_INIT", payload: jobtest.With(jobtest.Script([]string{first, "ls -a $CI_PROJECT_DIR.tmp"}), "MILLWRIGHT_INIT", "false"),
			want: []string{"\nfirst: ", "Job succeeded"}, not: []string{".millwright-init"}},
		{name: "where nothing can be run", payload: jobtest.Script([]string{first, "ls -a $CI_PROJECT_DIR.tmp", "exit 6"}), runner: func(r *config.Runner) { r.Docker.Volumes = []string{sealed + ":/builds"} },
			want: []string{"\nfirst: ", "/.millwright-script", "\n.millwright-init\n", "ERROR: Job failed: exit code 6"}, not: []string{".tmp/.millwright-init "}, reason: coordinator.ScriptFailure, code: 6},
		{name: "limits that are too tight for it", payload: jobtest.Script([]string{"read -r name </proc/1/comm", `echo "first: $name"`}), runner: func(r *config.Runner) {
			r.Docker.User, r.Docker.Ulimit = "24680", map[string]string{"nproc": "2:2"}
		}, want: []string{"\nfirst: sh\n", "Job succeeded"}},
		{name: "its word is its own", payload: jobtest.Script([]string{"env"}), want: []string{"\nCI_PROJECT_DIR=/builds/group/project\n", "Job succeeded"}, not: []string{"MILLWRIGHT"}},
		{name: "orphans", payload: jobtest.Script([]string{"(sleep 0.2 & sleep 0.3 & sleep 0.4 &)", "sleep 1", zombies}), want: []string{"\nzombies: 0\n", "Job succeeded"}},
		{name: "exit codes", payload: jobtest.Script([]string{"echo before", "exit 7"}, "echo after"), want: []string{"\nbefore\n", "\nafter\n", "ERROR: Job failed: exit code 7"},
			reason: coordinator.ScriptFailure, code: 7},
		{name: "killed", payload: jobtest.Script([]string{"echo before", "kill -9 $$"}), want: []string{"\nbefore\n", "ERROR: Job failed: exit code 137"}, reason: coordinator.ScriptFailure, code: 137},
		{name: "left behind", payload: jobtest.Script([]string{"echo before", "sleep 600 &"}, "echo after"), want: []string{"\nbefore\n", "\nafter\n", "Job succeeded"}},
		{name: "many lines", payload: jobtest.Script([]string{many}), want: []string{"\n" + lines.String(), "Job succeeded"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := site.Bench(t).Run(t, t.Context(), tt.payload, func(_ *job.Params, r *config.Runner) {
				if tt.runner != nil {
					tt.runner(r)
				}
			})
			jobtest.CheckTrace(t, e, tt.want, tt.not)
			jobtest.CheckEnd(t, e, tt.reason, tt.code)
		})
	}
}
