package fakecloud_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

func TestLedger(t *testing.T) {
	var file bytes.Buffer
	c := start(t, fakecloud.Options{Ledger: &file, Settings: fakecloud.Settings{Quota: 1}})
	for _, do := range []struct{ method, path, body string }{
		{"POST", "/v1/instances", `{"name":"a","tags":{"owner":"o"}}`},
		{"POST", "/v1/instances", `{"name":"a"}`},
		{"POST", "/v1/instances", `{"name":"b"}`},
		{"GET", "/v1/instances?tag=owner:o", ""},
		{"GET", "/v1/instances/a", ""},
		{"DELETE", "/v1/instances/a?id=i-000009", ""},
		{"DELETE", "/v1/instances/a?id=i-000001", ""},
		{"DELETE", "/v1/instances/a", ""},
		{"POST", "/v1/instances", `{"name":"a"}`},
		{"POST", "/v1/instances", `junk`},
	} {
		call(t, c, do.method, do.path, do.body)
	}
	if err := c.Act("a", fakecloud.Vanish, 0); err != nil {
		t.Fatal(err)
	}
	type line struct {
		What, ID string
		Status   int
		Code     string
		Count    int
		Why      string
	}
	var got []line
	for _, e := range c.Ledger(0) {
		got = append(got, line{e.What, e.ID, e.Status, e.Code, e.Count, e.Why})
	}
	want := []line{
		{What: "made", ID: "i-000001"}, {What: "create", ID: "i-000001", Status: 201},
		{What: "create", Status: 409, Code: fakecloud.CodeTaken},
		{What: "create", Status: 403, Code: fakecloud.CodeQuota},
		{What: "list", Status: 200, Count: 1},
		{What: "get", ID: "i-000001", Status: 200},
		{What: "remove", Status: 409, Code: fakecloud.CodeTaken},
		{What: "gone", ID: "i-000001", Why: "removed"}, {What: "remove", ID: "i-000001", Status: 202},
		{What: "remove", Status: 404, Code: fakecloud.CodeNotFound},
		{What: "made", ID: "i-000002"}, {What: "create", ID: "i-000002", Status: 201},
		{What: "create", Status: 400, Code: fakecloud.CodeInvalid},
		{What: "gone", ID: "i-000002", Why: "vanished"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	s := c.Summary()
	if diff := cmp.Diff(fakecloud.Summary{Live: []fakecloud.Instance{}, Made: 2, Twice: []string{"a"},
		Calls: map[string]int{"create": 5, "list": 1, "get": 1, "remove": 3}}, s); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if lines := strings.Count(file.String(), "\n"); lines != len(want) {
		t.Errorf("the file has %d lines, want %d", lines, len(want))
	}
	if since := c.Ledger(12); len(since) != 2 || since[0].Seq != 13 {
		t.Errorf("after 12: %+v", since)
	}
}

func TestCallersAreHeldToTheirLimits(t *testing.T) {
	c := start(t, fakecloud.Options{Settings: fakecloud.Settings{Token: "secret", CallsPerS: 1}})
	if status, _, body := call(t, c, "GET", "/v1/instances", ""); status != http.StatusUnauthorized || !strings.Contains(body, fakecloud.CodeAuth) {
		t.Errorf("without a token: %d %s", status, body)
	}
	c.Configure(fakecloud.Settings{CallsPerS: 1})
	until(t, "the second call in a second is refused", func() bool {
		call(t, c, "GET", "/v1/instances", "")
		status, header, _ := call(t, c, "GET", "/v1/instances", "")
		return status == http.StatusTooManyRequests && header.Get("Retry-After") == "1"
	})
}

// A list may lag behind what was asked for; looking at one machine does not.
func TestListsLag(t *testing.T) {
	c := start(t, fakecloud.Options{Settings: fakecloud.Settings{LagMS: 3_600_000}})
	call(t, c, "POST", "/v1/instances", `{"name":"a"}`)
	if _, _, body := call(t, c, "GET", "/v1/instances", ""); strings.Contains(body, `"a"`) {
		t.Errorf("the list shows at once: %s", body)
	}
	if status, _, _ := call(t, c, "GET", "/v1/instances/a", ""); status != http.StatusOK {
		t.Errorf("look at one: %d", status)
	}
	const lag = 500 * time.Millisecond
	c.Configure(fakecloud.Settings{LagMS: int(lag.Milliseconds())})
	shows := func() bool {
		_, _, body := call(t, c, "GET", "/v1/instances", "")
		return strings.Contains(body, `"a"`)
	}
	until(t, "the list shows it", shows)
	began := time.Now()
	call(t, c, "DELETE", "/v1/instances/a", "")
	if !shows() && time.Since(began) < lag {
		t.Error("the list forgets at once")
	}
	until(t, "the list forgets it", func() bool { return !shows() })
}

func TestCoursesOfMachines(t *testing.T) {
	c := start(t, fakecloud.Options{Settings: fakecloud.Settings{BootMS: 50, RemoveMS: 50}})
	status := func() string {
		_, _, body := call(t, c, "GET", "/v1/instances/a", "")
		var i fakecloud.Instance
		if err := json.Unmarshal([]byte(body), &i); err != nil {
			t.Fatal(err)
		}
		if (i.Address != "") != (i.Status != fakecloud.Provisioning && i.Status != "") {
			t.Errorf("%s at the address %q", i.Status, i.Address)
		}
		return string(i.Status)
	}
	call(t, c, "POST", "/v1/instances", `{"name":"a"}`)
	until(t, "it runs", func() bool { return status() == "running" })
	call(t, c, "DELETE", "/v1/instances/a", "")
	until(t, "it is gone", func() bool { return status() == "" })

	call(t, c, "POST", "/v1/instances", `{"name":"a","spot":true}`)
	until(t, "it runs", func() bool { return status() == "running" })
	if err := c.Act("a", fakecloud.Interrupt, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	until(t, "it is taken back", func() bool { return status() == "" })
	call(t, c, "POST", "/v1/instances", `{"name":"b","expires_at":"`+time.Now().Add(50*time.Millisecond).Format(time.RFC3339Nano)+`"}`)
	until(t, "the machine with an end of its own is gone", func() bool { return len(names(c)) == 0 })
	last := c.Ledger(0, fakecloud.FactGone)
	if why := last[len(last)-1].Why; why != "expired" {
		t.Errorf("it went because it was %s", why)
	}
	last = last[:len(last)-1]
	if why := last[len(last)-1].Why; why != "preempted" || c.Act("a", fakecloud.Stop, 0) == nil || c.Act("a", "dance", 0) == nil {
		t.Errorf("it went because it was %s", why)
	}
}

// The cloud as a process of its own, steered from here.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "serve")
	if out, err := exec.CommandContext(t.Context(), need.Command(t, "go"), "build", "-o", binary, "./serve").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ledger := filepath.Join(dir, "ledger.jsonl")
	cmd := exec.CommandContext(t.Context(), binary, "--until-eof", "--ledger", ledger, "--settings", `{"quota":2}`, "--fault", `{"op":"get","status":500}`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := fakecloud.Client{URL: strings.TrimSpace(url)}, t.Context()
	faults, err := c.Faults(ctx)
	if err != nil || len(faults) != 1 || faults[0].Op != fakecloud.OpGet {
		t.Errorf("faults: %+v, %v", faults, err)
	}
	for what, err := range map[string]error{
		"heal": c.Heal(ctx), "inject": c.Inject(ctx, fakecloud.OverQuota()), "configure": c.Configure(ctx, fakecloud.Settings{BootMS: 1000}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 2 { // the first meets the fault
		res, err := http.Post(c.URL+"/v1/instances", "application/json", strings.NewReader(`{"name":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if s, err := c.Summary(ctx); err != nil || s.Made != 1 || s.Live[0].Status != fakecloud.Provisioning {
		t.Errorf("summary: %+v, %v", s, err)
	}
	if err := c.Act(ctx, "a", fakecloud.Vanish, 0); err != nil {
		t.Error(err)
	}
	if err := c.Act(ctx, "b", fakecloud.Vanish, 0); err == nil || !strings.Contains(err.Error(), "there is no machine b") {
		t.Errorf("an act on no machine: %v", err)
	}
	if gone, err := c.Ledger(ctx, 0, fakecloud.FactGone); err != nil || len(gone) != 1 {
		t.Errorf("ledger: %+v, %v", gone, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if lines, err := os.ReadFile(ledger); err != nil || strings.Count(string(lines), "\n") != 4 {
		t.Errorf("%s, %v", lines, err)
	}
}
