package ciyaml

import (
	"fmt"
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// variables reads a mapping of names to values. A value is a scalar, or a mapping with value, description and expand.
func (r *reader) variables(n *node, path string) []Variable {
	if n.kind != kindMap {
		if n.kind != kindList || len(n.items) > 0 {
			r.want(n, path, "a mapping of names to values")
		}
		return nil
	}
	var out []Variable
	for _, entry := range n.pairs {
		p := join(path, entry.key)
		if !variableName.MatchString(entry.key) {
			r.problem(entry.pos, p, "is no name for a variable; use letters, digits and _, not beginning with a digit")
			continue
		}
		v := Variable{Key: entry.key}
		switch entry.value.kind {
		case kindNull:
		case kindMap:
			r.fields(entry.value, p, table{
				"value":       func(n *node, p string) { v.Value = r.str(n, p) },
				"description": func(n *node, p string) { r.str(n, p) },
				"expand":      func(n *node, p string) { v.Raw = !r.boolean(n, p) },
			})
		default:
			v.Value = r.str(entry.value, p)
		}
		out = append(out, v)
	}
	return out
}

// image reads an image, or with service set a service.
func (r *jobReader) image(n *node, path string, service bool) *Image {
	image := &Image{}
	if n.kind != kindMap {
		image.Name = r.reference(n, path)
		return image
	}
	t := table{
		"name":        func(n *node, p string) { image.Name = r.reference(n, p) },
		"entrypoint":  func(n *node, p string) { image.Entrypoint = r.strings(n, p) },
		"pull_policy": func(n *node, p string) { image.PullPolicy = r.words(n, p, "always", "if-not-present", "never") },
		"docker": func(n *node, p string) {
			r.fields(n, p, table{
				"user":     func(n *node, p string) { image.User = r.str(n, p) },
				"platform": func(n *node, p string) { image.Platform = r.str(n, p) },
			})
		},
	}
	if service {
		t["alias"] = func(n *node, p string) { image.Alias = r.str(n, p) }
		t["command"] = func(n *node, p string) { image.Command = r.strings(n, p) }
		t["variables"] = func(n *node, p string) { image.Variables = r.variables(n, p) }
	}
	r.fields(n, path, t)
	if n.get("name") == nil {
		r.problem(n.pos, path, "has no name")
	}
	return image
}

// reference reads the name of an image, which must be there and hold no blanks.
func (r *jobReader) reference(n *node, path string) string {
	name := r.str(n, path)
	if n.kind == kindString && (name == "" || strings.ContainsAny(name, " \t\n")) {
		r.problem(n.pos, path, "%.60q is no name for an image", name)
	}
	return name
}

func (r *jobReader) services(n *node, path string) []Image {
	if n.kind != kindList {
		r.want(n, path, "a list of services")
		return nil
	}
	out := []Image{}
	for i, item := range n.items {
		out = append(out, *r.image(item, fmt.Sprintf("%s[%d]", path, i), true))
	}
	return out
}

func (r *jobReader) artifacts(n *node, path string) *Artifacts {
	a := &Artifacts{}
	r.fields(n, path, table{
		"name":      func(n *node, p string) { a.Name = r.str(n, p) },
		"paths":     func(n *node, p string) { a.Paths = r.strings(n, p) },
		"exclude":   func(n *node, p string) { a.Exclude = r.strings(n, p) },
		"untracked": func(n *node, p string) { a.Untracked = r.boolean(n, p) },
		"when":      func(n *node, p string) { a.When = r.when(n, p, OnSuccess, OnFailure, Always) },
		"expire_in": func(n *node, p string) {
			a.ExpireIn = n.text
			if n.text != "never" {
				r.duration(n, p)
			}
		},
		"reports": func(n *node, p string) {
			r.fields(n, p, table{
				"dotenv": func(n *node, p string) { a.DotEnv = r.strings(n, p) },
				"junit":  func(n *node, p string) { a.JUnit = r.strings(n, p) },
			})
		},
	})
	return a
}

// caches reads one cache or a list of up to four.
func (r *jobReader) caches(n *node, path string) []Cache {
	out := []Cache{}
	if n.kind == kindMap {
		if len(n.pairs) > 0 {
			out = append(out, r.cache(n, path))
		}
		return out
	}
	if n.kind != kindList {
		r.want(n, path, "a mapping or a list of mappings")
		return out
	}
	if len(n.items) > maxCaches {
		r.problem(n.pos, path, "%d caches are too many; use %d at most", len(n.items), maxCaches)
	}
	for i, item := range n.items {
		out = append(out, r.cache(item, fmt.Sprintf("%s[%d]", path, i)))
	}
	return out
}

func (r *jobReader) cache(n *node, path string) Cache {
	c := Cache{}
	r.fields(n, path, table{
		"key":           func(n *node, p string) { r.cacheKey(n, p, &c) },
		"paths":         func(n *node, p string) { c.Paths = r.strings(n, p) },
		"untracked":     func(n *node, p string) { c.Untracked = r.boolean(n, p) },
		"when":          func(n *node, p string) { c.When = r.when(n, p, OnSuccess, OnFailure, Always) },
		"fallback_keys": func(n *node, p string) { c.FallbackKeys = r.strings(n, p) },
		"policy": func(n *node, p string) {
			if c.Policy = n.text; !strings.HasPrefix(n.text, "$") {
				c.Policy = r.word(n, p, "pull-push", "pull", "push")
			}
		},
	})
	if len(c.FallbackKeys) > 5 {
		r.problem(n.get("fallback_keys").pos, join(path, "fallback_keys"), "%d keys are too many; use 5 at most", len(c.FallbackKeys))
	}
	return c
}

func (r *jobReader) cacheKey(n *node, path string, c *Cache) {
	if n.kind != kindMap {
		c.Key = r.str(n, path)
		if c.Key == "" || c.Key == "." || c.Key == ".." || strings.Contains(c.Key, "/") {
			r.problem(n.pos, path, "%.60q is no key; use a name without /", c.Key)
		}
		return
	}
	r.fields(n, path, table{
		"files":  func(n *node, p string) { c.KeyFiles = r.strings(n, p) },
		"prefix": func(n *node, p string) { c.KeyPrefix = r.str(n, p) },
	})
	if len(c.KeyFiles) < 1 || len(c.KeyFiles) > 2 {
		r.problem(n.pos, join(path, "files"), "names %d files; name one or two", len(c.KeyFiles))
	}
}
