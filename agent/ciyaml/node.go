package ciyaml

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The limits keep a hostile file from eating time and memory: the YAML library takes time by the square of the depth.
const (
	maxBytes = 1 << 20
	maxDepth = 100
)

type kind int

const (
	kindNull kind = iota
	kindString
	kindNumber
	kindBool
	kindList
	kindMap
)

func (k kind) String() string {
	return [...]string{"nothing", "a string", "a number", "a boolean", "a list", "a mapping"}[k]
}

type pos struct{ line, column int }

// node is a YAML value with its place. Aliases are resolved to the node of their anchor, which is shared: nodes are never changed.
type node struct {
	kind  kind
	pos   pos
	text  string // of scalars, as written
	plain bool   // a scalar without quotes
	said  bool   // a mistake that has been reported already
	items []*node
	pairs []pair
}

type pair struct {
	key   string
	pos   pos
	value *node
}

// get returns the value of a key of a mapping, or nil.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// parseYAML turns bytes into nodes. The root is nil for an empty file.
func parseYAML(data []byte) (root *node, problems Problems) {
	if len(data) > maxBytes {
		return nil, Problems{{Text: fmt.Sprintf("%d bytes are too many; use %d at most", len(data), maxBytes)}}
	}
	// The file comes from outside and the library is not ours: whatever it trips over is a mistake in the file.
	defer func() {
		if r := recover(); r != nil {
			root, problems = nil, Problems{{Text: fmt.Sprintf("not YAML: %v", r)}}
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if p := tooDeep(tokens); p != nil {
		return nil, Problems{*p}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, Problems{syntaxProblem(err)}
	}
	c := converter{anchors: map[string]*node{}}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if root != nil {
			c.problem(position(doc.Body), "a second document is not understood; keep one")
			break
		}
		root = c.convert(doc.Body, 0)
	}
	return root, c.problems
}

// tooDeep finds flow collections and lists on one line that nest without end.
func tooDeep(tokens token.Tokens) *Problem {
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType:
			if t.Position.Line != line {
				entries, line = 0, t.Position.Line
			}
			entries++
		}
		if flow > maxDepth || entries > maxDepth {
			return &Problem{Line: t.Position.Line, Column: t.Position.Column, Text: fmt.Sprintf("more than %d levels are too deep", maxDepth)}
		}
	}
	return nil
}

// syntaxProblem takes place and message out of the library's error.
func syntaxProblem(err error) Problem {
	type placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if e, ok := err.(placed); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		p := e.GetToken().Position
		return Problem{Line: p.Line, Column: p.Column, Text: "not YAML: " + strings.ToLower(e.GetMessage())}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return Problem{Text: "not YAML: " + first}
}

type converter struct {
	anchors  map[string]*node
	problems Problems
}

func (c *converter) problem(at pos, format string, args ...any) {
	c.problems = append(c.problems, Problem{Line: at.line, Column: at.column, Text: fmt.Sprintf(format, args...)})
}

func position(n ast.Node) pos {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return pos{t.Position.Line, t.Position.Column}
	}
	return pos{}
}

func (c *converter) convert(n ast.Node, depth int) *node {
	out := &node{kind: kindNull}
	if n == nil {
		return out
	}
	out.pos = position(n)
	if depth > maxDepth {
		c.problem(out.pos, "more than %d levels are too deep", maxDepth)
		return out
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		out.kind, out.text, out.plain = kindString, n.Value, n.Token.Type == token.StringType
	case *ast.LiteralNode:
		out.kind, out.text = kindString, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text, out.plain = kindNumber, n.GetToken().Value, true
	case *ast.BoolNode:
		out.kind, out.text, out.plain = kindBool, n.Token.Value, true
	case *ast.SequenceNode:
		out.kind = kindList
		for _, v := range n.Values {
			out.items = append(out.items, c.convert(v, depth+1))
		}
	case *ast.MappingNode:
		c.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		c.mapping(out, []*ast.MappingValueNode{n}, depth)
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		delete(c.anchors, name) // so that it can't hold itself
		out = c.convert(n.Value, depth)
		c.anchors[name] = out
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if target, ok := c.anchors[name]; ok {
			return target
		}
		c.problem(out.pos, "alias *%s has no anchor before it", name)
		out.said = true
	case *ast.TagNode:
		return c.tagged(n, depth)
	default:
		c.problem(out.pos, "this YAML (%s) is not understood", strings.ToLower(n.Type().YAMLName()))
	}
	return out
}

// tagged takes the YAML schema's own tags as they are and names GitLab's !reference.
func (c *converter) tagged(n *ast.TagNode, depth int) *node {
	tag := n.GetToken().Value
	if tag == "!reference" {
		c.problem(position(n), "keyword \"!reference\" is GitLab's, but not understood here; use extends or a YAML anchor")
		return &node{kind: kindNull, pos: position(n), said: true}
	}
	out := c.convert(n.Value, depth)
	if tag == "!!str" && (out.kind == kindNumber || out.kind == kindBool) {
		text := *out
		text.kind, text.plain = kindString, false
		return &text
	}
	if !strings.HasPrefix(tag, "!!") {
		c.problem(position(n), "tag %s is not understood; remove it", tag)
	}
	return out
}

// mapping fills a mapping. Keys merged by << yield to the mapping's own, wherever they stand.
func (c *converter) mapping(out *node, values []*ast.MappingValueNode, depth int) {
	out.kind = kindMap
	own := map[string]bool{}
	var merged []*node
	for _, v := range values {
		value := c.convert(v.Value, depth+1)
		if v.Key.IsMergeKey() {
			merged = append(merged, c.merges(value)...)
			continue
		}
		key := c.convert(v.Key, depth+1)
		if key.kind == kindList || key.kind == kindMap {
			c.problem(key.pos, "%s can't be a key", key.kind)
			continue
		}
		if out.pairs == nil {
			out.pos = key.pos
		}
		own[key.text] = true
		out.pairs = append(out.pairs, pair{key.text, key.pos, value})
	}
	for _, m := range merged {
		for _, p := range m.pairs {
			if !own[p.key] {
				own[p.key] = true
				out.pairs = append(out.pairs, p)
			}
		}
	}
	out.pairs = slices.Clip(out.pairs)
}

// merges returns the mappings that a << names.
func (c *converter) merges(value *node) []*node {
	list := []*node{value}
	if value.kind == kindList {
		list = value.items
	}
	for _, m := range list {
		if m.kind != kindMap {
			c.problem(m.pos, "<< takes a mapping, not %s", m.kind)
			return nil
		}
	}
	return list
}
