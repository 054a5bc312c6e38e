package main

import (
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// connectTTLS is how long an instance lets in a key that EC2 Instance Connect puts there.
// Source: Amazon EC2 User Guide, "Connect to your Linux instance using EC2 Instance Connect".
const connectTTLS = 60

// keyTarget names the one action of EC2 Instance Connect that we use.
const keyTarget = "AWSEC2InstanceConnectService.SendSSHPublicKey"

// Connect tells the instance's addresses and system, and has it let in the key of the request. Windows gets the password that AWS made, as it is
// encrypted for the instance's key pair.
func (aws) Connect(req abi.ConnectRequest) (abi.ConnectInfo, error) {
	p, err := usable(req.Options)
	if err != nil {
		return abi.ConnectInfo{}, err
	}
	i, err := p.instance(req.Instance)
	if err != nil {
		return abi.ConnectInfo{}, err
	}
	info := abi.ConnectInfo{
		OS: opts.Or(req.OS, systemOf(i)), Arch: opts.Or(req.Arch, archOf(i.At("architecture"))),
		InternalAddr: i.At("privateIpAddress"), ExternalAddr: opts.Or(i.At("ipAddress"), i.At("dnsName")),
	}
	windows := info.OS == "windows"
	info.Protocol, info.Username = opts.Or(req.Protocol, "ssh"), opts.Or(req.Username, "ec2-user")
	if windows {
		info.Protocol, info.Username = opts.Or(req.Protocol, "winrm"), opts.Or(req.Username, "Administrator")
	}
	switch {
	case req.AuthorizedKey == "": // the operator has credentials
	case info.Protocol == "ssh":
		if err := p.letIn(req.Instance, i.At("placement", "availabilityZone"), info.Username, req.AuthorizedKey); err != nil {
			return abi.ConnectInfo{}, err
		}
		info.KeyAuthorized, info.TTLS = true, connectTTLS
	case windows:
		if info.EncryptedPassword, err = p.password(req.Instance); err != nil {
			return abi.ConnectInfo{}, err
		}
	}
	return info, nil
}

// Heartbeat tells whether the group still counts the instance in.
func (aws) Heartbeat(req abi.HeartbeatRequest) error {
	p, err := usable(req.Options)
	if err != nil {
		return err
	}
	g, err := p.describe()
	if err != nil {
		return err
	}
	m, ok := g.find(req.Instance)
	if status, _ := m.statusOf(); !ok || status != abi.StatusRunning {
		return &abi.Error{Kind: abi.NotFound, Message: "the instance " + req.Instance + " is not in service in the group " + p.group + ": " + opts.Or(m.state+" "+m.health, "it has none of that name")}
	}
	return nil
}

// instance asks EC2 for an instance that runs.
func (p place) instance(id string) (awsapi.Element, error) {
	root, err := p.query(compute, "DescribeInstances", form{}.list("InstanceId", id))
	if err != nil {
		return awsapi.Element{}, err
	}
	for _, r := range root.Items("reservationSet") {
		for _, i := range r.Items("instancesSet") {
			if i.At("instanceId") != id {
				continue
			}
			if state := i.At("instanceState", "name"); state != "running" {
				return i, &abi.Error{Kind: abi.Conflict, Message: "the instance " + id + " is " + opts.Or(state, "in no state") + "; one that runs can be connected to"}
			}
			return i, nil
		}
	}
	return awsapi.Element{}, &abi.Error{Kind: abi.NotFound, Message: "there is no instance " + id + " in " + p.region}
}

// systemOf is an instance's operating system, in Go's words. Macs are known by their architecture.
func systemOf(i awsapi.Element) string {
	switch {
	case strings.HasSuffix(i.At("architecture"), "_mac"):
		return "darwin"
	case strings.EqualFold(i.At("platform"), "windows"), strings.HasPrefix(i.At("platformDetails"), "Windows"):
		return "windows"
	}
	return "linux"
}

// archOf is an architecture in Go's words, "" for one that Go has no word for.
func archOf(architecture string) string {
	switch strings.TrimSuffix(architecture, "_mac") {
	case "x86_64":
		return "amd64"
	case "arm64":
		return "arm64"
	case "i386":
		return "386"
	}
	return ""
}

// letIn has an instance let in a key for a minute.
// Source: EC2 Instance Connect API Reference, "SendSSHPublicKey".
func (p place) letIn(id, zone, user, key string) error {
	const action = "SendSSHPublicKey"
	body := `{"InstanceId":` + quoted(id) + `,"InstanceOSUser":` + quoted(user) + `,"SSHPublicKey":` + quoted(key)
	if zone != "" {
		body += `,"AvailabilityZone":` + quoted(zone)
	}
	res, err := p.send(connect, action, map[string][]string{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {keyTarget}}, []byte(body+"}"))
	if err != nil {
		return err
	}
	var answer abi.Raw
	if answer.UnmarshalJSON(res.Body) != nil {
		answer = nil
	}
	if res.Status >= 300 {
		code, _ := answer.Field("__type").Text()
		message, _ := answer.Field("message").Text()
		if message == "" {
			message, _ = answer.Field("Message").Text()
		}
		return failure(connect, action, res, code[strings.LastIndex(code, "#")+1:], message)
	}
	if done, ok := answer.Field("Success").Bool(); !ok || !done {
		return &abi.Error{Kind: abi.Transient, Message: "EC2 Instance Connect did not say that " + id + " lets the key in; set use_static_credentials and key_path in connector_config where its image has no EC2 Instance Connect"}
	}
	return nil
}

func quoted(text string) string { return string(abi.AppendString(nil, text)) }

// password returns what AWS made for the administrator of a Windows instance, encrypted.
func (p place) password(id string) (string, error) {
	root, err := p.query(compute, "GetPasswordData", form{"InstanceId": id})
	if err != nil {
		return "", err
	}
	data := strings.Join(strings.Fields(root.At("passwordData")), "")
	if data == "" {
		return "", &abi.Error{Kind: abi.Transient, Message: "the password of " + id + " is not there yet: Windows takes some 4 minutes, and the instance needs a key pair"}
	}
	return data, nil
}
