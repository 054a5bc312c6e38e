package fakeasg

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// refusal is an answer that is none.
type refusal struct {
	status        int
	code, message string
}

// action is one that the APIs have: whose it is, which parameters it has (a trailing dot takes the members of a list), and what it does.
type action struct {
	service string
	params  []string
	run     func(c *Cloud, p url.Values) (any, *refusal)
}

var actions map[string]action

func init() { // else it would refer to itself
	actions = map[string]action{
		"DescribeAutoScalingGroups":           {"autoscaling", []string{"AutoScalingGroupNames.member.", "NextToken", "MaxRecords"}, (*Cloud).describeGroups},
		"DescribePolicies":                    {"autoscaling", []string{"AutoScalingGroupName", "NextToken"}, (*Cloud).describePolicies},
		"DescribeScheduledActions":            {"autoscaling", []string{"AutoScalingGroupName", "NextToken"}, (*Cloud).describeActions},
		"SetDesiredCapacity":                  {"autoscaling", []string{"AutoScalingGroupName", "DesiredCapacity", "HonorCooldown"}, (*Cloud).setDesired},
		"TerminateInstanceInAutoScalingGroup": {"autoscaling", []string{"InstanceId", "ShouldDecrementDesiredCapacity"}, (*Cloud).terminate},
		"DescribeInstances":                   {"ec2", []string{"InstanceId.", "DryRun"}, (*Cloud).describeInstances},
		"GetPasswordData":                     {"ec2", []string{"InstanceId", "DryRun"}, (*Cloud).passwordData},
		"SendSSHPublicKey":                    {"ec2-instance-connect", []string{"InstanceId", "InstanceOSUser", "SSHPublicKey", "AvailabilityZone"}, (*Cloud).sendKey},
	}
}

// versions are those of the query APIs.
var versions = map[string]string{"autoscaling": "2011-01-01", "ec2": "2016-11-15"}

var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=[^,]*host[^,]*, ?Signature=[0-9a-f]{64}$`)

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		refuse(w, "", refusal{404, "", ""})
		return
	}
	name, params, no := read(r, body)
	a, known := actions[name]
	switch {
	case no != nil:
	case !known:
		no = &refusal{400, "InvalidAction", "The action " + name + " is not valid for this web service."}
	default:
		no = c.signed(r, a)
		if no == nil {
			no = a.check(params)
		}
	}
	if no != nil {
		refuse(w, a.service, *no)
		return
	}
	c.mu.Lock()
	c.calls[name]++
	f := c.fault(name)
	c.mu.Unlock()
	if f.answer(w, r, a.service) {
		return
	}
	c.mu.Lock()
	res, no := a.run(c, params)
	c.mu.Unlock()
	switch {
	case f.Lost:
		panic(http.ErrAbortHandler)
	case no != nil:
		refuse(w, a.service, *no)
	case a.service == "ec2-instance-connect":
		_ = json.NewEncoder(w).Encode(res)
	default:
		write(w, 200, res)
	}
}

// read returns the action of a request and its parameters.
func read(r *http.Request, body []byte) (name string, params url.Values, no *refusal) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		var members map[string]string
		if err := json.Unmarshal(body, &members); err != nil {
			return "", nil, &refusal{400, "SerializationException", err.Error()}
		}
		params = url.Values{}
		for key, value := range members {
			params.Set(key, value)
		}
		return strings.TrimPrefix(target, "AWSEC2InstanceConnectService."), params, nil
	}
	params, err := url.ParseQuery(string(body))
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return "", nil, &refusal{400, "MalformedQueryString", "it is no form"}
	}
	return params.Get("Action"), params, nil
}

// signed refuses a request that is not signed for the action's service. The signature itself is the host's matter, whose tests verify it.
func (c *Cloud) signed(r *http.Request, a action) *refusal {
	found := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case found == nil && c.settings.AccessKey == "" && r.Header.Get("Authorization") == "":
		return nil // a driver that runs natively signs nothing
	case found == nil:
		return &refusal{403, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	case c.settings.AccessKey != "" && found[1] != c.settings.AccessKey:
		return &refusal{403, "InvalidClientTokenId", "The security token included in the request is invalid."}
	case found[2] != c.settings.Region || found[3] != a.service:
		return &refusal{403, "SignatureDoesNotMatch", fmt.Sprintf("Credential should be scoped to %s and %s", c.settings.Region, a.service)}
	}
	return nil
}

// check refuses parameters that the action does not have.
func (a action) check(params url.Values) *refusal {
	for name := range params {
		if name == "Action" || name == "Version" {
			continue
		}
		ok := false
		for _, known := range a.params {
			ok = ok || name == known || strings.HasSuffix(known, ".") && strings.HasPrefix(name, known)
		}
		if !ok {
			return &refusal{400, "UnknownParameter", "The parameter " + name + " is not recognized"}
		}
	}
	if v := versions[a.service]; v != "" && params.Get("Version") != v {
		return &refusal{400, "NoSuchVersion", "The requested version (" + params.Get("Version") + ") of service " + a.service + " does not exist"}
	}
	return nil
}

// refuse writes a refusal in the words of a service.
func refuse(w http.ResponseWriter, service string, no refusal) {
	switch {
	case no.code == "":
		w.WriteHeader(no.status)
		_, _ = io.WriteString(w, "<html><body>no</body></html>")
	case service == "ec2-instance-connect":
		w.WriteHeader(no.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.ec2instanceconnect#" + no.code, "Message": no.message})
	case service == "ec2":
		type told struct{ Code, Message string }
		write(w, no.status, struct {
			XMLName xml.Name `xml:"Response"`
			Errors  struct{ Error told }
		}{Errors: struct{ Error told }{told{no.code, no.message}}})
	default:
		write(w, no.status, struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Error   struct{ Type, Code, Message string }
		}{Error: struct{ Type, Code, Message string }{"Sender", no.code, no.message}})
	}
}

func write(w http.ResponseWriter, status int, v any) {
	data, err := xml.Marshal(v)
	if err != nil {
		status, data = 500, []byte(err.Error())
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), data...))
}
