package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/module"
)

// completeExample is the complete example of GitLab's documentation.
var completeExample = filepath.Join("testdata", "docker-machine-complete.toml")

// TestCompleteExampleChecked says what is wrong with the complete example of GitLab's documentation as it stands there, and once it is filled in by its
// own comments, which give a region for a zone.
func TestCompleteExampleChecked(t *testing.T) {
	d := builtinGoogle(t, nil)
	check := config.Options{Driver: func(name string, options []string) (out []config.Problem) {
		for _, p := range d.Check(t.Context(), name, options) {
			out = append(out, config.Problem{Option: p.Option, Message: p.Message, Warning: p.Warning})
		}
		return out
	}}
	text, err := os.ReadFile(completeExample)
	if err != nil {
		t.Fatal(err)
	}
	const (
		image = `MachineOptions[3]: google-machine-image: Ubuntu 18.04 has had no fixes since 2023-05, and Google deletes such images; ` +
			`use another, such as ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64`
		idle = `autoscaling[0].IdleCount: 50 is more than the limit of 10 machines, so it is never reached`
	)
	for name, tc := range map[string]struct {
		fill *strings.Replacer
		want []string
	}{
		"as it stands": {strings.NewReplacer(), []string{
			`MachineOptions[0]: google-project: "GOOGLE-PROJECT-ID" looks wrong; the id of a project has lower-case letters, digits and hyphens`,
			`MachineOptions[1]: google-zone: "GOOGLE-ZONE" looks wrong; a zone is such as us-central1-a`,
			`MachineOptions[2]: google-machine-type: "GOOGLE-MACHINE-TYPE" looks wrong; a machine type is such as n2-standard-4`,
			image, idle,
		}},
		"by its comments": {strings.NewReplacer("GOOGLE-PROJECT-ID", "project-1", "GOOGLE-ZONE", "us-central-1", "GOOGLE-MACHINE-TYPE", "n1-standard-8"), []string{
			`MachineOptions[1]: google-zone: "us-central-1" looks wrong; Google writes us-central1 for the region; a zone of it is us-central1-a, for example`, image, idle,
		}},
	} {
		_, found := check.Parse("config.toml", []byte(tc.fill.Replace(string(text))))
		var got []string
		for _, p := range found {
			if p.Severity == config.SeverityError {
				t.Errorf("%s: %s", name, p)
			}
			_, rest, _ := strings.Cut(p.String(), "runners[0].machine.")
			got = append(got, rest)
		}
		slices.Sort(got)
		slices.Sort(tc.want)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestCompleteExampleRuns runs the same, with its blanks filled in, in a cloud of machines that answer: jobs with a cache are served, the idle machines
// are as many as all its sections say at any hour, and at the end nothing is left.
func TestCompleteExampleRuns(t *testing.T) {
	need.Root(t) // for the machines' port 22
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", fakegce.Account(t, "ya29.x"))
	cloud, err := fakegce.Start(fakegce.Settings{OpTime: 50 * time.Millisecond, BootTime: 100 * time.Millisecond, Machines: true, Engine: fakecloud.Jobs()})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	w := newWorld(t)
	text, err := os.ReadFile(completeExample)
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("GOOGLE-PROJECT-ID", "project-1", "GOOGLE-ZONE", "us-central1-a", "GOOGLE-MACHINE-TYPE", "n1-standard-8",
		"https://gitlab.com", w.coordinator.URL(), "RUNNER_TOKEN", w.coordinator.RunnerToken().Reveal())
	c, problems := config.Options{}.Parse("config.toml", []byte(fill.Replace(string(text))))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	c.CheckInterval, c.ShutdownTimeout = 1, 30 // the test's own patience
	w.config = *c
	helper(t)
	dist := fstest.MapFS{}
	for _, folder := range []string{"policies/periods", "policies/idlescale", "providers/google"} {
		dist["dist/"+filepath.Base(folder)+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, folder)}
	}
	w.start(func(o *Options) {
		o.RemoveMachines = true
		o.Operator = func() (*config.Operator, error) {
			return &config.Operator{Drivers: map[string]config.OperatorDriver{"google": {Endpoint: cloud.URL()}}}, nil
		}
		o.Modules = module.Options{Builtins: []fs.FS{dist}, CacheDir: guests.CompilationCache(t), Limits: module.Limits{
			DecideTime: time.Minute, OtherTime: time.Minute, DriverTime: time.Minute, // a busy machine is no failure
		}}
	})
	owner := w.s.Owner()
	five := func() bool { // one of them is held while a job is asked for
		by := w.byState()
		return len(by[fleet.Idle])+len(by[fleet.Acquired]) >= 5
	}
	w.until("five machines are idle", five)
	for name, vm := range cloud.Instances("project-1") {
		if !strings.Contains(name, "-auto-scale-") || !strings.HasSuffix(vm["machineType"].(string), "/zones/us-central1-a/machineTypes/n1-standard-8") {
			t.Errorf("%s is %v", name, vm["machineType"])
		}
	}
	var ids []int64
	for range 3 {
		ids = append(ids, w.coordinator.Enqueue(coordinator.Job{
			Info: coordinator.JobInfo{Name: "build", Stage: "test", ProjectID: 3, PipelineID: 5}, Image: &coordinator.Image{Name: "ruby:2.7"},
			Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
			Steps:     []coordinator.Step{{Name: "script", Script: []string{"bundle install"}}},
			Cache:     []coordinator.Cache{{Key: "gems", Paths: []string{"vendor/ruby"}, Policy: "pull-push"}},
		}))
	}
	for _, id := range ids {
		if r := w.await(id); r.State != "success" || !strings.Contains(w.trace(id), "-auto-scale-") {
			t.Errorf("%s\n%s", r.State, w.trace(id))
		}
	}
	w.until("five machines are idle again", func() bool { return five() && len(w.byState()[fleet.Used]) == 0 })
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	w.until("the cloud has done what it was told: nothing is left", func() bool { return len(cloud.Leftovers(owner)) == 0 })
	for _, wrong := range cloud.Wrong() {
		t.Errorf("Google would refuse this request: %s", wrong)
	}
}
