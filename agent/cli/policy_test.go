package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// command runs a command line in this process and returns what it printed.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	a := newApp("millwright", &out, &out)
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// moduleFiles writes modules and what goes with them into a folder, and returns it.
func moduleFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	policy := func(decide, validate string) []byte {
		return moduletest.Tiny(map[string]string{
			"describe": `{"abi":1,"kind":"policy","name":"burst","version":"1.2.3","summary":"more","hostnames":["https://gitlab.example.com"],"want_history":{"points":24,"step_s":3600},"config_schema":{"properties":{"most":{"type":"integer","minimum":0,"default":3,"description":"machines"}}}}`,
			"decide":   decide, "validate": validate,
		})
	}
	for name, data := range map[string][]byte{
		"good.wasm":   policy(`{"idle_target":3,"reason":"three are enough"}`, `{"problems":[]}`),
		"trap.wasm":   policy(moduletest.Trap, `{"problems":[]}`),
		"picky.wasm":  policy(`{}`, `{"problems":[{"option":"url","message":"is missing"}]}`),
		"junk.wasm":   []byte("hello"),
		"driver.wasm": moduletest.Tiny(map[string]string{"describe": `{"abi":1,"kind":"driver","name":"cloud","options":[{"name":"cloud-zone","type":"string","env":"CLOUD_ZONE","default":"a","required":true,"help":"where"}]}`, "validate": `{}`, "create": `{}`, "list": `{}`, "remove": `{}`}),
		"much.wasm":   policy(`{"idle_target":1000,"max_builds":1000,"settings":{"idle_count":7},"reason":"much"}`, `{"problems":[]}`),
		"silent.wasm": policy(`{"idle_target":3}`, `{"problems":[]}`),
		"more.wasm":   policy(`{"idle_target":5000000,"reason":"more"}`, `{"problems":[]}`),
		"snap.json":   []byte(`{"abi":1,"runner":{"name":"r"}}`),
		"broken.toml": []byte("factr = 1"),
		"vectors.d/cases.json": []byte(`[{"about":"one","input":{},"output":{"reason":"three are enough","idle_target":3}},
			{"name":"two","policy":"burst","input":"{}","expect":"{\"idle_target\":3,\"reason\":\"three are enough\"}"},
			{"name":"three","policy":"periods","input":"{}","expect":"{}"}]`),
		"wrong.d/cases.json": []byte(`[{"about":"four","input":{},"output":{"idle_target":4}}]`),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestModuleFiles(t *testing.T) {
	dir := moduleFiles(t)
	for _, tc := range []struct {
		args, want string
		fails      bool
	}{
		{"policy inspect good.wasm", "hostnames  https://gitlab.example.com", false},
		{"policy inspect good.wasm", "history    wants 24 steps of 3600 s", false},
		{"policy inspect good.wasm", "most  a whole number, at least 0  3        machines", false},
		{"policy inspect --json good.wasm", `"version": "1.2.3"`, false},
		{"policy inspect driver.wasm", "is a driver; see `millwright driver --help`", true},
		{"policy inspect junk.wasm", "is not WebAssembly", true},
		{"policy inspect none.wasm", "none.wasm", true},
		{"policy inspect", "takes one argument", true},
		{"driver inspect driver.wasm", "create, list, remove", false},
		{"policy run good.wasm", "three are enough", false},
		{"policy run good.wasm --snapshot snap.json", `"idle_target": 3`, false},
		{"policy run good.wasm --snapshot junk.wasm", "is no snapshot", true},
		{"policy run trap.wasm", "trap: unreachable", true},
		{"policy run good.wasm --module-config snap.json", "three are enough", false},
		{"policy run good.wasm --module-config broken.toml", "factr: unknown key", true},
		{"policy test good.wasm", "ok    the same: to the byte", false},
		{"policy test good.wasm", "a working day                 idle_target 3  -            three are enough", false},
		{"policy test good.wasm --json", `"snapshot": "jobs wait"`, false},
		{"policy test good.wasm --vectors vectors.d", "ok    vectors: 2 of 2; 1 are for others", false},
		{"policy test good.wasm --vectors wrong.d", "FAIL  cases.json: four: \n got {\"idle_target\":3", true},
		{"policy test good.wasm --vectors none.d", "holds no case", true},
		{"policy test much.wasm", "create: 995 became 4: MaxGrowthRate is 5 and 1 machines are being created", false},
		{"policy test much.wasm", "max_builds: 1000 became 100: policies may only tighten MaxBuilds, which is 100", false},
		{"policy test more.wasm", "idle_target: 5000000 became 1000000: no number of a proposal counts for more than 1000000", false},
		{"policy test silent.wasm", "FAIL  valid: a working day: it proposes a target without a reason", true},
		{"policy test trap.wasm", "FAIL  valid: a working day: burst: decide: trap: unreachable", true},
		{"policy test picky.wasm", "FAIL  accepts its configuration: url: is missing", true},
		{"policy bench good.wasm -n 10", "DECISIONS  P50", false},
	} {
		t.Run(tc.args, func(t *testing.T) {
			args := strings.Fields(tc.args)
			for i, a := range args {
				if ext := filepath.Ext(a); ext != "" {
					args[i] = filepath.Join(dir, a)
				}
			}
			out, err := command(t, args...)
			if text := out + fmt.Sprint(err); (err != nil) != tc.fails || !strings.Contains(text, tc.want) {
				t.Errorf("got %v and\n%s\nwant %q", err, out, tc.want)
			}
		})
	}
}

func TestDriverOptions(t *testing.T) {
	files, dir := moduleFiles(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "drivers.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(files, "driver.wasm"), filepath.Join(dir, "drivers.d", "cloud.wasm")); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "driver", "options", "cloud", "--config", filepath.Join(dir, "config.toml"), "--state-dir", dir)
	// Its environment variable is not shown: the environment is read for built-in drivers only.
	if err != nil || !strings.Contains(out, "cloud-zone  string, required  -    a        where") {
		t.Errorf("got %v and\n%s", err, out)
	}
}

// TestDriverOptionsOfNone checks that a wrong name is answered with drivers, and never with policies.
func TestDriverOptionsOfNone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"nosuch", "idlescale"} {
		_, err := command(t, "driver", "options", name, "--config", filepath.Join(dir, "config.toml"), "--state-dir", dir)
		_, known, listed := strings.Cut(fmt.Sprint(err), "there is none of that name; known: ")
		if err == nil || listed && (!strings.Contains(known, "google") || strings.Contains(known, "periods")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPolicyWithoutAgent(t *testing.T) {
	for _, args := range []string{"policy ls", "policy explain", "policy reload", "policy rollback a"} {
		out, err := command(t, append(strings.Fields(args), "--state-dir", t.TempDir())...)
		if err == nil || !strings.Contains(err.Error(), "no agent is running") {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

func TestPrintModulesAndExplanation(t *testing.T) {
	now := time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	a := newApp("millwright", &out, &out)
	err := a.printModules(supervisor.ModuleList{
		Modules: []dropin.Status{
			{Kind: "policy", Name: "periods", Builtin: true, Loaded: true, ABI: 1, Position: 10, Calls: 7, SHA256: strings.Repeat("ab", 32),
				Reasons: map[string]string{"build": "no period is active"}},
			{Kind: "driver", Name: "docker", Builtin: true},
			{Kind: "policy", Name: "burst", Loaded: true, Generation: 3, Version: "1.2", Position: 100, Runners: []string{"build"}, Since: now.Add(-time.Minute),
				Quarantined: map[string]string{"build": "boom"}, Failing: map[string]string{"build": "boom"}, Refused: "is not WebAssembly"},
		},
		Problems: []string{"policies.d: group or others can write it"},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	a.printExplanation(supervisor.Explanation{Runner: "build", Counts: abi.Counts{Idle: 2, Total: 2}, Decisions: []supervisor.DecisionView{{
		First: now, Last: now.Add(time.Minute), Times: 60, IdleTarget: 3, Reason: "three",
		Steps:   []supervisor.StepView{{Policy: "periods", TookMS: 0.2}, {Policy: "burst", Proposal: abi.Proposal{IdleTarget: &three, Reason: "three"}, TookMS: 0.1, Fuel: 1234}, {Policy: "cap", Error: "cap: boom"}},
		Shadows: []supervisor.StepView{{Policy: "next", Proposal: abi.Proposal{MaxBuilds: &three}}},
		Rails:   []fleet.Rail{{Name: "create", Wanted: 3, Got: 1, Reason: "limit is 3 and there are 2 machines"}},
	}}})
	off := false
	a.printExplanation(supervisor.Explanation{Runner: "fleet", Decisions: []supervisor.DecisionView{{IdleTarget: 3, Reason: "three",
		Steps: []supervisor.StepView{{Policy: "instances", Proposal: abi.Proposal{IdleSlots: &three, Preemptive: &off}}}}}})
	for _, want := range []string{
		": 3 free slots wanted: three", "instances      idle_slots 3, preemptive false (0.0 ms",
		"periods   works         built in     -         1     10         all       7", "burst     quarantined   3            1.2       -     100        build",
		"abababababab   no period is active", "docker    not used      built in     -         -     -          -         0",
		"burst: the file is not used: is not WebAssembly", "burst: skipped for the runner build: boom", "policies.d: group or others can write it",
		"runner build: 2 machines: 0 creating, 2 idle", "60 times: 3 idle machines wanted: three", "burst          idle_target 3: three (0.1 ms, fuel 1234)",
		"cap            skipped: cap: boom", "next           (shadow) max_builds 3 (0.0 ms, fuel 0)", "guard rail     create: 3 became 1: limit is 3 and there are 2 machines",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}
