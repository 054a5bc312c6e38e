package cloudtrial

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
)

// TestLeftGoogle has the account show what bears the owner's mark, and nothing else.
func TestLeftGoogle(t *testing.T) {
	t.Parallel()
	cloud := google(t, fakegce.Settings{Token: token})
	a := Account{Driver: "google", Endpoint: cloud.URL(), Project: "project-1", Store: newStore(t)}
	checkLeft(t, a, "")
	for name, owner := range map[string]string{"m1": "ours", "m2": "theirs"} {
		insert(t, a, name, owner)
	}
	checkLeft(t, a, "disk m1-disk in zones/us-central1-a, instance m1 in zones/us-central1-a")
	if err := cloud.Put("m1", ""); err != nil {
		t.Fatal(err)
	}
	checkLeft(t, a, "")
	cloud.Deny("compute.disks.list")
	if _, err := a.Left(t.Context(), "ours"); err == nil || !strings.Contains(err.Error(), "compute.disks.list") {
		t.Errorf("an account that can't be looked into: %v", err)
	}
}

func insert(t *testing.T, a Account, name, owner string) {
	t.Helper()
	body := `{"name":"` + name + `","machineType":"zones/us-central1-a/machineTypes/e2-micro","labels":{"millwright-owner":"` + owner + `"},
		"disks":[{"boot":true,"autoDelete":true,"initializeParams":{"diskName":"` + name + `-disk","labels":{"millwright-owner":"` + owner + `"}}}],"networkInterfaces":[{}]}`
	address := a.Endpoint + "/compute/v1/projects/project-1/zones/us-central1-a/instances"
	body = strings.Replace(body, "zones/us", "https://www.googleapis.com/compute/v1/projects/project-1/zones/us", 1)
	if _, err := a.ask(t.Context(), http.MethodPost, address, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// TestLeftAmazon does the same in EC2.
func TestLeftAmazon(t *testing.T) {
	t.Parallel()
	cloud := fakeec2.Open(t, fakeec2.Settings{Region: "ap-northeast-1", AccessKey: accessKey})
	a := Account{Driver: "amazonec2", Endpoint: cloud.URL(), Region: "ap-northeast-1", Store: newStore(t)}
	checkLeft(t, a, "")
	const call = "Version=2016-11-15&Action="
	answer, err := a.ask(t.Context(), http.MethodPost, cloud.URL()+"/", []byte(call+"RunInstances&MinCount=1&MaxCount=1&ImageId="+testImage+
		"&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=millwright-owner&TagSpecification.1.Tag.1.Value=ours"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := texts(answer, "RunInstancesResponse", "instanceId")
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	checkLeft(t, a, ids[0])
	if _, err := a.ask(t.Context(), http.MethodPost, cloud.URL()+"/", []byte(call+"TerminateInstances&InstanceId.1="+ids[0])); err != nil {
		t.Fatal(err)
	}
	checkLeft(t, a, "")
	if err := cloud.Fail("proxy page"); err != nil {
		t.Fatal(err)
	}
	if found, err := a.Left(t.Context(), "ours"); err == nil {
		t.Errorf("a proxy's page counts as an account with %v", found)
	}
}

func checkLeft(t *testing.T, a Account, want string) {
	t.Helper()
	left, err := a.Left(t.Context(), "ours")
	if err != nil || strings.Join(left, ", ") != want {
		t.Errorf("left: %q, %v; want %q", strings.Join(left, ", "), err, want)
	}
}

// TestAudit fails while something is left, or while nobody can tell.
func TestAudit(t *testing.T) {
	t.Parallel()
	asked := 0
	for name, tc := range map[string]struct {
		left func(context.Context, string) ([]string, error)
		want string
	}{
		"nothing":          {func(context.Context, string) ([]string, error) { return nil, nil }, ""},
		"a machine":        {func(context.Context, string) ([]string, error) { return []string{"instance m1"}, nil }, "left in the account, and paid for: instance m1"},
		"nobody can tell":  {func(context.Context, string) ([]string, error) { return nil, errors.New("no right") }, "could not be seen: no right"},
		"one that is gone": {func(context.Context, string) ([]string, error) { asked++; return make([]string, max(2-asked, 0)), nil }, ""},
	} {
		err := Trial{Out: io.Discard, Left: tc.left, Patience: 1500 * time.Millisecond}.audit(t.Context(), "ours")
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestSettings refuses what nobody asked for in all words.
func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		driver string
		s      Settings
		want   string
	}{
		{"google", nil, "MILLWRIGHT_CLOUD_PROJECT is not set"},
		{"google", Settings{setProject: "p1"}, "MILLWRIGHT_CLOUD_ZONE is not set"},
		{"amazonec2", Settings{setProject: "p1", setZone: "z"}, "MILLWRIGHT_CLOUD_REGION is not set"},
		{"azure", Settings{}, `none for the driver "azure"`},
	} {
		if _, err := tc.s.Trial(tc.driver, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s with %v: %v", tc.driver, tc.s, err)
		}
	}
}
