package job

import (
	"os"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/shell"
)

// variables are the job's variables in their order: of equal keys the last one wins. They hold values as they came; expansion
// is one pass over them and never expands twice.
// Source: GitLab's documentation, "CI/CD variable precedence" and "Where variables can be used".
type variables struct {
	list    coordinator.Variables
	index   map[string]int // key to its last place in list
	tempDir string         // where file variables lie
}

func newVariables(tempDir string, layers ...coordinator.Variables) *variables {
	v := &variables{index: map[string]int{}, tempDir: tempDir}
	for _, layer := range layers {
		for _, one := range layer {
			v.add(one)
		}
	}
	return v
}

func (v *variables) add(one coordinator.Variable) {
	v.list = append(v.list, one)
	v.index[one.Key] = len(v.list) - 1
}

// raw is the value that a reference to name is replaced by: the unexpanded one, or the path of a file variable.
func (v *variables) raw(name string) string {
	if name == "$" { // $$ stands for a dollar sign
		return "$"
	}
	i, ok := v.index[name]
	if !ok {
		return ""
	}
	if v.list[i].File {
		return shell.FilePath(v.tempDir, name)
	}
	return v.list[i].Value
}

// expand replaces $NAME and ${NAME} by the variables' values, once. Unknown names become nothing.
func (v *variables) expand(text string) string {
	if !strings.ContainsRune(text, '$') {
		return text
	}
	return os.Expand(text, v.raw)
}

// get returns a variable's value, expanded; of a file variable its path; "" when there is none.
func (v *variables) get(name string) string {
	i, ok := v.index[name]
	if !ok || v.list[i].Raw && !v.list[i].File {
		return v.raw(name)
	}
	if v.list[i].File {
		return v.raw(name)
	}
	return v.expand(v.list[i].Value)
}

// content is get, but of a file variable its content.
func (v *variables) content(name string) string {
	i, ok := v.index[name]
	if !ok {
		return ""
	}
	return v.value(v.list[i])
}

func (v *variables) value(one coordinator.Variable) string {
	if one.Raw {
		return one.Value
	}
	return v.expand(one.Value)
}

func (v *variables) has(name string) bool {
	_, ok := v.index[name]
	return ok
}

// flag reads a boolean variable; what can't be read counts as fallback.
func (v *variables) flag(name string, fallback bool) bool {
	on, err := strconv.ParseBool(v.get(name))
	if err != nil {
		return fallback
	}
	return on
}

// expanded returns all variables with their values expanded, in order.
func (v *variables) expanded() coordinator.Variables {
	out := make(coordinator.Variables, len(v.list))
	for i, one := range v.list {
		one.Value = v.value(one)
		out[i] = one
	}
	return out
}

// environment returns the variables as the engine takes them, NAME=value, each name once. only, if set, picks some.
func (v *variables) environment(only func(coordinator.Variable) bool) []string {
	var out []string
	for i, one := range v.list {
		if v.index[one.Key] != i || only != nil && !only(one) || one.Key == "" {
			continue
		}
		out = append(out, one.Key+"="+v.get(one.Key))
	}
	return out
}

// assign parses entries NAME=value of a configuration's environment list.
func assign(entries []string) coordinator.Variables {
	var out coordinator.Variables
	for _, entry := range entries {
		key, value, ok := strings.Cut(entry, "=")
		if ok && key != "" {
			out = append(out, coordinator.Variable{Key: key, Value: value, Public: true})
		}
	}
	return out
}

func public(key, value string) coordinator.Variable {
	return coordinator.Variable{Key: key, Value: value, Public: true}
}
