package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millwright-ci/millwright/"

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

// TestImports checks every package against the table of rules: its imports inside the project, and the libraries that it may use.
func TestImports(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		rule, ok := find(name)
		if !ok {
			t.Errorf("%s has no row in the import table; add one to rules.go with what it is for", name)
			continue
		}
		for _, imp := range p.Imports {
			if standard(imp) {
				continue
			}
			if inner, ok := strings.CutPrefix(imp, module); ok {
				if !rule.may(name, inner) {
					t.Errorf("%s must not import %s: %s", name, inner, rule.why)
				}
				continue
			}
			if !matchAny(rule.libraries, imp) {
				t.Errorf("%s must not import %s: its libraries are %v; %s", name, imp, rule.libraries, rule.why)
			}
		}
	}
}

// TestNeverReaches checks what a package may not reach even through others.
func TestNeverReaches(t *testing.T) {
	packages := list(t)
	for _, r := range never {
		for _, p := range packages {
			if !match(r.pkg, strings.TrimPrefix(p.ImportPath, module)) {
				continue
			}
			for _, dep := range p.Deps {
				if matchAny(r.reaches, strings.TrimPrefix(dep, module)) {
					t.Errorf("%s reaches %s: %s", r.pkg, dep, r.why)
				}
			}
		}
	}
}

// TestEveryPackageSaysWhatItIsFor checks that a doc comment stands at every door.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	cmd := exec.Command("go", "list", "-f", `{{if and .GoFiles (not .Doc)}}{{.ImportPath}}{{end}}`, module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(explain(err))
	}
	for _, p := range strings.Fields(string(out)) {
		if !strings.HasSuffix(p, "/archtest") {
			t.Errorf("%s has no package comment: say what it owns and whom it serves", p)
		}
	}
}

// TestPure checks that what decides has no I/O, no randomness and no clock: time enters as an argument.
func TestPure(t *testing.T) {
	for _, name := range purePackages {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(name), "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no Go files (%v)", name, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			checkPure(t, file)
		}
	}
}

func checkPure(t *testing.T, file string) {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, imp := range tree.Imports {
		if path := strings.Trim(imp.Path.Value, `"`); slices.Contains(impureImports, path) {
			t.Errorf("%s imports %s: it must stay pure", fset.Position(imp.Pos()), path)
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clockFunctions, sel.Sel.Name) {
			t.Errorf("%s reads the clock by time.%s: take the time as an argument", fset.Position(sel.Pos()), sel.Sel.Name)
		}
		return true
	})
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,Standard", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(explain(err))
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func explain(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return err.Error()
}

func find(name string) (rule, bool) {
	for _, r := range rules {
		if match(r.pkg, name) {
			return r, true
		}
	}
	return rule{}, false
}

func (r rule) may(name, imp string) bool {
	// A package and what lies below it belong together.
	if strings.HasPrefix(imp, name+"/") || strings.HasPrefix(name, imp+"/") {
		return true
	}
	return matchAny(r.inner, imp)
}

func matchAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, s) })
}

// match takes an exact path, or a prefix that ends in "/...", which also matches the prefix itself.
func match(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return s == prefix || strings.HasPrefix(s, prefix+"/")
	}
	return pattern == s
}

// standard tells a standard library path, whose first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
