package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// motoImage is an image with Linux that moto has.
const motoImage = "ami-760aaa0f"

// moto is another's model of AWS.
type moto struct {
	t     *testing.T
	url   string
	group string
}

// do makes a call of a query API, as an operator's own, and returns the answer.
func (m moto) do(service, version, action string, params ...string) string {
	m.t.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	r, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.url+"/", strings.NewReader(form.Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAMOTO/"+time.Now().UTC().Format("20060102")+"/eu-west-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %s %v\n%s", action, res.Status, err, body)
	}
	return string(body)
}

// scale is do for Auto Scaling and its one group.
func (m moto) scale(action string, params ...string) string {
	m.t.Helper()
	return m.do("autoscaling", "2011-01-01", action, append(params, "AutoScalingGroupName", m.group)...)
}

// TestMoto has the driver work with groups of moto's, which knows AWS by another's reading of its documentation. Moto takes what AWS refuses: a capacity
// above the group's maximum, which the driver does not ask for, and an end of instances below its minimum, for which there is TestMinimum.
func TestMoto(t *testing.T) {
	t.Parallel()
	url := fakeec2.Own(t).URL()
	moto{t, url, ""}.do("autoscaling", "2011-01-01", "CreateLaunchConfiguration", "LaunchConfigurationName", "ci", "ImageId", motoImage, "InstanceType", "t3.large")
	t.Run("life", func(t *testing.T) { moto{t, url, "builders"}.life() })
	t.Run("settings", func(t *testing.T) { moto{t, url, "doubtful"}.settings() })
}

// life has a group grow and shrink.
func (m moto) life() {
	t := m.t
	m.scale("CreateAutoScalingGroup", "LaunchConfigurationName", "ci", "MinSize", "0", "MaxSize", "4", "DesiredCapacity", "0",
		"AvailabilityZones.member.1", "eu-west-1a", "AvailabilityZones.member.2", "eu-west-1b", "NewInstancesProtectedFromScaleIn", "true")
	m.scale("SuspendProcesses", "ScalingProcesses.member.1", "AZRebalance")
	var log bytes.Buffer
	of := func(name string) group.Group {
		return served(t, m.url, abi.Options{optName: {name}, optRegion: {"eu-west-1"}}, config.Connector{}, slog.New(slog.NewTextHandler(&log, nil)))
	}
	g := of(m.group)
	info, err := g.Info(t.Context())
	if err != nil || info.ID != "aws/eu-west-1/123456789012/builders" || info.MaxSize != 4 || log.Len() > 0 {
		t.Errorf("the group is %+v, %v; said was %q", info, err, log.String())
	}
	if ids := m.members(g); len(ids) != 0 {
		t.Errorf("a new group has %v", ids)
	}
	m.grows(g, 2, 2)
	ids := m.members(g)
	if len(ids) != 2 {
		t.Fatalf("after an increase by 2 there are %v", ids)
	}
	c, err := g.Connect(t.Context(), ids[0])
	if err != nil || c.OS != "linux" || c.Arch != "amd64" || c.Username != "ec2-user" || c.InternalAddr == "" || c.ExternalAddr == "" || c.Key == "" || c.Expires.IsZero() {
		t.Errorf("connection: %+v, %v", c, err)
	}
	if err := g.Heartbeat(t.Context(), ids[0]); err != nil {
		t.Error(err)
	}

	theirs := between(m.do("ec2", "2016-11-15", "RunInstances", "ImageId", motoImage, "MinCount", "1", "MaxCount", "1"), "<instanceId>", "<")
	if taken, err := g.Decrease(t.Context(), []string{ids[0], theirs}); err != nil || len(taken) != 2 {
		t.Errorf("taken on: %v, %v", taken, err)
	}
	if left := m.members(g); len(left) != 1 || left[0] != ids[1] {
		t.Errorf("%v are left, want %s", left, ids[1])
	}
	for id, want := range map[string]string{ids[0]: "terminated", theirs: "running"} {
		if state := between(m.do("ec2", "2016-11-15", "DescribeInstances", "InstanceId.1", id), "<instanceState>", "</instanceState>"); !strings.Contains(state, "<name>"+want+"<") {
			t.Errorf("%s is %q, want %s", id, state, want)
		}
	}
	err = g.Heartbeat(t.Context(), ids[0])
	wantKind(t, err, abi.NotFound, ids[0]+" is not in service")
	_, err = g.Connect(t.Context(), ids[0])
	wantKind(t, err, abi.Conflict, "is terminated")

	m.grows(g, 10, 3) // of the four that it may have it wants one
	_, err = g.Increase(t.Context(), 1)
	wantKind(t, err, abi.Quota, "may have 4")
	if taken, err := g.Decrease(t.Context(), m.members(g)); err != nil || len(taken) != 4 {
		t.Errorf("taken on: %v, %v", taken, err)
	}
	if left := m.members(g); len(left) > 0 {
		t.Errorf("the group is to be empty and has %v", left)
	}
	_, err = of("others").List(t.Context())
	wantKind(t, err, abi.NotFound, "there is no Auto Scaling group others")
}

// settings has a group fight with the agent, and then does what the driver says.
func (m moto) settings() {
	t := m.t
	m.scale("CreateAutoScalingGroup", "LaunchConfigurationName", "ci", "MinSize", "1", "MaxSize", "4", "AvailabilityZones.member.1", "eu-west-1a", "AvailabilityZones.member.2", "eu-west-1b")
	m.scale("PutScalingPolicy", "PolicyName", "cpu", "PolicyType", "SimpleScaling", "AdjustmentType", "ChangeInCapacity", "ScalingAdjustment", "1")
	m.scale("PutScheduledUpdateGroupAction", "ScheduledActionName", "night", "Recurrence", "0 22 * * *", "DesiredCapacity", "0", "MinSize", "0", "MaxSize", "4")
	var log bytes.Buffer
	g := served(t, m.url, abi.Options{optName: {m.group}, optRegion: {"eu-west-1"}}, config.Connector{}, slog.New(slog.NewTextHandler(&log, nil)))
	_, err := g.Info(t.Context())
	for _, want := range []string{"delete-policy", "'cpu'", "delete-scheduled-action", "'night'", "suspend-processes"} {
		wantKind(t, err, abi.Invalid, want)
	}
	m.do("autoscaling", "2011-01-01", "DeletePolicy", "PolicyName", "cpu")
	m.scale("DeleteScheduledAction", "ScheduledActionName", "night")
	m.scale("SuspendProcesses", "ScalingProcesses.member.1", "AZRebalance")
	log.Reset()
	if _, err := g.Info(t.Context()); err != nil || !strings.Contains(log.String(), "--min-size 0") || !strings.Contains(log.String(), "--new-instances-protected-from-scale-in") {
		t.Errorf("warned was of %s; %v", log.String(), err)
	}
	m.scale("UpdateAutoScalingGroup", "MinSize", "0", "NewInstancesProtectedFromScaleIn", "true")
	log.Reset()
	if _, err := g.Info(t.Context()); err != nil || log.Len() > 0 {
		t.Errorf("all was done as told, and said is %s; %v", log.String(), err)
	}
}

func (m moto) grows(g group.Group, by, want int) {
	m.t.Helper()
	if granted, err := g.Increase(m.t.Context(), by); err != nil || granted != want {
		m.t.Errorf("an increase by %d granted %d, %v; want %d", by, granted, err, want)
	}
}

// members are the group's instances, all of which run: moto's need no time for it.
func (m moto) members(g group.Group) (ids []string) {
	m.t.Helper()
	all, err := g.List(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for _, i := range all {
		if i.State != group.Running {
			m.t.Errorf("%+v", i)
		}
		ids = append(ids, i.ID)
	}
	return ids
}

// wantKind is wantSays for an error of the host's side.
func wantKind(t *testing.T, err error, kind abi.ErrorKind, part string) {
	t.Helper()
	if hostside.KindOf(err) != kind || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want the kind %s and %q in it", err, kind, part)
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}
