package supervisor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job"
)

// JobView is a job that this agent holds, for people. It has nothing of the job's payload.
type JobView struct {
	ID        int64     `json:"id"`
	Runner    string    `json:"runner"`
	URL       string    `json:"url"` // of the coordinator
	ProjectID int64     `json:"project_id"`
	Since     time.Time `json:"since"` // when it was received
	Stage     string    `json:"stage,omitempty"`
	Machine   string    `json:"machine,omitempty"`
	Instance  string    `json:"instance_id,omitempty"` // the provider's id of the machine
}

// jobTable holds the jobs in hand. It is safe for concurrent use.
type jobTable struct {
	mu   sync.Mutex // guards jobs and what they point to
	jobs map[*JobView]bool
}

func newJobTable() *jobTable { return &jobTable{jobs: map[*JobView]bool{}} }

func (t *jobTable) add(w *worker, j *coordinator.Job, now time.Time) *JobView {
	r := w.current()
	v := &JobView{ID: j.ID, Runner: r.Name, URL: r.URL, ProjectID: j.Info.ProjectID, Since: now}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs[v] = true
	return v
}

func (t *jobTable) remove(v *JobView) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.jobs, v)
}

func (t *jobTable) stage(v *JobView, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v.Stage = name
}

func (t *jobTable) placed(v *JobView, e job.Engine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v.Machine, v.Instance = e.Machine, e.Instance
}

// list returns the jobs by their ids.
func (t *jobTable) list() []JobView {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]JobView, 0, len(t.jobs))
	for v := range t.jobs {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b JobView) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// print writes the jobs a line each, in the form of GitLab Runner's /debug/jobs/list.
func (t *jobTable) print(w io.Writer, now time.Time) {
	for _, v := range t.list() {
		state := "running"
		if v.Stage == "" {
			state = "pending"
		}
		fmt.Fprintf(w, "url=%s project=%d job=%d runner=%q state=%s stage=%s machine=%s instance_id=%s duration=%s\n",
			v.URL, v.ProjectID, v.ID, v.Runner, state, v.Stage, v.Machine, v.Instance, now.Sub(v.Since).Round(time.Second))
	}
}
