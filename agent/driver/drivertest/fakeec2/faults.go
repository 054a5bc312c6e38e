package fakeec2

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// refusal is an answer in the place of moto's, to creations alone or to all.
type refusal struct {
	creations     bool
	status        int
	code, message string
	retryAfter    string
}

// refusals are the faults that are an answer. Source: EC2 API Reference, "Error codes for the Amazon EC2 API".
var refusals = map[string]refusal{
	"stock-out": {true, 500, "InsufficientInstanceCapacity", "We currently do not have sufficient t2.micro capacity in the Availability Zone you requested (us-east-1a). " +
		"Our system will be working on provisioning additional capacity.", ""},
	"quota": {true, 400, "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the " +
		"specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.", ""},
	"spot quota":  {true, 400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded", ""},
	"spot price":  {true, 400, "SpotMaxPriceTooLow", "Your Spot request price of 0.001 is lower than the minimum required Spot request fulfillment price of 0.0035.", ""},
	"subnet full": {true, 400, "InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet 'subnet-1' to satisfy the requested number of instances.", ""},
	"no such type in the zone": {true, 400, "Unsupported", "Your requested instance type (t2.micro) is not supported in your requested Availability Zone (us-east-1e). " +
		"Please retry your request by not specifying an Availability Zone or choosing us-east-1a.", ""},
	"no image":   {true, 400, "InvalidAMIID.NotFound", "The image id '[ami-00000000]' does not exist", ""},
	"rate limit": {false, 503, "RequestLimitExceeded", "Request limit exceeded.", "7"},
	"auth":       {false, 401, "AuthFailure", "AWS was not able to validate the provided access credentials", ""},
	"expired":    {false, 400, "RequestExpired", "Request has expired.", ""},
	"trouble":    {false, 500, "InternalError", "An internal error has occurred", ""},
	"not open":   {false, 401, "OptInRequired", "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.", ""},
}

// others are the faults that are no plain answer.
var others = []string{"", "lost answer", "partial list", "lost removal", "half-made", "junk", "silent", "proxy page", "another answer"}

// Fail lets something go wrong from now on: a fault of drivertest or one of this package's; "" ends that.
func (c *Cloud) Fail(fault string) error {
	if _, ok := refusals[fault]; !ok && !slices.Contains(others, fault) {
		return errors.New("fakeec2 knows no fault " + fault)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = fault
	return nil
}

// Deny lets the caller have no right to these: actions of EC2 (RunInstances), or iam:PassRole; none: to all again.
func (c *Cloud) Deny(actions ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = map[string]bool{}
	for _, a := range actions {
		c.denied[a] = true
	}
}

// failing answers a request that a fault hits.
func (c *Cloud) failing(w http.ResponseWriter, r *http.Request, action string, form url.Values) bool {
	c.mu.Lock()
	fault := c.fault
	c.mu.Unlock()
	if known, ok := refusals[fault]; ok {
		if known.creations && action != "RunInstances" {
			return false
		}
		if known.retryAfter != "" {
			w.Header().Set("Retry-After", known.retryAfter)
		}
		refuse(w, known.status, known.code, known.message)
		return true
	}
	switch {
	case fault == "junk":
		_, _ = io.WriteString(w, "<html><head></head><body>junk</p>")
	case fault == "proxy page":
		_, _ = io.WriteString(w, "<html><body>Sign in</body></html>")
	case fault == "another answer":
		_, _ = io.WriteString(w, "<"+action+"Response></"+action+"Response>")
	case fault == "silent":
		select {
		case <-r.Context().Done():
		case <-c.stopped:
		}
	case fault == "lost answer" && action == "RunInstances", fault == "lost removal" && action == "TerminateInstances":
		c.lose(form)
		panic(http.ErrAbortHandler)
	case fault == "partial list" && action == "DescribeInstances" && form.Get("NextToken") == "":
		_, _ = io.WriteString(w, "<DescribeInstancesResponse><reservationSet/><nextToken>more</nextToken></DescribeInstancesResponse>")
	case fault == "partial list" && action == "DescribeInstances":
		refuse(w, http.StatusServiceUnavailable, "Unavailable", "The service is temporarily unavailable.")
	default:
		return false
	}
	return true
}

// lose carries a request out without an answer.
func (c *Cloud) lose(form url.Values) {
	if form.Get("Action") == "RunInstances" {
		c.runOnce(discard{http.Header{}}, form)
		return
	}
	_, _, _ = c.forward(form)
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// unauthorized refuses an action that the caller has no right to, as AWS words it.
func (c *Cloud) unauthorized(w http.ResponseWriter, form url.Values) bool {
	c.mu.Lock()
	denied := slices.ContainsFunc(permissionsOf(form), func(p string) bool { return c.denied[strings.TrimPrefix(p, "ec2:")] })
	c.mu.Unlock()
	if denied {
		refuse(w, http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation. Encoded authorization failure message: "+
			strings.Repeat("aGVsbG8gd29ybGQ", 60))
	}
	return denied
}

// unseen are the codes for what is not there, by the parameter that names it.
var unseen = map[string]string{"InstanceId": "InvalidInstanceID.NotFound", "GroupId": "InvalidGroup.NotFound"}

// dry answers a dry run that the caller has the right to.
func (c *Cloud) dry(w http.ResponseWriter, form url.Values) bool {
	if form.Get("DryRun") != "true" {
		return false
	}
	for name, values := range form { // what a call names is looked for first; DeleteKeyPair takes what is not there
		if code := unseen[strings.TrimRight(name, ".0123456789")]; code != "" && strings.HasSuffix(values[0], "-00000000000000000") {
			refuse(w, http.StatusBadRequest, code, "The id '"+values[0]+"' does not exist")
			return true
		}
	}
	refuse(w, http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	return true
}

// Put lets a machine be in a state.
func (c *Cloud) Put(name string, status abi.Status) error {
	to, ok := map[abi.Status]state{
		abi.StatusStopped: {code: "80", name: "stopped"}, abi.StatusUnknown: {code: "255", name: "dreaming"}, abi.StatusCreating: {code: "0", name: "pending"},
		abi.StatusGone: {},
	}[status]
	id := c.find(name)
	switch {
	case id == "":
		return errors.New("there is no instance " + name)
	case status == abi.StatusInterrupted:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ending[id] = true
		return nil
	case !ok:
		return errors.New("no instance can be " + string(status))
	}
	if status == abi.StatusGone {
		_, _, err := c.forward(url.Values{"Action": {"TerminateInstances"}, "Version": {"2016-11-15"}, "InstanceId.1": {id}})
		return err
	}
	c.set(id, to)
	return nil
}

// find returns the id of a machine's instance.
func (c *Cloud) find(name string) string {
	_, body, err := c.forward(url.Values{"Action": {"DescribeInstances"}, "Version": {"2016-11-15"},
		"Filter.1.Name": {"tag:millwright-machine"}, "Filter.1.Value.1": {name}})
	if m := instanceID.FindStringSubmatch(body); err == nil && m != nil {
		return m[1]
	}
	return ""
}

// Leftovers lists what bears an owner's tag and is not gone, each in words.
func (c *Cloud) Leftovers(owner string) (left []string) {
	for action, ids := range map[string]string{"DescribeInstances": "instanceId", "DescribeVolumes": "volumeId", "DescribeKeyPairs": "keyPairId", "DescribeNetworkInterfaces": "networkInterfaceId"} {
		form := url.Values{"Action": {action}, "Version": {"2016-11-15"}, "Filter.1.Name": {"tag:millwright-owner"}, "Filter.1.Value.1": {owner}}
		if action == "DescribeInstances" {
			form.Set("Filter.2.Name", "instance-state-name")
			for i, name := range []string{"pending", "running", "stopping", "stopped"} {
				form.Set("Filter.2.Value."+string(rune('1'+i)), name)
			}
		}
		_, body, err := c.forward(form)
		if err != nil || !strings.Contains(body, action+"Response") {
			left = append(left, action+" could not be asked: "+body)
		}
		for _, piece := range strings.Split(body, "<"+ids+">")[1:] {
			id, _, _ := strings.Cut(piece, "<")
			if !slices.Contains(left, ids+" "+id) {
				left = append(left, ids+" "+id)
			}
		}
	}
	return left
}
