package fakeasg

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// The shapes of answers, as far as a driver may look at them.
// Source: Amazon EC2 Auto Scaling API Reference and Amazon EC2 API Reference, "Response Elements" of each action.
type (
	groupXML struct {
		AutoScalingGroupName, AutoScalingGroupARN string
		MinSize, MaxSize, DesiredCapacity         int
		MaxInstanceLifetime                       int      `xml:",omitempty"`
		AvailabilityZones                         []string `xml:"AvailabilityZones>member"`
		NewInstancesProtectedFromScaleIn          bool
		SuspendedProcesses                        []process   `xml:"SuspendedProcesses>member"`
		Instances                                 []memberXML `xml:"Instances>member"`
	}
	process   struct{ ProcessName, SuspensionReason string }
	memberXML struct {
		InstanceId, AvailabilityZone, LifecycleState, HealthStatus string
		ProtectedFromScaleIn                                       bool
	}
	instanceXML struct {
		ID              string `xml:"instanceId"`
		State           string `xml:"instanceState>name"`
		Private         string `xml:"privateIpAddress,omitempty"`
		Public          string `xml:"ipAddress,omitempty"`
		Zone            string `xml:"placement>availabilityZone"`
		Architecture    string `xml:"architecture"`
		PlatformDetails string `xml:"platformDetails"`
		Platform        string `xml:"platform,omitempty"`
	}
)

func (c *Cloud) zone(n int) string { return c.settings.Region + string(rune('a'+n%c.settings.Zones)) }

func (c *Cloud) describeGroups(p url.Values) (any, *refusal) {
	type result struct {
		Groups []groupXML `xml:"AutoScalingGroups>member"`
	}
	res := struct {
		XMLName xml.Name `xml:"DescribeAutoScalingGroupsResponse"`
		Result  result   `xml:"DescribeAutoScalingGroupsResult"`
	}{}
	s := c.settings
	c.scale(c.desired) // in the place of launches that failed
	for name, values := range p {
		if strings.HasPrefix(name, "AutoScalingGroupNames.member.") && values[0] != s.Name {
			return res, nil // groups that there are not are left out
		}
	}
	g := groupXML{
		AutoScalingGroupName: s.Name, AutoScalingGroupARN: "arn:aws:autoscaling:" + s.Region + ":123456789012:autoScalingGroup:5f6a:autoScalingGroupName/" + s.Name,
		MinSize: s.Min, MaxSize: s.Max, DesiredCapacity: c.desired, MaxInstanceLifetime: s.Lifetime, NewInstancesProtectedFromScaleIn: !s.Unprotected,
	}
	for n := range s.Zones {
		g.AvailabilityZones = append(g.AvailabilityZones, c.zone(n))
	}
	for _, name := range s.Processes {
		g.SuspendedProcesses = append(g.SuspendedProcesses, process{name, "User suspended"})
	}
	for n, i := range c.instances {
		if state := c.stateOf(i); state != "" {
			g.Instances = append(g.Instances, memberXML{i.ID, c.zone(n), state, i.Health, !s.Unprotected})
		}
	}
	res.Result.Groups = []groupXML{g}
	return res, nil
}

func (c *Cloud) describePolicies(p url.Values) (any, *refusal) {
	type policy struct {
		PolicyName, PolicyType string
		Enabled                bool
	}
	res := struct {
		XMLName xml.Name `xml:"DescribePoliciesResponse"`
		All     []policy `xml:"DescribePoliciesResult>ScalingPolicies>member"`
	}{}
	for _, name := range c.settings.Policies {
		res.All = append(res.All, policy{name, "TargetTrackingScaling", true})
	}
	return res, c.ours(p)
}

func (c *Cloud) describeActions(p url.Values) (any, *refusal) {
	type scheduled struct{ ScheduledActionName string }
	res := struct {
		XMLName xml.Name    `xml:"DescribeScheduledActionsResponse"`
		All     []scheduled `xml:"DescribeScheduledActionsResult>ScheduledUpdateGroupActions>member"`
	}{}
	for _, name := range c.settings.ScheduledActions {
		res.All = append(res.All, scheduled{name})
	}
	return res, c.ours(p)
}

// ours refuses a group that there is not.
func (c *Cloud) ours(p url.Values) *refusal {
	if name := p.Get("AutoScalingGroupName"); name != c.settings.Name {
		return &refusal{400, "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup '" + name + "' not found"}
	}
	return nil
}

func (c *Cloud) setDesired(p url.Values) (any, *refusal) {
	n, err := strconv.Atoi(p.Get("DesiredCapacity"))
	switch no := c.ours(p); {
	case no != nil:
		return nil, no
	case err != nil:
		return nil, &refusal{400, "ValidationError", "DesiredCapacity must be an integer"}
	case n > c.settings.Max:
		return nil, &refusal{400, "ValidationError", fmt.Sprintf("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", n, c.settings.Max)}
	case n < c.settings.Min:
		return nil, &refusal{400, "ValidationError", fmt.Sprintf("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", n, c.settings.Min)}
	}
	c.scale(n)
	return struct {
		XMLName xml.Name `xml:"SetDesiredCapacityResponse"`
	}{}, nil
}

func (c *Cloud) terminate(p url.Values) (any, *refusal) {
	id := p.Get("InstanceId")
	for _, i := range c.instances {
		if i.ID != id || c.stateOf(i) == "" {
			continue
		}
		if p.Get("ShouldDecrementDesiredCapacity") == "true" && i.Ended.IsZero() {
			if c.desired <= c.settings.Min {
				return nil, &refusal{400, "ValidationError", fmt.Sprintf("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will "+
					"violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", c.settings.Min)}
			}
			c.desired--
		}
		c.end(i)
		c.scale(c.desired)
		return struct {
			XMLName xml.Name `xml:"TerminateInstanceInAutoScalingGroupResponse"`
		}{}, nil
	}
	return nil, &refusal{400, "ValidationError", "Instance Id not found - No managed instance found for instance ID: " + id}
}

// known returns an instance that EC2 knows, or its refusal; of a dry run the answer to that.
func (c *Cloud) known(p url.Values, id string) (*Instance, *refusal) {
	if p.Get("DryRun") == "true" {
		return nil, &refusal{412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."}
	}
	for _, i := range c.instances {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, &refusal{400, "InvalidInstanceID.NotFound", "The instance ID '" + id + "' does not exist"}
}

func (c *Cloud) describeInstances(p url.Values) (any, *refusal) {
	i, no := c.known(p, p.Get("InstanceId.1"))
	if no != nil {
		return nil, no
	}
	x := instanceXML{ID: i.ID, State: "running", Zone: c.zone(0), Architecture: c.settings.Architecture, PlatformDetails: c.settings.Platform}
	if strings.HasPrefix(x.PlatformDetails, "Windows") {
		x.Platform = "windows"
	}
	switch state := c.stateOf(i); {
	case state == "":
		x.State = "terminated"
	case state == "Terminating":
		x.State = "shutting-down"
	case state == "Pending":
		x.State = "pending"
	}
	x.Private, x.Public = i.Address, i.Address
	if c.settings.Hooks.Start == nil {
		x.Public = strings.Replace(i.Address, "10.0.", "198.51.", 1)
	} else if host, _, err := net.SplitHostPort(i.Address); err == nil && net.ParseIP(host) == nil {
		x.Private = "" // a name is no IP address
	}
	return struct {
		XMLName   xml.Name      `xml:"DescribeInstancesResponse"`
		Instances []instanceXML `xml:"reservationSet>item>instancesSet>item"`
	}{Instances: []instanceXML{x}}, nil
}

func (c *Cloud) passwordData(p url.Values) (any, *refusal) {
	i, no := c.known(p, p.Get("InstanceId"))
	if no != nil {
		return nil, no
	}
	return struct {
		XMLName xml.Name `xml:"GetPasswordDataResponse"`
		ID      string   `xml:"instanceId"`
		Data    string   `xml:"passwordData"`
	}{ID: i.ID, Data: "\r\n" + c.settings.PasswordData + "\r\n"}, nil
}

func (c *Cloud) sendKey(p url.Values) (any, *refusal) {
	id, user, key := p.Get("InstanceId"), p.Get("InstanceOSUser"), p.Get("SSHPublicKey")
	switch i, no := c.known(p, id); {
	case no != nil:
		return nil, &refusal{400, "EC2InstanceNotFoundException", "No instance with ID " + id + " was found."}
	case c.stateOf(i) != "InService":
		return nil, &refusal{400, "EC2InstanceStateInvalidException", "The instance is not running."}
	case user == "" || !strings.HasPrefix(key, "ssh-"):
		return nil, &refusal{400, "InvalidArgsException", "InstanceOSUser and SSHPublicKey are needed"}
	}
	if letIn := c.settings.Hooks.LetIn; letIn != nil {
		c.mu.Unlock() // it may take its time
		err := letIn(id, user, key)
		c.mu.Lock()
		if err != nil {
			return nil, &refusal{500, "ServiceException", err.Error()}
		}
	}
	c.keys = append(c.keys, Key{id, user, key})
	return map[string]any{"RequestId": "abc", "Success": true}, nil
}
