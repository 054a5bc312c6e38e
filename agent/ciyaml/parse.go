package ciyaml

import (
	"maps"
	"slices"
	"strings"
)

// defaultStages are GitLab's when the file names none.
var defaultStages = []string{"build", "test", "deploy"}

// The words of the file's top level. What default and the deprecated top level may give is in jobDefaults.
var (
	globalKeywords = []string{"after_script", "before_script", "cache", "default", "image", "services", "stages", "variables"}
	refusedGlobals = []string{"include", "spec", "workflow"}
	jobDefaults    = []string{"after_script", "artifacts", "before_script", "cache", "hooks", "image", "interruptible", "retry", "services", "tags", "timeout"}
	topDefaults    = []string{"after_script", "before_script", "cache", "image", "services"}
)

// Limits of GitLab.
const (
	maxNameLength   = 255
	maxExtendsDepth = 11
	maxMerges       = 100_000
)

// Parse reads a .gitlab-ci.yml. file is its name for messages. All mistakes are reported together, as Problems; with any of them
// there is no pipeline.
func Parse(file string, data []byte) (*Pipeline, error) {
	root, problems := parseYAML(data)
	r := &fileReader{templates: map[string]*node{}, merged: map[string]*node{}}
	r.problems = problems
	p := &Pipeline{File: file}
	switch {
	case root == nil && len(problems) == 0:
		r.problem(pos{}, "", "the file is empty; write at least one job with a script")
	case root != nil && root.kind != kindMap:
		r.want(root, "", "a mapping of jobs")
	case root != nil:
		r.file(root, p)
	}
	for i := range r.problems {
		r.problems[i].File = file
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// fileReader reads the top level: it knows the templates and the defaults.
type fileReader struct {
	reader
	templates map[string]*node // all mappings that extends can name, hidden ones and jobs
	merged    map[string]*node // those whose extends is resolved
	defaults  []pair
}

func (r *fileReader) file(root *node, p *Pipeline) {
	var jobs []pair
	p.Stages = r.stages(root.get("stages"))
	for _, entry := range root.pairs {
		switch {
		case slices.Contains(refusedGlobals, entry.key):
			r.unknown(entry, "", nil)
		case entry.key == "variables":
			p.Variables = r.variables(entry.value, "variables")
		case entry.key == "stages":
		case entry.key == "default":
			r.defaultSection(entry.value)
		case slices.Contains(topDefaults, entry.key):
			r.addDefault(entry, entry.key)
		case strings.HasPrefix(entry.key, "."):
			r.templates[entry.key] = entry.value
		case entry.value.kind != kindMap:
			r.problem(entry.pos, "", "unknown keyword %q%s (a job would be a mapping with a script)", entry.key, didYouMean(entry.key, globalKeywords))
		case r.misspelt(entry):
		default:
			r.templates[entry.key] = entry.value
			jobs = append(jobs, entry)
		}
	}
	for _, entry := range jobs {
		p.Jobs = append(p.Jobs, r.job(entry, p.Stages))
	}
	if len(jobs) == 0 && len(r.problems) == 0 {
		r.problem(root.pos, "", "there is no job; write at least one with a script")
	}
	order := map[string]int{}
	for i, s := range p.Stages {
		order[s] = i
	}
	slices.SortStableFunc(p.Jobs, func(a, b Job) int { return order[a.Stage] - order[b.Stage] })
	r.relations(p, order)
}

// misspelt refuses a mapping that is no job but has nearly the name of a keyword.
func (r *fileReader) misspelt(entry pair) bool {
	near := nearest(entry.key, globalKeywords)
	if near == "" || entry.value.get("script") != nil || entry.value.get("extends") != nil {
		return false
	}
	r.problem(entry.pos, "", "unknown keyword %q; did you mean %q? (a job would have a script)", entry.key, near)
	return true
}

// stages gives the stages in order, .pre first and .post last.
func (r *fileReader) stages(n *node) []string {
	names := defaultStages
	if n != nil {
		names = r.strings(n, "stages")
	}
	out := []string{".pre"}
	for _, name := range names {
		if name != ".pre" && name != ".post" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return append(out, ".post")
}

func (r *fileReader) defaultSection(n *node) {
	if n.kind != kindMap {
		r.want(n, "default", "a mapping")
		return
	}
	for _, p := range n.pairs {
		if !slices.Contains(jobDefaults, p.key) {
			r.unknown(p, "default", jobDefaults)
			continue
		}
		r.addDefault(p, join("default", p.key))
	}
}

func (r *fileReader) addDefault(p pair, path string) {
	for _, d := range r.defaults {
		if d.key == p.key {
			r.problem(p.pos, path, "is given both under default and at the top level; keep the one under default")
			return
		}
	}
	r.defaults = append(r.defaults, p)
	// Read here too, so that a mistake shows even where every job overrides it.
	(&jobReader{reader: &r.reader}).table(&Job{})[p.key](p.value, path)
}

// extended returns a template with those that it extends merged under it: mappings by key, all else replaced.
func (r *fileReader) extended(name string, n *node, chain []string) *node {
	if done, ok := r.merged[name]; ok {
		return done
	}
	e := n.get("extends")
	if e == nil {
		return n
	}
	path := join(name, "extends")
	if slices.Contains(chain, name) || len(chain) > maxExtendsDepth {
		r.problem(e.pos, path, "templates extend each other without end: %s", strings.Join(append(chain, name), " -> "))
		return n
	}
	var under *node
	for _, parent := range r.strings(e, path) {
		template, ok := r.templates[parent]
		if !ok {
			r.problem(e.pos, path, "there is no template or job %q%s", parent, didYouMean(parent, slices.Sorted(maps.Keys(r.templates))))
			continue
		}
		if template.kind != kindMap {
			r.problem(e.pos, path, "template %q is %s, not a mapping", parent, template.kind)
			continue
		}
		under = r.merge(under, r.extended(parent, template, append(chain, name)))
	}
	out := r.merge(under, n)
	r.merged[name] = out
	return out
}

func (r *fileReader) merge(under, over *node) *node {
	if under == nil || under == over || under.kind != kindMap || over.kind != kindMap {
		return over
	}
	out := &node{kind: kindMap, pos: over.pos, pairs: slices.Clone(under.pairs)}
	at := map[string]int{}
	for i, p := range out.pairs {
		at[p.key] = i
	}
	for _, p := range over.pairs {
		if r.merges++; r.merges > maxMerges {
			if r.merges == maxMerges+1 {
				r.problem(p.pos, "", "the templates merge to more than %d keys; that is too much", maxMerges)
			}
			return over
		}
		if i, ok := at[p.key]; ok {
			out.pairs[i] = pair{p.key, p.pos, r.merge(out.pairs[i].value, p.value)}
			continue
		}
		out.pairs = append(out.pairs, p)
	}
	return out
}

// withDefaults adds what default gives and the job has not.
func (r *fileReader) withDefaults(n *node) *node {
	out := *n
	out.pairs = slices.Clone(n.pairs)
	for _, d := range r.defaults {
		if n.get(d.key) == nil {
			out.pairs = append(out.pairs, d)
		}
	}
	return &out
}

func (r *fileReader) job(entry pair, stages []string) Job {
	n := r.withDefaults(r.extended(entry.key, entry.value, nil))
	j := (&jobReader{reader: &r.reader}).job(n, entry)
	if !slices.Contains(stages, j.Stage) {
		at := entry.pos
		if s := n.get("stage"); s != nil {
			at = s.pos
		}
		r.problem(at, join(j.Name, "stage"), "there is no stage %q%s", j.Stage, didYouMean(j.Stage, stages))
	}
	if len(entry.key) > maxNameLength {
		r.problem(entry.pos, "", "a job's name of %d bytes is too long; use %d at most", len(entry.key), maxNameLength)
	}
	if len(j.Script) == 0 && n.get("script") == nil {
		r.problem(entry.pos, entry.key, "the job has no script")
	}
	return j
}
