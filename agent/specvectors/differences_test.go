package specvectors_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/specvectors"
)

// flaws is how many known flaws concern docker+machine.
const flaws = 38

func differences(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs", "differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDifferencesAreTold wants docs/differences.md to name each vector that Millwright answers otherwise than GitLab Runner does, and
// each known flaw.
func TestDifferencesAreTold(t *testing.T) {
	text := differences(t)
	told := map[string]bool{}
	for _, id := range regexp.MustCompile(`\b[VPDSB]\d+\b`).FindAllString(text, -1) {
		told[id] = true
	}
	for _, v := range specvectors.All() {
		if v.Today != "" && !told[v.ID] {
			t.Errorf("docs/differences.md does not name %s: today %s", v.Name(), v.Today)
		}
	}
	for n := 1; n <= flaws; n++ {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| F%d \|.*\bTest\w+.*$`, n))
		if !row.MatchString(text) {
			t.Errorf("docs/differences.md has no row F%d with a test as its proof", n)
		}
	}
}

// proofs are a package and the tests of it that a row names.
var proofs = regexp.MustCompile("`([a-z][a-z/]+)`((?:,? Test\\w+(?: \\([^)]*\\))?)+)")

// TestProofsExist wants every test that docs/differences.md names.
func TestProofsExist(t *testing.T) {
	found := 0
	for _, m := range proofs.FindAllStringSubmatch(differences(t), -1) {
		have := functions(t, m[1])
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(m[2], -1) {
			if found++; !have[name] {
				t.Errorf("docs/differences.md names %s of %s, which is not there", name, m[1])
			}
		}
	}
	if found < flaws {
		t.Errorf("%d proofs found only", found)
	}
}

// functions are the names of the tests of a package.
func functions(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
