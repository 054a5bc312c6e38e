package main

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// TestInfo names what of a group would fight with the agent, with the command that mends it.
func TestInfo(t *testing.T) {
	t.Parallel()
	manager := func(key string, value any) func(*fakegce.Group) {
		return func(g *fakegce.Group) { g.Manager = map[string]any{key: value} }
	}
	autoscaler := func(mode string) func(*fakegce.Group) { return func(g *fakegce.Group) { g.Autoscaler = mode } }
	for name, tc := range map[string]struct {
		change  func(*fakegce.Group)
		denied  string
		says    []string // all of one problem; none: there is none
		refused bool
	}{
		"a group as it should be": {func(*fakegce.Group) {}, "", nil, false},
		"an autoscaler that is on": {autoscaler("ON"), "", []string{"autoscaler whose mode is ON",
			"gcloud compute instance-groups managed update-autoscaling builders --project=project-1 --zone=us-central1-a --mode=off"}, true},
		"one that adds alone":    {autoscaler("ONLY_SCALE_OUT"), "", []string{"ONLY_SCALE_OUT"}, true},
		"one that is off":        {autoscaler("OFF"), "", nil, false},
		"one that can't be seen": {autoscaler("OFF"), maySeeAutoscaler, []string{maySeeAutoscaler, "--mode=off"}, false},
		"repairs": {manager("instanceLifecyclePolicy", map[string]any{"defaultActionOnFailure": "REPAIR"}), "",
			[]string{"makes VMs anew that fail", "update builders --project=project-1 --zone=us-central1-a --default-action-on-vm-failure=do-nothing"}, false},
		"repairs by default": {manager("instanceLifecyclePolicy", map[string]any{}), "", []string{"--default-action-on-vm-failure=do-nothing"}, false},
		"healing": {func(g *fakegce.Group) {
			g.Manager = map[string]any{"instanceLifecyclePolicy": map[string]any{}, "autoHealingPolicies": []any{map[string]any{"healthCheck": "h"}}}
		}, "", []string{"health check", "--clear-autohealing --default-action-on-vm-failure=do-nothing"}, false},
		"a health check that does nothing": {manager("autoHealingPolicies", []any{map[string]any{"healthCheck": "h"}}), "", nil, false},
		"updates of its own": {manager("updatePolicy", map[string]any{"type": "PROACTIVE", "instanceRedistributionType": "NONE"}), "",
			[]string{"new template", "--update-policy-type=opportunistic"}, false},
		"redistribution in a zone means nothing": {manager("updatePolicy", map[string]any{"type": "OPPORTUNISTIC", "instanceRedistributionType": "PROACTIVE"}), "", nil, false},
		"redistribution": {func(g *fakegce.Group) {
			regional(g)
			g.Manager = map[string]any{"updatePolicy": map[string]any{"type": "OPPORTUNISTIC"}}
		}, "", []string{"one zone for new ones of another", "update builders --project=project-1 --region=us-central1 --instance-redistribution-type=none"}, false},
		"a pool of stopped VMs": {manager("standbyPolicy", map[string]any{"mode": "SCALE_OUT_POOL"}), "", []string{"--standby-policy-mode=manual"}, false},
		"state":                 {manager("status", map[string]any{"stateful": map[string]any{"hasStatefulConfig": true}}), "", []string{"stateful", "describe builders"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, fakegce.Settings{}, tc.change)
			c.Deny(tc.denied)
			o, id := options(c), "google/project-1/us-central1-a/builders"
			if strings.HasPrefix(name, "redistribution") && len(tc.says) > 0 {
				o, id = inRegion(c), "google/project-1/us-central1/builders"
			}
			info, err := googlecompute{}.Info(abi.GroupRequest{ABI: abi.Version, Owner: testOwner, Options: o})
			if err != nil || info.ID != id {
				t.Fatalf("%+v, %v", info, err)
			}
			if len(tc.says) == 0 {
				if len(info.Problems) > 0 {
					t.Errorf("got %+v", info.Problems)
				}
				return
			}
			if len(info.Problems) != 1 || info.Problems[0].Warning == tc.refused {
				t.Fatalf("got %+v", info.Problems)
			}
			for _, words := range tc.says {
				if !strings.Contains(info.Problems[0].Message, words) {
					t.Errorf("%q does not say %q", info.Problems[0].Message, words)
				}
			}
		})
	}
}

// TestNoGroup says which options lead to a group that is not there.
func TestNoGroup(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	_, err := googlecompute{}.Info(abi.GroupRequest{Options: options(c, optName, "others")})
	if !driver.Is(err, abi.NotFound) || !strings.Contains(err.Error(), "see that name, project and zone or region are those of a managed instance group") {
		t.Errorf("got %v", err)
	}
}

// TestOptions reads plugin_config.
func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		options []string
		problem string // a part of the first problem; "" is none
		warning bool
	}{
		"GitLab's example":      {[]string{"name", "my-linux-instance-group", "project", "my-gcp-project", "zone", "europe-west1-c"}, "", false},
		"a region":              {[]string{"name", "g", "project", "my-project", "region", "europe-west1"}, "", false},
		"zone and region":       {[]string{"name", "g", "project", "my-project", "zone", "europe-west1-c", "region", "europe-west1"}, "", false},
		"a zone elsewhere":      {[]string{"name", "g", "project", "my-project", "zone", "europe-west1-c", "region", "us-central1"}, "is in another region", false},
		"a region as zone":      {[]string{"name", "g", "project", "my-project", "zone", "europe-west1"}, "write it as region", true},
		"neither":               {[]string{"name", "g", "project", "my-project"}, "give the zone of the group", false},
		"no name":               {[]string{"project", "my-project", "zone", "europe-west1-c"}, "the name of the instance group", false},
		"no project":            {[]string{"name", "g", "zone", "europe-west1-c"}, "the id of the project", false},
		"a name in capitals":    {[]string{"name", "Group", "project", "my-project", "zone", "europe-west1-c"}, "63 at most", false},
		"a zone as AWS's":       {[]string{"name", "g", "project", "my-project", "zone", "europe-west-1c"}, "looks wrong", true},
		"a region that is none": {[]string{"name", "g", "project", "my-project", "region", "Europe"}, "a region is such as", true},
	} {
		o := abi.Options{}
		for i := 0; i < len(tc.options); i += 2 {
			o[tc.options[i]] = []string{tc.options[i+1]}
		}
		problems := googlecompute{}.Validate(abi.ValidateRequest{Options: o})
		switch {
		case tc.problem == "" && len(problems) > 0, tc.problem != "" && len(problems) == 0:
			t.Errorf("%s: %+v", name, problems)
		case tc.problem != "" && (!strings.Contains(problems[0].Message, tc.problem) || problems[0].Warning != tc.warning):
			t.Errorf("%s: %+v, want %s", name, problems[0], tc.problem)
		}
	}
	if _, err := (googlecompute{}).List(abi.ListRequest{Options: abi.Options{}}); !driver.Is(err, abi.Invalid) {
		t.Errorf("a list of nothing: %v", err)
	}
}
