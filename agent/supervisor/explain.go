package supervisor

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// ModuleList is what `policy ls` and `driver ls` show.
type ModuleList struct {
	Modules  []dropin.Status `json:"modules"`
	Problems []string        `json:"problems,omitempty"` // of the folders
}

// Explanation is what `policy explain` shows of one runner.
type Explanation struct {
	Runner    string         `json:"runner"`
	Counts    abi.Counts     `json:"counts"`
	Decisions []DecisionView `json:"decisions"` // the oldest first
}

// DecisionView is a decision that held for a while, with all that led to it.
type DecisionView struct {
	First       time.Time    `json:"first"`
	Last        time.Time    `json:"last"`
	Times       int          `json:"times"`
	IdleTarget  int          `json:"idle_target"`
	IdleTimeS   float64      `json:"idle_time_s"`
	GrowthLimit int          `json:"growth_limit,omitempty"`
	MaxBuilds   int          `json:"max_builds,omitempty"`
	NoGrowth    bool         `json:"no_growth,omitempty"`
	Reason      string       `json:"reason"`
	Steps       []StepView   `json:"steps"`
	Shadows     []StepView   `json:"shadows,omitempty"`
	Rails       []fleet.Rail `json:"rails,omitempty"`
}

// StepView is what one policy made of the snapshot. Its state stays behind.
type StepView struct {
	Policy   string       `json:"policy"`
	Proposal abi.Proposal `json:"proposal"`
	Error    string       `json:"error,omitempty"`
	TookMS   float64      `json:"took_ms"`
	Fuel     int64        `json:"fuel"`
}

// Explain returns the last decisions of the runner of that name, or with "" of all.
func (s *Supervisor) Explain(runner string) []Explanation {
	out := []Explanation{}
	for _, w := range s.allWorkers() {
		name := w.current().Name
		if w.pool == nil || runner != "" && runner != name {
			continue
		}
		status := w.pool.Status()
		e := Explanation{Runner: name, Counts: status.Counts, Decisions: []DecisionView{}}
		for _, r := range w.policies.Records() {
			e.Decisions = append(e.Decisions, decisionView(r, s.railsAt(name, r.First)))
		}
		if n := len(e.Decisions); n > 0 { // what the guard rails do now says more than what they did then
			e.Decisions[n-1].Rails = status.Rails
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Explanation) int { return cmp.Compare(a.Runner, b.Runner) })
	return out
}

func decisionView(r module.Record, rails []fleet.Rail) DecisionView {
	d := r.Decision
	return DecisionView{
		First: r.First, Last: r.Last, Times: r.Times, IdleTarget: d.IdleTarget, IdleTimeS: d.IdleTime.Seconds(), GrowthLimit: d.GrowthLimit,
		MaxBuilds: d.MaxBuilds, NoGrowth: d.NoGrowth, Reason: d.Reason, Steps: stepViews(d.Steps), Shadows: stepViews(r.Shadows), Rails: rails,
	}
}

func stepViews(steps []fleet.Step) []StepView {
	out := make([]StepView, 0, len(steps))
	for _, s := range steps {
		s.Proposal.State = nil
		out = append(out, StepView{Policy: s.Module, Proposal: s.Proposal, Error: s.Err, TookMS: s.Duration.Seconds() * 1000, Fuel: s.Fuel})
	}
	return out
}

// maxRailed is how many decisions of a runner keep what the guard rails changed of them.
const maxRailed = 32

// railed is what the guard rails changed of one decision.
type railed struct {
	at    time.Time
	rails []fleet.Rail
}

// noteRails keeps what the pool tells of a new decision.
func (s *Supervisor) noteRails(e fleet.Event) {
	if e.Decision == nil || len(e.Rails) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(s.rails[e.Runner], railed{e.Decision.At, e.Rails})
	s.rails[e.Runner] = list[max(len(list)-maxRailed, 0):]
}

func (s *Supervisor) railsAt(runner string, at time.Time) []fleet.Rail {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rails[runner] {
		if r.at.Equal(at) {
			return r.rails
		}
	}
	return nil
}

// List lists the drivers that there are, and what is wrong with their folder.
func (d *Drivers) List() ModuleList {
	var list ModuleList
	if d.dropped != nil {
		list.Modules, list.Problems = d.dropped.Status()
	}
	list.Modules = slices.DeleteFunc(list.Modules, func(s dropin.Status) bool { return s.Kind != abi.KindDriver })
	list.Modules = d.all(list.Modules)
	return list
}

// Modules lists the modules with how they fare.
func (s *Supervisor) Modules() ModuleList {
	modules, problems := s.dropped.Status()
	return ModuleList{Modules: s.drivers.all(modules), Problems: problems}
}

// controlModules is the part of agent.sock that concerns modules.
func (s *Supervisor) controlModules(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/modules", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Modules()) })
	mux.HandleFunc("POST /v1/modules/reload", func(w http.ResponseWriter, r *http.Request) {
		if err := s.dropped.Reload(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		reply(w, s.Modules())
	})
	mux.HandleFunc("GET /v1/policies/explain", func(w http.ResponseWriter, r *http.Request) { reply(w, s.Explain(r.FormValue("runner"))) })
	for path, kind := range map[string]string{"policies": abi.KindPolicy, "drivers": abi.KindDriver} {
		mux.HandleFunc("POST /v1/"+path+"/{name}/rollback", func(w http.ResponseWriter, r *http.Request) {
			n, err := s.dropped.Rollback(r.Context(), kind, r.PathValue("name"))
			switch {
			case errors.Is(err, dropin.ErrUnknown):
				http.Error(w, err.Error(), http.StatusNotFound)
			case err != nil && errors.Is(err, context.Canceled):
			case err != nil:
				http.Error(w, err.Error(), http.StatusConflict)
			default:
				reply(w, map[string]int{"generation": n})
			}
		})
	}
}
