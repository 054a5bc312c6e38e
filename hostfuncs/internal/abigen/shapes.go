package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// basic is a type that the codec reads and writes by a method of its own.
type basic string

const (
	text    basic = "string"
	integer basic = "int"
	long    basic = "int64"
	float   basic = "float64"
	boolean basic = "bool"
	binary  basic = "[]byte"
	raw     basic = "Raw"
)

// shape is the type of a field: exactly one of its first five is set. name is that of a named string or map type, "" otherwise.
type shape struct {
	basic  basic
	strukt *object
	list   *shape
	table  *shape // a map of these by string
	option *shape // a pointer: absent or there
	name   string
}

// object is a struct of the package.
type object struct {
	name   string
	doc    string
	fields []field
}

// field is one member of an object.
type field struct {
	name      string // in Go
	wire      string
	omitempty bool
	shape     shape
	doc       string
}

// constant is one of the values of a named string type.
type constant struct{ value, doc string }

// shapes are all types of a package that cross the boundary.
type shapes struct {
	objects map[string]*object
	order   []string // of the objects, as they are declared
	enums   map[string][]constant
	types   map[string]ast.Expr // what the other names stand for
}

// parse reads the package in dir, without what is generated there.
func parse(dir string) (*shapes, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	s := &shapes{objects: map[string]*object{}, enums: map[string][]constant{}, types: map[string]ast.Expr{}}
	structs := map[string]*ast.StructType{}
	fset := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == codecFile {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				s.declare(gen, structs)
			}
		}
	}
	var problems []error
	for _, name := range s.order {
		problems = append(problems, s.members(s.objects[name], structs[name]))
	}
	return s, errors.Join(problems...)
}

// declare notes the exported types and string constants of a declaration.
func (s *shapes) declare(decl *ast.GenDecl, structs map[string]*ast.StructType) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			name := spec.Name.Name
			if st, ok := spec.Type.(*ast.StructType); ok && tagged(st) {
				structs[name] = st
				s.objects[name] = &object{name: name, doc: sentence(decl.Doc, spec.Doc)}
				s.order = append(s.order, name)
				continue
			}
			s.types[name] = spec.Type
		case *ast.ValueSpec:
			typ, ok := spec.Type.(*ast.Ident)
			if !ok || len(spec.Values) != 1 {
				continue
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, _ := strconv.Unquote(lit.Value)
				s.enums[typ.Name] = append(s.enums[typ.Name], constant{value, sentence(spec.Comment, spec.Doc)})
			}
		}
	}
}

// tagged tells whether a struct has JSON tags.
func tagged(st *ast.StructType) bool {
	return slices.ContainsFunc(st.Fields.List, func(f *ast.Field) bool { return f.Tag != nil && strings.Contains(f.Tag.Value, "json:") })
}

// members fills in the fields of o. Each needs a tag and a comment.
func (s *shapes) members(o *object, st *ast.StructType) error {
	for _, f := range st.Fields.List {
		if len(f.Names) != 1 || f.Tag == nil {
			return fmt.Errorf("abi.%s: every field needs a name and a json tag of its own", o.name)
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			return err
		}
		wire, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		member := field{name: f.Names[0].Name, wire: wire, omitempty: options == "omitempty", doc: sentence(f.Doc, f.Comment)}
		if wire == "" || options != "" && !member.omitempty {
			return fmt.Errorf("abi.%s.%s: its json tag must be a name, or a name and omitempty", o.name, member.name)
		}
		if member.doc == "" {
			return fmt.Errorf("abi.%s.%s: has no comment; say what it means, since ABI.md is made of it", o.name, member.name)
		}
		if member.shape, err = s.shapeOf(f.Type); err != nil {
			return fmt.Errorf("abi.%s.%s: %w", o.name, member.name, err)
		}
		o.fields = append(o.fields, member)
	}
	return nil
}

// shapeOf resolves a type.
func (s *shapes) shapeOf(expr ast.Expr) (shape, error) {
	inner := func(e ast.Expr) (*shape, error) {
		in, err := s.shapeOf(e)
		return &in, err
	}
	switch e := expr.(type) {
	case *ast.Ident:
		switch b := basic(e.Name); b {
		case text, integer, long, float, boolean, raw:
			return shape{basic: b}, nil
		}
		if o := s.objects[e.Name]; o != nil {
			return shape{strukt: o}, nil
		}
		if under, ok := s.types[e.Name]; ok {
			in, err := s.shapeOf(under)
			in.name = e.Name
			return in, err
		}
	case *ast.StarExpr:
		in, err := inner(e.X)
		return shape{option: in}, err
	case *ast.ArrayType:
		if id, ok := e.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return shape{basic: binary}, nil
		}
		in, err := inner(e.Elt)
		return shape{list: in}, err
	case *ast.MapType:
		if key, ok := e.Key.(*ast.Ident); ok && key.Name == "string" {
			in, err := inner(e.Value)
			return shape{table: in}, err
		}
	}
	return shape{}, fmt.Errorf("the codec knows no such type; use string, int, int64, float64, bool, []byte, Raw, structs, lists, maps by string and pointers to those")
}

// sentence joins the first comment that there is into one line.
func sentence(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if words := strings.Fields(g.Text()); len(words) > 0 {
			return strings.Join(words, " ")
		}
	}
	return ""
}
