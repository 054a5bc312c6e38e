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

// row matches what a row of a table says last.
var row = regexp.MustCompile(`^\|.*\| ([^|]*) \|$`)

// proofs are a package, and its tests and scripts, that a row names: `agent/pool` TestOne (a case), TestTwo, script three.
var (
	proofs = regexp.MustCompile("^`([a-z][a-z0-9/-]*)` ((?:Test\\w+(?: \\([^)]*\\))?|script [a-z-]+)(?:, (?:Test\\w+(?: \\([^)]*\\))?|script [a-z-]+))*)(?:[,;] |$)")
	proof  = regexp.MustCompile(`Test\w+|script [a-z-]+`)
	cases  = regexp.MustCompile(`\([^)]*\)`)
)

// TestProofsExist wants every row of docs/differences.md to name tests or scripts, each of which is there. One may say "same" as the row before.
func TestProofsExist(t *testing.T) {
	rows, before, known := 0, false, map[string]map[string]bool{}
	for n, line := range strings.Split(differences(t), "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil || m[1] == "Shown by" || m[1] == "Proof" || strings.Trim(m[1], "-") == "" {
			before = before && m != nil
			continue
		}
		rows++
		if m[1] == "same" && before {
			continue
		}
		before = true
		for rest := m[1]; rest != ""; {
			named := proofs.FindStringSubmatch(rest)
			if named == nil {
				t.Errorf("docs/differences.md, line %d: %q is no proof; name the package in backquotes, and its tests or scripts", n+1, rest)
				break
			}
			rest = rest[len(named[0]):]
			if known[named[1]] == nil {
				known[named[1]] = functions(t, named[1])
			}
			checkProofs(t, n+1, named[1], known[named[1]], cases.ReplaceAllString(named[2], ""))
		}
	}
	if rows < 200 {
		t.Errorf("%d rows found only", rows)
	}
}

// checkProofs wants the tests, which are those that the package has, and scripts of it that a line names.
func checkProofs(t *testing.T, line int, folder string, have map[string]bool, named string) {
	t.Helper()
	for _, name := range proof.FindAllString(named, -1) {
		there := have[name]
		if script, ok := strings.CutPrefix(name, "script "); ok {
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(folder), "testdata", "script", script+".txtar"))
			there = err == nil
		}
		if !there {
			t.Errorf("docs/differences.md, line %d, names %s of %s, which is not there", line, name, folder)
		}
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
