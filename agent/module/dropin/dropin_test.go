package dropin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// A file comes, changes and goes, in each of the ways in which files do.
func TestWaysOfDroppingIn(t *testing.T) {
	w := newWorld(t)
	w.drop("early.wasm", wants(6))
	w.start()
	if n := w.decide().IdleTarget; n != 6 {
		t.Errorf("at the start %d are wanted, want 6", n)
	}
	w.remove("early.wasm")
	w.decides(5) // the built-in policies'

	t.Run("renamed into place", func(t *testing.T) {
		w.drop("a.wasm", wants(7))
		w.decides(7)
		w.drop("a.wasm", wants(8))
		w.decides(8)
		w.remove("a.wasm")
		w.decides(5)
	})
	t.Run("written in pieces", func(t *testing.T) {
		path, data := filepath.Join(w.policies, "pieces.wasm"), wants(9)
		w.write(path, data[:len(data)/2])
		w.logs("module refused") // it settled half-written
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data[len(data)/2:]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		w.decides(9)
		w.remove("pieces.wasm")
		w.decides(5)
	})
	t.Run("a link that is put elsewhere", func(t *testing.T) {
		// As Kubernetes does it: NAME.wasm -> ..data/NAME.wasm, ..data -> a folder of its own for each version.
		for version, data := range map[string][]byte{"..v1": wants(10), "..v2": wants(11)} {
			if err := os.Mkdir(filepath.Join(w.policies, version), 0o755); err != nil {
				t.Fatal(err)
			}
			w.write(filepath.Join(w.policies, version, "map.wasm"), data)
		}
		link := func(to, name string) {
			t.Helper()
			tmp := filepath.Join(w.policies, "..tmp")
			if err := os.Symlink(to, tmp); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(tmp, filepath.Join(w.policies, name)); err != nil {
				t.Fatal(err)
			}
		}
		link("..v1", "..data")
		link(filepath.Join("..data", "map.wasm"), "map.wasm")
		w.decides(10)
		link("..v2", "..data")
		w.decides(11)
		w.remove("map.wasm")
		w.decides(5)
	})
	t.Run("a module changes its name", func(t *testing.T) {
		w.drop("old.wasm", wants(12))
		w.decides(12)
		if err := os.Rename(filepath.Join(w.policies, "old.wasm"), filepath.Join(w.policies, "new.wasm")); err != nil {
			t.Fatal(err)
		}
		w.until("it has its new name", func() bool { return w.status(abi.KindPolicy, "new").Loaded && !w.status(abi.KindPolicy, "old").Loaded })
		w.remove("new.wasm")
		w.decides(5)
	})
	t.Run("touched, and the same", func(t *testing.T) {
		w.drop("same.wasm", wants(13))
		w.decides(13)
		w.drop("same.wasm", wants(13))
		w.drop("other.toml", nil) // no module
		w.drop("mark.wasm", wants(14))
		w.until("another is loaded", func() bool { return w.status(abi.KindPolicy, "mark").Loaded })
		if g := w.status(abi.KindPolicy, "same").Generation; g != 1 {
			t.Errorf("it has generation %d", g)
		}
	})
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	w.drop("a.toml", []byte(`{"Position":200}`))
	w.drop("a.wasm", wants(7))
	w.drop("b.wasm", wants(8)) // at 100, so a has the last word
	w.start()
	if n := w.decide().IdleTarget; n != 7 {
		t.Errorf("%d are wanted; position does not count", n)
	}
	w.drop("a.toml", []byte(`{"Runners":["deploy*"]}`))
	w.decides(8)
	w.drop("a.toml", []byte(`{"Runners":["bu*"],"Position":300}`))
	w.decides(7)
	w.drop("a.toml", []byte(`{"SHA256":"`+strings.Repeat("0", 64)+`"}`))
	w.logs("pins 0000")
	w.decides(7) // the generation before
	w.drop("a.toml", []byte(`{"Shadow":true}`))
	w.decides(8)
	w.until("the shadow is recorded", func() bool {
		w.decide()
		records := w.r.Records()
		shadows := records[len(records)-1].Shadows
		return len(shadows) == 1 && shadows[0].Module == "a" && *shadows[0].Proposal.IdleTarget == 7
	})
	w.remove("a.toml")
	w.drop("idlescale.wasm", wants(3)) // takes the built-in one's place, and so others come after it
	w.until("idlescale is replaced", func() bool {
		d := w.decide()
		return len(d.Steps) == 4 && d.Steps[1].Module == "idlescale" && *d.Steps[1].Proposal.IdleTarget == 3
	})
}

func TestBadFileKeepsTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.drop("a.wasm", wants(7))
	w.start()
	w.decide()
	describe := `{"abi":1,"kind":"policy","name":"tiny"}`
	withSchema := strings.TrimSuffix(describe, "}") + `,"config_schema":{"properties":{"sites":{"items":{"properties":{"most":{"minimum":0}}}}}}}`
	for name, tc := range map[string]struct {
		wasm []byte
		toml string
		want string
	}{
		"junk":              {[]byte("hello"), "", "is not WebAssembly"},
		"a trap":            {moduletest.TinyPolicy("a", moduletest.Trap), "", "tried on a fixture"},
		"a bad proposal":    {moduletest.TinyPolicy("a", `{"idle_target":-1}`), "", "is negative"},
		"a driver":          {moduletest.Tiny(map[string]string{"describe": `{"abi":1,"kind":"driver","name":"a"}`, "validate": "{}", "create": "{}", "list": "{}", "remove": "{}"}), "", "is a driver; put it into"},
		"settings are junk": {wants(9), "junk", "a.toml"},
		"an unknown zone":   {wants(9), `{"Config":{"sites":[{"time_zone":"Mars/Olympus"}]}}`, `a.toml: config.sites[0].time_zone: time zone "Mars/Olympus": it is not known; use an IANA name`},
		"its own check": {moduletest.Tiny(map[string]string{"describe": describe, "decide": `{"idle_target":9}`, "validate": `{"problems":[{"option":"url","message":"is missing"}]}`}),
			"", "config: url: is missing"},
		"its schema": {moduletest.Tiny(map[string]string{"describe": withSchema, "decide": `{"idle_target":9}`, "validate": moduletest.Trap}),
			`{"Config":{"sites":[{"most":-1}]}}`, "a.toml: config: sites[0].most: is -1; allowed is at least 0"},
		"a bad schema": {moduletest.Tiny(map[string]string{"describe": `{"abi":1,"kind":"policy","name":"tiny","config_schema":{"$ref":"#"}}`, "decide": `{}`}),
			"", `config_schema in describe: is not of the part of JSON Schema that ABI.md names: json: unknown field "$ref"`},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.toml != "" {
				w.drop("a.toml", []byte(tc.toml))
				defer w.remove("a.toml")
			}
			w.drop("a.wasm", tc.wasm)
			w.until("it is refused", func() bool { return strings.Contains(w.status(abi.KindPolicy, "a").Refused, tc.want) })
			if s := w.status(abi.KindPolicy, "a"); !s.Loaded || s.Generation != 1 {
				t.Errorf("it is %+v", s)
			}
			if n := w.decide().IdleTarget; n != 7 {
				t.Errorf("%d are wanted, want the old one's 7", n)
			}
		})
	}
	w.logs("the one before goes on")

	// At the next start the last good generation serves.
	w.drop("a.wasm", []byte("hello"))
	w.restart()
	if s := w.status(abi.KindPolicy, "a"); !s.Loaded || !s.Kept || !strings.Contains(s.Refused, "is not WebAssembly") || w.decide().IdleTarget != 7 {
		t.Errorf("after a restart it is %+v", s)
	}
	w.drop("a.wasm", wants(10))
	w.decides(10)
	if s := w.status(abi.KindPolicy, "a"); s.Generation != 2 || s.Kept || s.Refused != "" {
		t.Errorf("it is %+v", s)
	}
}

// A required policy that can't be loaded stops growth rather than being left out.
func TestRequired(t *testing.T) {
	w := newWorld(t)
	w.drop("cap.toml", []byte(`{"Required":true}`))
	w.drop("cap.wasm", []byte("hello"))
	w.start()
	if d := w.decide(); !d.NoGrowth || !strings.Contains(d.Reason, "cap: module cap.wasm: is not WebAssembly") {
		t.Errorf("decided %+v", d)
	}
	w.drop("cap.wasm", wants(2))
	w.decides(2)
	if d := w.decide(); d.NoGrowth {
		t.Errorf("decided %+v", d)
	}
	w.remove("cap.wasm")
	w.until("it is missed", func() bool { return w.decide().NoGrowth })
	if d := w.decide(); !strings.Contains(d.Reason, "cap.toml: there is no cap.wasm beside it") {
		t.Errorf("decided %+v", d)
	}
	if s := w.status(abi.KindPolicy, "cap"); s.Loaded || !s.Required || !strings.Contains(s.Refused, "there is no cap.wasm") {
		t.Errorf("it is %+v", s)
	}
	w.remove("cap.toml")
	w.until("it is not missed any more", func() bool { return !w.decide().NoGrowth })
}

// Settings without a module are told, and nothing comes of them.
func TestSettingsAlone(t *testing.T) {
	w := newWorld(t)
	w.drop("a.toml", []byte(`{"Position":30}`))
	w.start()
	w.logs("module missing")
	w.decides(5)
	w.drop("a.wasm", wants(7))
	w.decides(7)
	w.remove("a.wasm")
	w.decides(5)
	if n := strings.Count(w.log.String(), "module missing"); n != 2 {
		t.Errorf("it is told %d times:\n%s", n, w.log)
	}
	w.drop("a.wasm", wants(7))
	w.decides(7)
}

// Check tells all that is wrong in the folders, and puts nothing to work.
func TestCheck(t *testing.T) {
	w := newWorld(t)
	w.drop("good.wasm", wants(7))
	w.drop("good.toml", []byte(`{"Position":30}`))
	if found := dropin.Check(t.Context(), w.options()); len(found) > 0 {
		t.Errorf("of good files: %v", found)
	}
	w.drop("alone.toml", []byte(`{}`))
	w.drop("bad.wasm", []byte("hello"))
	w.drop("cap.toml", []byte(`{"Required":true}`))
	w.drop("Odd.wasm", wants(1))
	w.drop("typo.wasm", wants(1))
	w.drop("typo.toml", []byte(`{`))
	var got []string
	for _, p := range dropin.Check(t.Context(), w.options()) {
		got = append(got, fmt.Sprint(p.Warning, " ", strings.ReplaceAll(p.Message, w.policies+string(os.PathSeparator), "")))
	}
	want := []string{
		"false Odd.wasm: a module's file is named in ", "true alone.toml: there is no alone.wasm beside it", "false module bad.wasm: is not WebAssembly",
		"false cap.toml: there is no cap.wasm beside it", "false typo.toml: ",
	}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if log := w.log.String(); log != "" {
		t.Errorf("it logs %s", log)
	}
}

func TestRollback(t *testing.T) {
	w := newWorld(t)
	w.drop("a.wasm", wants(7))
	w.start()
	if _, err := w.m.Rollback(t.Context(), abi.KindPolicy, "a"); err == nil || !strings.Contains(err.Error(), "there is no generation before 1") {
		t.Errorf("got %v", err)
	}
	if _, err := w.m.Rollback(t.Context(), abi.KindPolicy, "none"); err == nil || !strings.Contains(err.Error(), "there is none in the folder") {
		t.Errorf("got %v", err)
	}
	for _, n := range []int{8, 9} {
		w.drop("a.wasm", wants(n))
		w.decides(n)
	}
	for _, want := range []int{8, 7} {
		if _, err := w.m.Rollback(t.Context(), abi.KindPolicy, "a"); err != nil {
			t.Fatal(err)
		}
		w.decides(want)
	}
	w.restart()
	if s := w.status(abi.KindPolicy, "a"); w.decide().IdleTarget != 7 || s.Generation != 1 || !strings.Contains(s.Refused, "rolled back to generation 1") {
		t.Errorf("after a restart it is %+v", s)
	}
	w.drop("a.wasm", wants(10))
	w.decides(10)
}

// A module that passes every trial and fails later is quarantined, until its file changes.
func TestQuarantine(t *testing.T) {
	w := newWorld(t)
	w.drop("worn.toml", []byte(`{"Config":{"do":"count","times":2}}`))
	w.drop("worn.wasm", guests.Wasm(t, "agent/module/testdata/probe"))
	w.grants = map[string]dropin.Grant{"worn": {Hostnames: []string{"http://127.0.0.1:*"}}}
	w.start()
	w.until("it is quarantined", func() bool {
		w.decide()
		return strings.Contains(w.status(abi.KindPolicy, "worn").Quarantined["build"], "worn out")
	})
	w.drop("worn.toml", []byte(`{"Config":{"do":"propose","then":{"idle_target":9}}}`))
	w.decides(9)
	if s := w.status(abi.KindPolicy, "worn"); len(s.Quarantined) > 0 || s.Errors < module.MaxFailures {
		t.Errorf("it is %+v", s)
	}
}

func TestGrants(t *testing.T) {
	w := newWorld(t)
	greedy := moduletest.Tiny(map[string]string{
		"describe": `{"abi":1,"kind":"policy","name":"queue","hostnames":["https://gitlab.example.com"]}`, "decide": `{"idle_target":7}`,
		"observe": `{"pending":3}`,
	})
	grants := func(g map[string]dropin.Grant) {
		w.mu.Lock()
		w.grants = g
		w.mu.Unlock()
		w.write(filepath.Join(w.state, "millwright.toml"), []byte(time.Now().String()))
	}
	w.drop("queue.wasm", greedy)
	w.start()
	lines := "[grants.queue]\nhostnames = [\"https://gitlab.example.com\"]"
	if s := w.status(abi.KindPolicy, "queue"); s.Loaded || !strings.HasSuffix(s.Refused, "put these lines into "+w.state+"/millwright.toml:\n"+lines) {
		t.Errorf("it is %+v", s)
	}
	grants(map[string]dropin.Grant{"queue": {Hostnames: []string{"https://other.example.com"}}})
	w.until("what is granted stays in the lines", func() bool {
		return strings.Contains(w.status(abi.KindPolicy, "queue").Refused, `hostnames = ["https://other.example.com", "https://gitlab.example.com"]`)
	})
	grants(map[string]dropin.Grant{"queue": {Hostnames: []string{"https://*.example.com"}}})
	w.decides(7)
	w.until("it has observed", func() bool { return !w.status(abi.KindPolicy, "queue").ObservedAt.IsZero() })
	grants(nil)
	w.decides(5)
	if s := w.status(abi.KindPolicy, "queue"); s.Loaded {
		t.Errorf("without its grant it is %+v", s)
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such permissions")
	}
	w := newWorld(t)
	chmod := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	w.drop("a.wasm", wants(7))
	chmod(w.policies, 0o775)
	w.start()
	_, problems := w.m.Status()
	if n := w.decide().IdleTarget; n != 5 || len(problems) != 1 || !strings.Contains(problems[0], "policies.d: group or others can write it (mode 0775), so it is ignored; run chmod go-w") {
		t.Errorf("%d are wanted, problems %q", n, problems)
	}
	chmod(w.policies, 0o755)
	w.decides(7)
	chmod(w.policies, 0o777) // what is loaded stays, and nothing else comes
	w.drop("b.wasm", wants(8))
	w.until("it is reported", func() bool { _, p := w.m.Status(); return len(p) == 1 })
	if n := w.decide().IdleTarget; n != 7 {
		t.Errorf("%d are wanted", n)
	}
	chmod(w.policies, 0o755)
	w.decides(8)

	w.drop("c.wasm", wants(9))
	chmod(filepath.Join(w.policies, "c.wasm"), 0o666)
	w.until("the file is refused", func() bool { return strings.Contains(w.status(abi.KindPolicy, "c").Refused, "(mode 0666)") })
	w.drop("Upper.wasm", wants(9))
	w.until("a bad name is reported", func() bool { _, p := w.m.Status(); return len(p) == 1 && strings.Contains(p[0], "lower case") })
}

// What policies remember outlives reloads, restarts and the module's absence.
func TestStatesAreKept(t *testing.T) {
	w := newWorld(t)
	w.drop("a.wasm", moduletest.TinyPolicy("a", `{"idle_target":7,"state":"remembered"}`))
	w.start()
	w.decides(7)
	w.restart()
	w.drop("a.wasm", wants(8))
	w.decides(8)
	w.restart()
	if got := string(readAll(t, w.state)); !strings.Contains(got, `"a":"remembered"`) {
		t.Errorf("kept is %s", got)
	}
}

func readAll(t *testing.T, state string) []byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(state, "runners", "*", "states.json"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("states lie in %v, %v", paths, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A driver stays loaded without its file as long as it is in use, over a restart too.
func TestDriverOutlivesItsFile(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.drivers, "cloud.wasm")
	w.write(path, moduletest.Tiny(map[string]string{"describe": `{"abi":1,"kind":"driver","name":"cloud"}`, "validate": "{}", "create": "{}", "list": "{}", "remove": "{}"}))
	w.inUse = true
	w.start()
	loaded := func() bool {
		_, release, ok := w.m.Driver("cloud")
		if ok {
			release()
		}
		return ok
	}
	if !loaded() {
		t.Fatal("it is not loaded")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.logs("driver stays loaded")
	w.restart()
	if loaded() {
		t.Error("it is loaded though nobody asked")
	}
	if err := w.m.Revive(t.Context(), "cloud"); err != nil || !loaded() {
		t.Errorf("it is not revived: %v", err)
	}
	if err := w.m.Revive(t.Context(), "unheard-of"); err == nil {
		t.Error("a driver that never was is revived")
	}
	w.mu.Lock()
	w.inUse = false
	w.mu.Unlock()
	w.until("it is unloaded", func() bool { return !loaded() })
}
