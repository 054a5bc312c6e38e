package embedded

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// pipelineID is the one pipeline's id. It has a ref of its own in the repository.
const pipelineID = 100

// pipeline is the one pipeline of a server; the server's mutex guards it.
type pipeline struct {
	slots     []*slot
	variables coordinator.Variables // predefined ones
	byName    map[string]int
	started   time.Time
	finished  time.Time
	state     State
	done      chan struct{} // closed at the end
}

// slot is a job's place in the pipeline: the tries come and go.
type slot struct {
	def    ciyaml.Job
	stage  int
	picked bool
	manual bool
	tries  []*job
}

func (s *slot) job() *job { return s.tries[len(s.tries)-1] }

// resolve applies the rules, and narrows the jobs to those named and what they take artifacts or order from.
func (s *Server) resolve(p *ciyaml.Pipeline, only []string) ([]ciyaml.Job, error) {
	jobs, err := p.Resolve(ciVariables(s.pipelineVariables()), ciVariables(s.o.Variables))
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		for k := range jobs[i].Cache {
			if c := &jobs[i].Cache[k]; len(c.KeyFiles) > 0 {
				c.Key, c.KeyFiles = s.project.cacheKey(s.ctx, c.KeyPrefix, c.KeyFiles), nil
			}
		}
	}
	if len(only) == 0 {
		return jobs, nil
	}
	for _, name := range only {
		if !slices.ContainsFunc(jobs, func(j ciyaml.Job) bool { return j.Name == name || j.Base == name }) {
			return nil, fmt.Errorf("%s: there is no job %q in this pipeline; there are %s", p.File, name, strings.Join(names(jobs), ", "))
		}
	}
	return narrow(p, jobs, only), nil
}

func names(jobs []ciyaml.Job) []string {
	var out []string
	for _, j := range jobs {
		if !slices.Contains(out, j.Base) {
			out = append(out, j.Base)
		}
	}
	return out
}

// narrow keeps the named jobs, what they need, and those whose artifacts they take, and so on.
func narrow(p *ciyaml.Pipeline, jobs []ciyaml.Job, only []string) []ciyaml.Job {
	keep := map[string]bool{}
	stage := func(j *ciyaml.Job) int { return slices.Index(p.Stages, j.Stage) }
	var mark func(j *ciyaml.Job)
	mark = func(j *ciyaml.Job) {
		if keep[j.Name] {
			return
		}
		keep[j.Name] = true
		for i := range jobs {
			other := &jobs[i]
			needed := slices.ContainsFunc(j.Needs, func(n ciyaml.Need) bool { return n.Job == other.Name })
			if needed || other.Artifacts != nil && takesFrom(j, other, stage(other) < stage(j)) {
				mark(other)
			}
		}
	}
	for i := range jobs {
		if slices.Contains(only, jobs[i].Name) || slices.Contains(only, jobs[i].Base) {
			mark(&jobs[i])
		}
	}
	return slices.DeleteFunc(slices.Clone(jobs), func(j ciyaml.Job) bool { return !keep[j.Name] })
}

// takesFrom tells whether a job takes the artifacts of another: of what dependencies names, of what it needs, or of all jobs in
// earlier stages.
func takesFrom(j, other *ciyaml.Job, earlier bool) bool {
	if j.Dependencies != nil && !slices.Contains(j.Dependencies, other.Name) {
		return false
	}
	if j.Needs != nil {
		return slices.ContainsFunc(j.Needs, func(n ciyaml.Need) bool { return n.Job == other.Name && n.Artifacts })
	}
	return earlier
}

// newPipeline makes the jobs, all created. The caller holds mu.
func (s *Server) newPipeline(p *ciyaml.Pipeline, jobs []ciyaml.Job, only []string) *pipeline {
	line := &pipeline{variables: s.pipelineVariables(), byName: map[string]int{}, started: time.Now(), state: Running, done: make(chan struct{})}
	for _, def := range jobs {
		sl := &slot{def: def, stage: slices.Index(p.Stages, def.Stage), picked: slices.Contains(only, def.Name) || slices.Contains(only, def.Base)}
		line.byName[def.Name] = len(line.slots)
		line.slots = append(line.slots, sl)
		s.try(sl)
	}
	return line
}

// try makes the next job of a slot.
func (s *Server) try(sl *slot) *job {
	j := s.newJob(sl.def.Name, sl.def.Stage)
	j.slot, j.def = sl, &sl.def
	sl.tries = append(sl.tries, j)
	j.status.Try = len(sl.tries)
	return j
}

// settle notes, when a try ends, whether its failure is allowed and whether another follows.
func (s *Server) settle(j *job, to State) {
	if to != Failed {
		return
	}
	j.status.AllowFailure = j.def.AllowFailure.Allows(j.status.ExitCode)
	j.status.Retried = !s.canceled && j.def.Retry.Allows(len(j.slot.tries)-1, string(j.status.FailureReason))
}

// schedule starts, skips and retries what can be, until nothing moves, and ends the pipeline. The caller holds mu.
func (s *Server) schedule() {
	line := s.pipeline
	if line == nil || line.state.Final() {
		return
	}
	for moved := true; moved; {
		moved = false
		for _, sl := range line.slots {
			if sl.job().status.Retried {
				s.move(s.try(sl), Queued)
			}
		}
		nodes := line.nodes()
		for i, sl := range line.slots {
			if nodes[i].state != Created {
				continue
			}
			v, why := decide(nodes, i)
			if v == runs && s.canceled {
				v, why = isSkipped, "the pipeline was canceled"
			}
			switch v {
			case runs:
				s.move(sl.job(), Queued)
			case isSkipped, isManual:
				sl.manual = v == isManual
				sl.job().status.Why = why
				s.move(sl.job(), Skipped)
				moved = true
			}
		}
	}
	s.finish(line)
}

func (p *pipeline) nodes() []node {
	out := make([]node, len(p.slots))
	for i, sl := range p.slots {
		j := sl.job()
		out[i] = node{
			name: sl.def.Name, stage: sl.stage, when: sl.def.When, picked: sl.picked, manual: sl.manual, state: j.status.State,
			allowed: j.status.AllowFailure || sl.def.AllowFailure.Always, retrying: j.status.Retried,
		}
		if sl.def.Needs != nil {
			out[i].needs = []int{}
			for _, need := range sl.def.Needs {
				if at, ok := p.byName[need.Job]; ok {
					out[i].needs = append(out[i].needs, at)
				}
			}
		}
	}
	return out
}

// finish ends the pipeline when every job has ended: failed when one failed that may not, else canceled, else success.
func (s *Server) finish(line *pipeline) {
	state := Success
	for _, n := range line.nodes() {
		switch {
		case !n.state.Final():
			return
		case n.state == Failed && !n.allowed:
			state = Failed
		case n.state == Canceled && !n.allowed && state == Success:
			state = Canceled
		}
	}
	line.state, line.finished = state, time.Now()
	close(line.done)
	s.emit(Event{Time: line.finished, Pipeline: line.summary()})
}

func (p *pipeline) summary() *Summary {
	out := &Summary{ID: pipelineID, State: p.state, Started: p.started, Finished: p.finished}
	for _, sl := range p.slots {
		for _, j := range sl.tries {
			out.Jobs = append(out.Jobs, j.status)
		}
	}
	return out
}

// sources are the jobs whose artifacts and dotenv variables a job takes. The caller holds mu.
func (s *Server) sources(j *job) []*job {
	var out []*job
	if j.slot == nil {
		return nil
	}
	for _, sl := range s.pipeline.slots {
		if other := sl.job(); other != j && takesFrom(j.def, &sl.def, sl.stage < j.slot.stage) && other.status.State.Final() {
			out = append(out, other)
		}
	}
	return out
}

// ciVariables turns variables of the wire into those of the file's reader.
func ciVariables(in []coordinator.Variable) []ciyaml.Variable {
	out := make([]ciyaml.Variable, len(in))
	for i, v := range in {
		out[i] = ciyaml.Variable{Key: v.Key, Value: v.Value, Raw: v.Raw, File: v.File}
	}
	return out
}
