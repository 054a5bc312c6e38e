package fakegce

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// Settings are how the cloud behaves when no fault hits. The zero value does all at once, has the usual zones and takes any token.
type Settings struct {
	OpTime   time.Duration // of each operation
	BootTime time.Duration // from the end of an insert's operation until the VM runs
	Zones    []string      // default us-central1-a, us-central1-b, europe-west1-b
	PageSize int           // of a list, whatever is asked for; 0 leaves that
	Token    string        // what callers must bear; "" is nothing

	// Machines lets running VMs answer at their external addresses, which are then of loopback's, at ports 22 and 2376: to the key in
	// ssh-keys and with the host key in user-data. That takes Linux and root. Engine is fakecloud's.
	Machines bool
	Engine   func(machine string) http.Handler
	// Hardware runs the VMs elsewhere; they have its addresses once they run.
	Hardware fakecloud.Hardware
}

// Cloud is a running cloud. It is safe for concurrent use.
type Cloud struct {
	document *document
	rights   *document // of cloudresourcemanager, which answers at the same address
	settings Settings
	server   *http.Server
	url      string
	serving  sync.WaitGroup

	mu         sync.Mutex // guards what follows
	instances  map[string]*instance
	disks      map[string]*disk
	firewalls  map[string]*object
	groups     map[string]*group // by project, location and name
	members    int               // of groups, so far
	addresses  map[string]string // by project, region and name
	operations []*operation
	requests   map[string]*operation // by requestId
	calls      map[string]int        // by method
	wrong      []string
	fault      string
	exhausted  map[string]bool // machine types
	denied     map[string]bool // permissions
	tried      map[string]bool // permissions that were asked about
	ids        uint64
}

// object is a resource as JSON.
type object = map[string]any

// instance is a VM.
type instance struct {
	object  object // as it was sent, with what the cloud adds
	project string
	zone    string
	name    string
	runs    time.Time // when it is up
	forced  string    // a status that was set
	going   bool
	booted  bool
	stop    func() // ends what answers at its address; nil while nothing does
}

// disk is a disk.
type disk struct {
	object  object
	project string
	zone    string
	name    string
	users   []string // URLs of VMs
}

// operation is a change that takes its time.
type operation struct {
	object  object
	project string
	scope   string // zones/us-central1-a, regions/us-central1, or global
	due     time.Time
	finish  func() // what it changes at its end; nil: nothing
	done    bool
}

// Start serves a cloud until Close. It fails when the discovery document can't be had.
func Start(s Settings) (*Cloud, error) {
	d, err := load()
	if err != nil {
		return nil, err
	}
	rights, err := loadRights()
	if err != nil {
		return nil, err
	}
	if len(s.Zones) == 0 {
		s.Zones = []string{"us-central1-a", "us-central1-b", "europe-west1-b"}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Cloud{
		document: d, rights: rights, settings: s, url: "http://" + l.Addr().String(),
		instances: map[string]*instance{}, disks: map[string]*disk{}, firewalls: map[string]*object{}, groups: map[string]*group{}, addresses: map[string]string{},
		requests: map[string]*operation{}, calls: map[string]int{}, exhausted: map[string]bool{}, denied: map[string]bool{}, tried: map[string]bool{}, ids: 1_000_000_000_000,
	}
	c.server = &http.Server{Handler: http.HandlerFunc(c.serve), ReadHeaderTimeout: time.Minute}
	c.serving.Go(func() { _ = c.server.Serve(l) }) // ends with Close
	return c, nil
}

// URL is the endpoint, http://host:port.
func (c *Cloud) URL() string { return c.url }

// Close ends the cloud.
func (c *Cloud) Close() error {
	err := c.server.Close()
	c.serving.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.instances {
		c.drop(k)
	}
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// settle brings the cloud up to date: operations whose time has come are done. The caller holds mu.
func (c *Cloud) settle() {
	now := time.Now()
	for _, op := range c.operations {
		if op.done || now.Before(op.due) {
			continue
		}
		op.done = true
		if op.finish != nil {
			op.finish()
		}
		op.object["status"], op.object["progress"], op.object["endTime"] = "DONE", 100, stamp(op.due)
	}
	c.tend(now)
	if c.settings.Machines || c.settings.Hardware != nil {
		c.boot(now)
	}
}

// begin makes an operation on a resource; due lets it run. The caller holds mu.
func (c *Cloud) begin(r *request, kind, target, id string) *operation {
	scope := "global"
	if zone := r.path["zone"]; zone != "" {
		scope = "zones/" + zone
	} else if region := r.path["region"]; region != "" {
		scope = "regions/" + region
	}
	project, number, now := r.path["project"], c.id(), stamp(time.Now())
	op := &operation{project: project, scope: scope, object: object{
		"kind": "compute#operation", "id": number, "name": "operation-" + number, "operationType": kind, "status": "RUNNING", "progress": 0,
		"targetId": id, "targetLink": target, "insertTime": now, "startTime": now, "user": "agent@example.iam.gserviceaccount.com",
		"selfLink": link(project, scope, "operations", "operation-"+number),
	}}
	switch {
	case strings.HasPrefix(scope, "zones/"):
		op.object["zone"] = link(project, scope)
	case strings.HasPrefix(scope, "regions/"):
		op.object["region"] = link(project, scope)
	}
	if id := r.query.Get("requestId"); id != "" {
		op.object["clientOperationId"] = id
		c.requests[r.method.ID+" "+id] = op
	}
	return op
}

// due lets an operation run and returns it as it is answered with, before it is done. The caller holds mu.
func (c *Cloud) due(op *operation) object {
	if failed := op.object["error"]; failed != nil { // not to be seen before its end
		status, message := op.object["httpErrorStatusCode"], op.object["httpErrorMessage"]
		for _, field := range []string{"error", "httpErrorStatusCode", "httpErrorMessage"} {
			delete(op.object, field)
		}
		op.finish = func() {
			op.object["error"], op.object["httpErrorStatusCode"], op.object["httpErrorMessage"] = failed, status, message
		}
	}
	op.due = time.Now().Add(c.settings.OpTime)
	c.operations = append(c.operations, op)
	return maps.Clone(op.object)
}

// fail lets an operation end with an error. The caller holds mu.
func (op *operation) fail(status int, code, message string) {
	op.object["httpErrorStatusCode"], op.object["httpErrorMessage"] = status, http.StatusText(status)
	op.object["error"] = object{"errors": []any{object{"code": code, "message": message}}}
}

func (c *Cloud) id() string {
	c.ids++
	return strconv.FormatUint(c.ids, 10)
}

// link is the URL of a resource.
func link(project string, parts ...string) string {
	return "https://www.googleapis.com/compute/v1/projects/" + project + "/" + strings.Join(parts, "/")
}

// stamp writes a time as the API does, with milliseconds and Mountain View's offset.
func stamp(t time.Time) string {
	return t.In(time.FixedZone("", -7*3600)).Format("2006-01-02T15:04:05.000-07:00")
}

func key(project, zone, name string) string { return project + "/" + zone + "/" + name }

// region is that of a zone.
func region(zone string) string { return zone[:max(strings.LastIndexByte(zone, '-'), 0)] }

// Calls returns how many requests have come.
func (c *Cloud) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for _, n := range c.calls {
		sum += n
	}
	return sum
}

// Record returns how often each method was called, by its id (compute.instances.insert).
func (c *Cloud) Record() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]int, len(c.calls))
	for id, n := range c.calls {
		out[id] = n
	}
	return out
}

// Tried lists, sorted, the permissions that the caller asked about so far.
func (c *Cloud) Tried() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sorted(c.tried)
}

// Wrong lists the requests that the discovery document does not allow. A test fails when there are any.
func (c *Cloud) Wrong() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.wrong)
}

// Leftovers returns VMs and disks whose labels name the owner; VMs that are going do not count.
func (c *Cloud) Leftovers(owner string) (left []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	for _, i := range c.instances {
		if hasLabel(i.object, owner) {
			left = append(left, fmt.Sprintf("instance %s in %s", i.name, i.zone))
		}
	}
	for _, d := range c.disks {
		if hasLabel(d.object, owner) {
			left = append(left, fmt.Sprintf("disk %s in %s", d.name, d.zone))
		}
	}
	slices.Sort(left)
	return left
}

func hasLabel(o object, value string) bool {
	labels, _ := o["labels"].(object)
	for _, v := range labels {
		if v == value {
			return true
		}
	}
	return false
}

// Instance returns what the cloud holds of a VM, nil when there is none.
func (c *Cloud) Instance(project, zone, name string) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	i := c.instances[key(project, zone, name)]
	if i == nil {
		return nil
	}
	return c.show(i)
}

// Firewall returns a rule, nil when there is none.
func (c *Cloud) Firewall(project, name string) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	if f := c.firewalls[key(project, "", name)]; f != nil {
		return *f
	}
	return nil
}

// Reserve adds a static address.
func (c *Cloud) Reserve(project, region, name, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses[key(project, region, name)] = address
}

// Put lets a VM be in a status of Compute Engine's, such as TERMINATED; "" lets it go at once.
func (c *Cloud) Put(name, status string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, i := range c.instances {
		if i.name == name {
			if i.forced = status; status == "" {
				c.drop(k)
			}
			return nil
		}
	}
	return fmt.Errorf("there is no instance %s", name)
}

// drop deletes a VM with the disks that go with it. The caller holds mu.
func (c *Cloud) drop(k string) {
	i := c.instances[k]
	if i.stop != nil {
		i.stop()
	}
	delete(c.instances, k)
	self := link(i.project, "zones", i.zone, "instances", i.name)
	for dk, d := range c.disks {
		if slices.Contains(d.users, self) {
			delete(c.disks, dk)
		}
	}
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	return keys
}
