package fakeec2

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// Settings are how the cloud behaves when no fault hits. The zero value takes any credential.
type Settings struct {
	Region    string // whose instances these are; "" is us-east-1. Clouds of one server see each other's in the same region
	AccessKey string // that callers must sign with; "" is any, or none
	PageSize  int    // of lists, whatever is asked for; 0 leaves that
	// Address replaces an instance's addresses, by its name; nil or "" leaves them.
	Address func(machine string) string
	// Hardware runs the instances; they have its addresses.
	Hardware fakecloud.Hardware
}

// Cloud is a running front. It is safe for concurrent use.
type Cloud struct {
	model    *model
	moto     *Server
	settings Settings
	server   *http.Server
	url      string
	serving  sync.WaitGroup
	stopped  chan struct{}

	mu       sync.Mutex // guards what follows
	calls    map[string]int
	needs    map[string]bool // permissions
	tried    map[string]bool // permissions, by dry runs
	requests []url.Values
	wrong    []string
	fault    string
	denied   map[string]bool // actions
	tokens   map[string]*run // by client token
	states   map[string]state
	ending   map[string]bool // instances that AWS takes back
	running  map[string]box  // on hardware, by their ids
}

// run is a RunInstances that was done.
type run struct {
	form     string
	instance string
	done     chan struct{} // closed when instance is known
}

// Start opens the front of a server. Close ends it.
func Start(moto *Server, s Settings) (*Cloud, error) {
	m, err := load()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if s.Region == "" {
		s.Region = "us-east-1"
	}
	c := &Cloud{
		model: m, moto: moto, settings: s, url: "http://" + l.Addr().String(), stopped: make(chan struct{}), calls: map[string]int{}, needs: map[string]bool{}, tried: map[string]bool{},
		denied: map[string]bool{}, tokens: map[string]*run{}, states: map[string]state{}, ending: map[string]bool{}, running: map[string]box{},
	}
	c.server = &http.Server{Handler: c}
	c.serving.Add(1)
	go func() {
		defer c.serving.Done()
		_ = c.server.Serve(l) // until Close
	}()
	return c, nil
}

// Close ends the front.
func (c *Cloud) Close() error {
	close(c.stopped)
	err := c.server.Close()
	c.serving.Wait()
	c.powerOff(nil)
	return err
}

// URL is where the API answers.
func (c *Cloud) URL() string { return c.url }

// Region is the region of the cloud.
func (c *Cloud) Region() string { return c.settings.Region }

// Calls counts all requests so far.
func (c *Cloud) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, calls := range c.calls {
		n += calls
	}
	return n
}

// Record counts the requests so far by their actions.
func (c *Cloud) Record() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for action, n := range c.calls {
		out[action] = n
	}
	return out
}

// Requests returns those of an action so far, as they came.
func (c *Cloud) Requests(action string) []url.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.requests), func(f url.Values) bool { return f.Get("Action") != action })
}

// Wrong lists the requests so far that AWS would refuse.
func (c *Cloud) Wrong() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.wrong)
}

// Permissions lists, sorted, the rights that the requests so far need. Dry runs need none.
func (c *Cloud) Permissions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.needs))
}

// Tried lists, sorted, the rights that the dry runs so far were about.
func (c *Cloud) Tried() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.tried))
}

// ServeHTTP answers one request.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	form, formErr := url.ParseQuery(string(body))
	if err != nil || formErr != nil || r.Method != http.MethodPost || r.URL.Path != "/" {
		c.note("%s %s is no request of the query API", r.Method, r.URL)
		refuse(w, http.StatusBadRequest, "MalformedQueryString", "it is no query")
		return
	}
	action := form.Get("Action")
	if err := c.model.check(form); err != nil {
		c.note("%s: %v", action, err)
		refuse(w, http.StatusBadRequest, "InvalidParameterValue", err.Error())
		return
	}
	c.record(action, form)
	if key := c.settings.AccessKey; key != "" && !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+key+"/") {
		refuse(w, http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials")
		return
	}
	if c.failing(w, r, action, form) || c.unauthorized(w, form) || c.dry(w, form) {
		return
	}
	if action == "RunInstances" && form.Get("ClientToken") != "" {
		c.runOnce(w, form)
		return
	}
	c.answer(w, form)
}

func (c *Cloud) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func (c *Cloud) record(action string, form url.Values) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, maps.Clone(form))
	into := c.needs
	if form.Get("DryRun") == "true" {
		into = c.tried
	} else {
		c.calls[action]++
	}
	for _, p := range permissionsOf(form) {
		into[p] = true
	}
}

// permissionsOf are the rights that a request needs.
func permissionsOf(form url.Values) []string {
	all := []string{"ec2:" + form.Get("Action")}
	for name, values := range form {
		switch {
		case strings.HasPrefix(name, "TagSpecification."):
			all = append(all, "ec2:CreateTags")
		case strings.HasPrefix(name, "IamInstanceProfile."):
			all = append(all, "iam:PassRole")
		case name == "ImageId" && strings.HasPrefix(values[0], "resolve:ssm:"):
			all = append(all, "ssm:GetParameters")
		}
	}
	return all
}

// forward sends a request to moto, as if it were signed for the region.
func (c *Cloud) forward(form url.Values) (status int, body string, err error) {
	form = maps.Clone(form)
	maps.DeleteFunc(form, func(name string, _ []string) bool { return strings.HasPrefix(name, "IamInstanceProfile.") }) // it would have to be there
	r, err := http.NewRequest(http.MethodPost, c.moto.url+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDMOTO/"+time.Now().UTC().Format("20060102")+"/"+c.settings.Region+
		"/ec2/aws4_request, SignedHeaders=host, Signature=0")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

// answer hands on what moto says, with what the front knows better.
func (c *Cloud) answer(w http.ResponseWriter, form url.Values) {
	if c.settings.PageSize > 0 && form.Has("MaxResults") {
		form.Set("MaxResults", fmt.Sprint(c.settings.PageSize))
	}
	switch form.Get("Action") {
	case "DeleteKeyPair":
		c.byName(form)
	case "TerminateInstances":
		c.powerOff(form)
		c.mu.Lock()
		for name, values := range form {
			if strings.HasPrefix(name, "InstanceId.") {
				delete(c.states, values[0])
			}
		}
		c.mu.Unlock()
	}
	status, body, err := http.StatusOK, "", error(nil)
	// A list of the requests that are ending is the front's alone: moto stumbles where some were made by RequestSpotInstances.
	if form.Get("Action") != "DescribeSpotInstanceRequests" || form.Has("SpotInstanceRequestId.1") {
		status, body, err = c.forward(form)
	}
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "Unavailable", "moto: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	switch action := form.Get("Action"); {
	case action == "DescribeAccountAttributes":
		body = c.withDefaultVPC(body)
	case action == "DescribeSpotInstanceRequests" && c.Record()["RequestSpotInstances"] > 0: // docker-machine's driver made them, and moto knows them
	default:
		body = c.amended(action, body)
	}
	_, _ = io.WriteString(w, body)
}

// withDefaultVPC names the region's default VPC among the account's attributes, where moto says that there is none.
func (c *Cloud) withDefaultVPC(body string) string {
	_, vpcs, err := c.forward(url.Values{"Action": {"DescribeVpcs"}, "Version": {"2016-11-15"}, "Filter.1.Name": {"is-default"}, "Filter.1.Value.1": {"true"}})
	_, rest, found := strings.Cut(vpcs, "<vpcId>")
	if err != nil || !found {
		return body
	}
	id, _, _ := strings.Cut(rest, "<")
	return strings.Replace(body, ">none<", ">"+id+"<", 1)
}

// byName names the key pair that a form names by its id, which moto does not know.
func (c *Cloud) byName(form url.Values) {
	_, body, err := c.forward(url.Values{"Action": {"DescribeKeyPairs"}, "Version": {"2016-11-15"}})
	if _, rest, found := strings.Cut(body, "<keyPairId>"+form.Get("KeyPairId")+"</keyPairId><keyName>"); found && err == nil {
		name, _, _ := strings.Cut(rest, "<")
		form.Set("KeyName", name)
		form.Del("KeyPairId")
	}
}

// refuse answers with an error as EC2 does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>1</RequestID></Response>",
		code, strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(message))
}
