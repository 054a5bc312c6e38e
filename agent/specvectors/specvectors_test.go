package specvectors_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/hostfuncs/vectors"
)

const root = "../.."

// TestEveryVectorIsRun lists the vectors that no test runs. Who calls Run runs all of a family for a tag, and Run itself fails when a
// value is not asserted, so it is enough to look for the calls: each family and tag of the table wants one in a test that always runs.
func TestEveryVectorIsRun(t *testing.T) {
	runs := calls(t)
	for _, v := range specvectors.All() {
		if len(v.Want) == 0 {
			t.Errorf("%s has no tag", v.Name())
		}
		for tag, want := range v.Want {
			if len(want) == 0 {
				t.Errorf("%s expects nothing of the %s", v.Name(), tag)
			}
			if f := family(v.ID); !runs[run{f, string(tag)}] {
				t.Errorf("%s (%s): nobody runs it; a test must call specvectors.Run for the %s tagged %s", v.Name(), v.What, f, tag)
			}
		}
	}
}

// run is a call of Run by what stands in the code.
type run struct{ family, tag string }

func family(id string) string {
	if id == "A24" {
		return "throttles"
	}
	return map[byte]string{'V': "passes", 'P': "periods", 'D': "examples", 'S': "sequences", 'B': "sequences", 'A': "instances"}[id[0]]
}

// calls finds the calls of Run in tests of the whole repository.
func calls(t *testing.T) map[run]bool {
	t.Helper()
	found := map[run]bool{}
	for _, file := range tests(t) {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if constrained(tree) {
			continue
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok && len(c.Args) == 4 && ours(c.Fun) == "Run" {
					found[run{strings.ToLower(ours(c.Args[1])), strings.ToLower(ours(c.Args[2]))}] = true
				}
				return true
			})
		}
	}
	return found
}

// constrained tells whether a build constraint may leave the file out.
func constrained(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:build") {
				return true
			}
		}
	}
	return false
}

// ours is the name of what e selects from this package, or "".
func ours(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "specvectors" {
			return s.Sel.Name
		}
	}
	return ""
}

// tests returns the test files of the repository's Go code.
func tests(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, folder := range []string{"agent", "hostfuncs", "policies", "providers", "sdk/go"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "testdata") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestNoNumberIsMissing has the numbers without a gap, each vector under a name of its own.
func TestNoNumberIsMissing(t *testing.T) {
	names, ids := map[string]bool{}, map[string]bool{}
	for _, v := range specvectors.All() {
		if names[v.Name()] {
			t.Errorf("%s is there twice", v.Name())
		}
		names[v.Name()], ids[v.ID] = true, true
	}
	for letter, last := range map[string]int{"V": 51, "P": 24, "D": 6, "S": 10, "B": 4, "A": 24} {
		for n := 1; n <= last; n++ {
			if id := fmt.Sprint(letter, n); !ids[id] {
				t.Errorf("%s is not in the table", id)
			}
		}
	}
}

// TestABIVectors holds the examples that the SDKs of all languages pass against the table: they name vectors that there are, and leave
// out no period.
func TestABIVectors(t *testing.T) {
	named := map[string]bool{}
	for _, policy := range []string{"periods", "idlescale", "instances"} {
		all, err := vectors.Policies(policy)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			for _, id := range v.Spec {
				named[id] = true
			}
		}
	}
	for _, v := range specvectors.All() {
		if v.ID[0] == 'P' && !named[v.ID] {
			t.Errorf("%s has no example in hostfuncs/vectors", v.ID)
		}
	}
	for id := range named {
		if !known(id) {
			t.Errorf("hostfuncs/vectors names %s, which is not in the table", id)
		}
	}
}

func known(id string) bool {
	for _, v := range specvectors.All() {
		if v.ID == id {
			return true
		}
	}
	return false
}
