package fakegce_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
)

func start(t *testing.T, s fakegce.Settings) *fakegce.Cloud {
	t.Helper()
	c, err := fakegce.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func ask(t *testing.T, c *fakegce.Cloud, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL()+"/compute/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

const machineType = `"machineType":"https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-a/machineTypes/n1-standard-1"`

// TestWrongRequests holds the cloud to its purpose: what Google's document does not know is refused and remembered.
func TestWrongRequests(t *testing.T) {
	const instances = "projects/p1/zones/us-central1-a/instances"
	for name, tc := range map[string]struct {
		method, path, body string
		says               string // "" is a good one
	}{
		"good":                 {"POST", instances + "?requestId=6ba7b810-9dad-41d1-80b4-00c04fd430c8", `{"name":"m1",` + machineType + `,"disks":[{"initializeParams":{"diskSizeGb":"10"}}]}`, ""},
		"an unknown method":    {"GET", "projects/p1/machines", "", "no such method"},
		"another version":      {"GET", "../v2/projects/p1/zones/a/instances/m1", "", "no such method"},
		"an unknown field":     {"POST", instances, `{"name":"m1","size":"large"}`, "Instance has no field size"},
		"a field further down": {"POST", instances, `{"name":"m1","scheduling":{"preemptable":true}}`, "Instance.scheduling has no field preemptable"},
		"a number as text":     {"POST", instances, `{"name":"m1","guestAccelerators":[{"acceleratorCount":"1"}]}`, "is no integer int32"},
		"an int64 as number":   {"POST", instances, `{"name":"m1","disks":[{"initializeParams":{"diskSizeGb":10}}]}`, "is no string int64"},
		"no word of the list":  {"POST", instances, `{"name":"m1","scheduling":{"onHostMaintenance":"STAY"}}`, "is none of [MIGRATE TERMINATE]"},
		"a list as object":     {"POST", instances, `{"name":"m1","disks":{}}`, "is no array"},
		"null":                 {"POST", instances, `{"name":null}`, "is no string"},
		"no JSON":              {"POST", instances, `{`, "the body of compute.instances.insert"},
		"an unknown parameter": {"GET", "projects/p1/aggregated/instances?limit=5", "", "the parameter limit is none of compute.instances.aggregatedList"},
		"no number":            {"GET", "projects/p1/aggregated/instances?maxResults=all", "", `"all" is no number`},
		"a name in capitals":   {"GET", instances + "/M1", "", "does not match"},
		"a requestId of text":  {"DELETE", instances + "/m1?requestId=once", "", "requestId once is no UUID"},
		"a body of a GET":      {"GET", instances + "/m1", `{}`, "takes no body"},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, fakegce.Settings{})
			status, _ := ask(t, c, tc.method, tc.path, tc.body)
			wrong := strings.Join(c.Wrong(), "; ")
			if tc.says == "" && (status != http.StatusOK || wrong != "") || tc.says != "" && (status != http.StatusBadRequest || !strings.Contains(wrong, tc.says)) {
				t.Errorf("status %d, wrong %q, want %q", status, wrong, tc.says)
			}
		})
	}
}

// TestCourse follows a VM from its insert to its end, as the API tells of it.
func TestCourse(t *testing.T) {
	c := start(t, fakegce.Settings{OpTime: 50 * time.Millisecond, BootTime: 50 * time.Millisecond})
	insert := func() (int, string) {
		return ask(t, c, "POST", "projects/p1/zones/us-central1-a/instances", `{"name":"m1",`+machineType+`,"labels":{"owner":"me"},"disks":[{"initializeParams":{"diskName":"m1-disk"}}]}`)
	}
	if status, body := insert(); status != http.StatusOK || !strings.Contains(body, `"status":"RUNNING"`) || !strings.Contains(body, `"operationType":"insert"`) {
		t.Errorf("insert: %d %s", status, body)
	}
	if status, body := insert(); status != http.StatusConflict || !strings.Contains(body, `"reason":"alreadyExists"`) {
		t.Errorf("again: %d %s", status, body)
	}
	get := func(fields string) (int, string) {
		return ask(t, c, "GET", "projects/p1/zones/us-central1-a/instances/m1?fields="+url.QueryEscape(fields), "")
	}
	seen := map[string]bool{}
	for deadline := time.Now().Add(20 * time.Second); !seen["RUNNING"] && time.Now().Before(deadline); <-time.After(time.Millisecond) {
		status, body := get("status")
		if status != http.StatusOK || strings.Contains(body, "m1") {
			t.Fatalf("%d %s", status, body)
		}
		seen[strings.Split(body, `"`)[3]] = true
	}
	if !seen["RUNNING"] {
		t.Errorf("it was %v", seen)
	}
	list := func(filter string) string {
		_, body := ask(t, c, "GET", "projects/p1/aggregated/instances?fields="+url.QueryEscape("items/*/instances(name)")+"&filter="+url.QueryEscape(filter), "")
		return body
	}
	for filter, shown := range map[string]bool{"labels.owner=me": true, "labels.owner=you": false, "labels.owner:*": true, "labels.other:*": false,
		`(name = "m1") (labels.owner = "me")`: true, `(name = "m2") (labels.owner = "me")`: false} {
		if got := strings.Contains(list(filter), `{"name":"m1"}`); got != shown {
			t.Errorf("%s: shown %v, want %v", filter, got, shown)
		}
	}
	if status, body := ask(t, c, "DELETE", "projects/p1/zones/us-central1-a/disks/m1-disk", ""); status != http.StatusBadRequest || !strings.Contains(body, "resourceInUseByAnotherResource") {
		t.Errorf("a disk in use: %d %s", status, body)
	}
	ask(t, c, "DELETE", "projects/p1/zones/us-central1-a/instances/m1", "")
	if _, body := get("status"); !strings.Contains(body, "STOPPING") {
		t.Errorf("while it goes: %s", body)
	}
	for deadline := time.Now().Add(20 * time.Second); len(c.Leftovers("me")) > 0 || c.Instance("p1", "us-central1-a", "m1") != nil; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left: %v", c.Leftovers("me"))
		}
	}
}
