package ciyaml

import (
	"fmt"
	"regexp"
	"strings"
)

// maxExpanded bounds what references to references can grow to, in bytes per value. GitLab stops at 64 KiB.
const maxExpanded = 64 << 10

var reference = regexp.MustCompile(`\$\$|\$([a-zA-Z_][a-zA-Z0-9_]*)|\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}`)

// Expand puts the values of variables into those that name them, in the order that their references ask for, as GitLab does
// before it sends them to a runner. On equal keys the last one counts; the result has the same keys in the same order.
//
// $NAME and ${NAME} are replaced. Kept as they are, for the runner to expand: $$, unknown names, a variable's own name, names of
// raw and of file variables. Raw values are not looked into. Variables that name each other in a circle are an error.
func Expand(variables []Variable) ([]Variable, error) {
	e := expander{last: map[string]Variable{}, done: map[string]string{}, open: map[string]bool{}}
	for _, v := range variables {
		e.last[v.Key] = v
	}
	out := make([]Variable, len(variables))
	for i, v := range variables {
		var err error
		if out[i] = v; v.Raw {
			continue
		}
		if v == e.last[v.Key] {
			out[i].Value, err = e.value(v)
		} else {
			out[i].Value, err = e.text(v)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

type expander struct {
	last map[string]Variable
	done map[string]string // expanded values by key
	open map[string]bool   // being expanded now
	path []string
}

func (e *expander) value(v Variable) (string, error) {
	if done, ok := e.done[v.Key]; ok {
		return done, nil
	}
	if e.open[v.Key] {
		return "", fmt.Errorf("variables name each other in a circle: %s -> %s", strings.Join(e.path, " -> "), v.Key)
	}
	e.open[v.Key] = true
	e.path = append(e.path, v.Key)
	text, err := e.text(v)
	if err != nil {
		return "", err
	}
	e.path = e.path[:len(e.path)-1]
	delete(e.open, v.Key)
	e.done[v.Key] = text
	return text, nil
}

// text replaces the references in one value.
func (e *expander) text(v Variable) (string, error) {
	var b strings.Builder
	rest := v.Value
	for {
		m := reference.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		b.WriteString(rest[:m[0]])
		whole, name := rest[m[0]:m[1]], group(rest, m, 2)+group(rest, m, 4)
		rest = rest[m[1]:]
		target, known := e.last[name]
		if name == "" || !known || name == v.Key || target.Raw || target.File {
			b.WriteString(whole)
			continue
		}
		text, err := e.value(target)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		if b.Len() > maxExpanded {
			return "", fmt.Errorf("variable %s expands to more than %d bytes", v.Key, maxExpanded)
		}
	}
	b.WriteString(rest)
	return b.String(), nil
}

func group(text string, m []int, i int) string {
	if m[i] < 0 {
		return ""
	}
	return text[m[i]:m[i+1]]
}

// lookupIn answers with expanded values; those of raw variables count too.
func lookupIn(expanded []Variable) func(string) (string, bool) {
	raw, values := map[string]string{}, make(map[string]string, len(expanded))
	for _, v := range expanded {
		values[v.Key] = v.Value
		delete(raw, v.Key)
		if v.Raw {
			raw[v.Key] = v.Value
		}
	}
	return func(name string) (string, bool) {
		text, ok := values[name]
		if _, isRaw := raw[name]; ok && !isRaw {
			text = reference.ReplaceAllStringFunc(text, func(whole string) string {
				if value, ok := raw[strings.Trim(whole, "${}")]; ok {
					return value
				}
				return whole
			})
		}
		return text, ok
	}
}
