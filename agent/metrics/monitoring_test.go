package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// monitoring is where the dashboard and the alert rules lie.
var monitoring = filepath.Join("..", "..", "examples", "monitoring")

// exposed are all metrics of the agent with their labels, those too that have no series yet.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	descs := make(chan *prometheus.Desc, 1000)
	New(Version{}).registry.Describe(descs)
	close(descs)
	form := regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	out := map[string][]string{"up": nil} // Prometheus' own
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is of no form that is known", d)
		}
		labels := strings.Split(m[3], ",")
		for _, pair := range strings.Split(m[2], ",") {
			name, _, _ := strings.Cut(pair, "=")
			labels = append(labels, name)
		}
		out[m[1]] = labels
	}
	return out
}

var (
	metricName = regexp.MustCompile(`\b(?:up|(?:gitlab_runner|millwright|process|go)_[a-z0-9_]+)\b(?:\{([^}]*)\})?`)
	grouping   = regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
)

// checkExpression fails when a query names a metric that the agent lacks, or a label that none of its metrics has.
func checkExpression(t *testing.T, all map[string][]string, where, expr string) {
	t.Helper()
	known := []string{"instance", "job", "le", "__name__"}
	for _, found := range metricName.FindAllStringSubmatch(expr, -1) {
		name, _, _ := strings.Cut(found[0], "{")
		labels, there := all[name]
		if !there {
			labels, there = all[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")]
		}
		if !there {
			t.Errorf("%s: the agent has no metric %s", where, name)
			continue
		}
		known = append(known, labels...)
		for _, m := range matcher.FindAllStringSubmatch(found[1], -1) {
			if !slices.Contains(append([]string{"instance", "job", "le"}, labels...), m[1]) {
				t.Errorf("%s: %s has no label %s", where, name, m[1])
			}
		}
	}
	for _, found := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, label := range strings.Split(found[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(known, label) {
				t.Errorf("%s: none of its metrics has the label %s", where, label)
			}
		}
	}
}

// Whatever the dashboard asks for is there.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(monitoring, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	type panel struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	var d struct {
		Title, UID string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	all, ids, asked := exposed(t), map[int]bool{}, 0
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.Title == "" {
			t.Errorf("panel %d %q: its id, place or title is wrong", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			asked++
			checkExpression(t, all, p.Title, target.Expr)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
	}
	for _, v := range d.Templating.List {
		checkExpression(t, all, "variable "+v.Name, v.Definition)
	}
	for _, a := range d.Annotations.List {
		checkExpression(t, all, "annotation", a.Expr)
	}
	if asked < 30 || d.UID != "millwright" {
		t.Errorf("%d queries", asked)
	}
}

// Whatever the alert rules and their tests name is there.
func TestAlertNames(t *testing.T) {
	all := exposed(t)
	for _, file := range []string{"alerts.yml", "alerts_test.yml"} {
		text, err := os.ReadFile(filepath.Join(monitoring, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range strings.Split(string(text), "- alert: ")[1:] {
			name, rest, _ := strings.Cut(rule, "\n")
			_, expr, _ := strings.Cut(rest, "expr:")
			expr, _, _ = strings.Cut(expr, "labels:")
			checkExpression(t, all, name, expr)
		}
		for _, series := range regexp.MustCompile(`series: '([^']+)'`).FindAllStringSubmatch(string(text), -1) {
			checkExpression(t, all, file, series[1])
		}
	}
}

// promtool finds nothing wrong with the rules, and each fires when its test says so. There is a test of each.
func TestAlerts(t *testing.T) {
	promtool := need.Command(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, err := os.ReadFile(filepath.Join(monitoring, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(monitoring, "alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile(`(?m)alertname: ` + m[1] + `\n\s+exp_alerts:\n`).Match(tests) {
			t.Errorf("no test has %s fire", m[1])
		}
	}
}

// docs/monitoring.md names every metric of ours, and none that is not there.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := exposed(t)
	checkExpression(t, all, "docs/monitoring.md", string(text))
	for name := range all {
		if strings.HasPrefix(name, "millwright_") && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/monitoring.md says nothing of %s", name)
		}
	}
}
