package fakegce

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (c *Cloud) listInstances(r *request) (any, error) {
	var all []scoped
	for _, k := range sorted(c.instances) {
		if i := c.instances[k]; i.project == r.path["project"] {
			all = append(all, scoped{"zones/" + i.zone, c.show(i)})
		}
	}
	return c.page(r, "compute#instanceAggregatedList", "instances", all)
}

func (c *Cloud) listDisks(r *request) (any, error) {
	var all []scoped
	for _, k := range sorted(c.disks) {
		if d := c.disks[k]; d.project == r.path["project"] {
			all = append(all, scoped{"zones/" + d.zone, d.show()})
		}
	}
	return c.page(r, "compute#diskAggregatedList", "disks", all)
}

func (c *Cloud) listOperations(r *request) (any, error) {
	var all []scoped
	for _, op := range slices.Backward(c.operations) {
		if op.project == r.path["project"] {
			all = append(all, scoped{op.scope, maps.Clone(op.object)})
		}
	}
	return c.page(r, "compute#operationAggregatedList", "operations", all)
}

// scoped is a resource of an aggregated list.
type scoped struct {
	scope  string
	object object
}

// page answers with one page of an aggregated list. The token is the number of the first entry after it.
func (c *Cloud) page(r *request, kind, what string, all []scoped) (any, error) {
	keep, err := parseFilter(r.query.Get("filter"))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'filter': %v", err)
	}
	all = slices.DeleteFunc(all, func(s scoped) bool { return !keep(s.object) })
	size, from := 500, 0
	if n, err := strconv.Atoi(r.query.Get("maxResults")); err == nil && n > 0 {
		size = min(n, 500)
	}
	if c.settings.PageSize > 0 {
		size = min(size, c.settings.PageSize)
	}
	if token := r.query.Get("pageToken"); token != "" {
		if from, err = strconv.Atoi(token); err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'pageToken': '%s'.", token)
		}
	}
	answer := object{"kind": kind, "id": "projects/" + r.path["project"] + "/aggregated/" + what}
	all = all[min(from, len(all)):]
	if len(all) > size {
		all = all[:size]
		answer["nextPageToken"] = strconv.Itoa(from + size)
	}
	items := object{"global": empty("global")}
	for _, z := range c.settings.Zones {
		items["zones/"+z] = empty("zones/" + z)
	}
	for i, s := range all {
		if c.fault == "partial list" && what == "instances" && i == len(all)-1 {
			// One zone gives no answer: none of its machines is there.
			items[s.scope] = object{"warning": object{"code": "UNREACHABLE", "message": "The zone is unreachable."}}
			answer["unreachables"] = []any{s.scope}
			answer["warning"] = object{"code": "UNREACHABLE", "message": "Some zones are unreachable."}
			continue
		}
		with, _ := items[s.scope].(object)
		entries, _ := with[what].([]any)
		items[s.scope] = object{what: append(entries, s.object)}
	}
	answer["items"] = items
	return answer, nil
}

// empty is a scope without entries, about which the API warns.
func empty(scope string) object {
	return object{"warning": object{"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope '" + scope + "' on this page."}}
}

var (
	term   = regexp.MustCompile(`^\(?\s*([\w.-]+)\s*(>=|=|:)\s*("[^"]*"|[^\s()"]+)\s*\)?$`)
	joined = regexp.MustCompile(`\)\s*(AND\s*)?\(`)
)

// parseFilter reads as much of AIP-160 as drivers write: terms in parentheses, all of which must hold.
func parseFilter(filter string) (func(object) bool, error) {
	var terms []func(object) bool
	for _, part := range joined.Split(filter, -1) {
		if part == "" {
			continue
		}
		m := term.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("'%s'", filter)
		}
		field, operator, value := m[1], m[2], strings.Trim(m[3], `"`)
		terms = append(terms, func(o object) bool {
			has, ok := lookUp(o, strings.Split(field, "."))
			switch operator {
			case ":":
				return ok && (value == "*" || strings.Contains(fmt.Sprint(has), value))
			case ">=":
				n, isNumber := has.(int)
				least, _ := strconv.Atoi(value)
				return isNumber && n >= least
			}
			return ok && fmt.Sprint(has) == value
		})
	}
	return func(o object) bool {
		return !slices.ContainsFunc(terms, func(holds func(object) bool) bool { return !holds(o) })
	}, nil
}

func lookUp(o object, path []string) (any, bool) {
	value, ok := o[path[0]]
	if !ok || len(path) == 1 {
		return value, ok
	}
	inner, ok := value.(object)
	if !ok {
		return nil, false
	}
	return lookUp(inner, path[1:])
}

// pick leaves of an answer what fields asks for, all of it when that is empty.
// Source: Compute Engine documentation, "Partial responses".
func pick(answer any, fields string) any {
	if fields == "" {
		return answer
	}
	return choose(answer, parseFields(fields))
}

// wanted is a tree of fields; a leaf wants all below it.
type wanted map[string]wanted

// parseFields reads a,b/c,d(e,f/g). What it can't read wants nothing, which a test will notice.
func parseFields(text string) wanted {
	tree := wanted{}
	for _, part := range splitTop(text) {
		path, group, _ := strings.Cut(strings.TrimSuffix(part, ")"), "(")
		at := tree
		for _, step := range strings.Split(path, "/") {
			if at[step] == nil {
				at[step] = wanted{}
			}
			at = at[step]
		}
		if group != "" {
			maps.Copy(at, parseFields(group))
		}
	}
	return tree
}

// splitTop splits at the commas that are in no parentheses.
func splitTop(text string) (parts []string) {
	depth, from := 0, 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, text[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, text[from:])
}

func choose(value any, tree wanted) any {
	if len(tree) == 0 {
		return value
	}
	switch v := value.(type) {
	case object:
		out := object{}
		for name, field := range v {
			if below, ok := tree[name]; ok {
				out[name] = choose(field, below)
			} else if below, ok := tree["*"]; ok {
				out[name] = choose(field, below)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = choose(v[i], tree)
		}
		return out
	}
	return value
}
