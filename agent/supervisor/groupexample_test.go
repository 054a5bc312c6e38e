package supervisor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
)

// groupExample is one of the complete configurations that GitLab's documentation has for the executor instance.
type groupExample struct {
	file     string
	login    string // that its jobs run as
	capacity int
	idle     int    // instances that it holds
	once     bool   // an instance runs one job
	home     string // that its jobs work below; "": of the login
	image    string // that its jobs name
}

// example reads a configuration, puts it into the hands of a coordinator of the test's own and changes nothing else of it but what fill says, paths of
// credentials mostly.
func (w *world) example(file string, fill ...string) *config.Config {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.parsed(string(text), fill...)
}

// parsed is example for a text.
func (w *world) parsed(text string, fill ...string) *config.Config {
	w.t.Helper()
	filled := strings.NewReplacer(append(fill, "https://gitlab.com", w.coordinator.URL(), "<token>", w.coordinator.RunnerToken().Reveal())...).Replace(text)
	c, problems := config.Options{}.Parse("config.toml", []byte(filled))
	if err := config.Err(problems); err != nil {
		w.t.Fatal(err)
	}
	c.CheckInterval, c.ShutdownTimeout = 1, 30 // the test's own patience
	return c
}

// withGroups gives the agent the module of a group's driver, and the endpoint of its cloud.
func withGroups(t *testing.T, driver, endpoint string) func(*Options) {
	t.Helper()
	modules := builtins(t, "providers/"+driver)
	return func(o *Options) {
		modules(o)
		o.Operator = func() (*config.Operator, error) {
			return &config.Operator{Drivers: map[string]config.OperatorDriver{driver: {Endpoint: endpoint}}}, nil
		}
		o.FindPlugin = func(name string) (string, error) { return "", os.ErrNotExist } // there is no binary
	}
}

// runs has the agent of a configuration do jobs, as many as an instance takes at once, and leave nothing when the runner is taken out.
func (e groupExample) runs(w *world, live func() []string) {
	t := w.t
	t.Helper()
	w.untilReady(e.idle)
	var ids []int64
	for range e.capacity {
		payload := shelled("build", "id -un; pwd")
		if e.image != "" {
			payload.Image = &coordinator.Image{Name: e.image}
		}
		ids = append(ids, w.coordinator.Enqueue(payload))
	}
	home := cmp.Or(e.home, "/home/"+e.login+"/builds/")
	for _, id := range ids {
		w.succeeds(id)
		if trace := w.trace(id); !strings.Contains(trace, "\n"+e.login+"\n"+home) {
			t.Errorf("the job ran elsewhere:\n%s", trace)
		}
	}
	_, instance := w.placed(ids[0])
	if e.once {
		w.until("the instance of the job is gone and another is there", func() bool {
			now := live()
			return !slices.Contains(now, instance) && len(now) >= e.idle && len(w.untilReady(0)) >= e.idle // one that is spare may stay for its idle time
		})
	} else if !slices.Contains(live(), instance) {
		t.Errorf("the instance %s is gone after its job", instance)
	}
	w.reload(func(c *config.Config) { c.Runners = nil })
	w.until("nothing is left of the runner", func() bool { return len(w.s.Machines()) == 0 && len(live()) == 0 })
	w.enough()
}

// TestGoogleGroupExamples runs the examples for instance groups of Google against a cloud whose instances are machines.
func TestGoogleGroupExamples(t *testing.T) {
	t.Parallel()
	for _, e := range []groupExample{
		{file: "instance-gcp-1-job.toml", login: "runner", capacity: 1, idle: 5, once: true},
		{file: "instance-gcp-5-jobs.toml", login: "Administrator", capacity: 5, idle: 1},
	} {
		t.Run(e.file, func(t *testing.T) {
			t.Parallel()
			cloud, err := fakegce.Start(fakegce.Settings{
				OpTime: 50 * time.Millisecond, BootTime: 100 * time.Millisecond, Zones: []string{"europe-west1-c"},
				Hardware: boxes.Open(t, filepath.Join("..", "..", ".cache", "demo-images")),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer cloud.Close()
			w := newWorld(t)
			w.config = *w.example(e.file, "/home/user/.config/gcloud/application_default_credentials.json", fakegce.Account(t, "ya29.x"))
			conf := w.config.Runners[0].Autoscaler.PluginConfig
			project, zone, name := conf["project"].(string), "zones/"+conf["zone"].(string), conf["name"].(string)
			cloud.AddGroup(fakegce.Group{Project: project, Location: zone, Name: name})
			w.start(helperBinary(t), withGroups(t, "googlecompute", cloud.URL()))
			e.runs(w, func() (live []string) {
				members, _ := cloud.Members(project, zone, name)
				for _, m := range members {
					live = append(live, m.Name)
				}
				return live
			})
			for _, wrong := range cloud.Wrong() {
				t.Errorf("Google would refuse this request: %s", wrong)
			}
		})
	}
}
