package fakegce

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody is how many bytes of a request are read.
const maxBody = 4 << 20

// request is one call on its way.
type request struct {
	*http.Request
	method *method
	path   map[string]string
	query  url.Values
	body   object
}

// handlers are the methods that the cloud knows. Each is called with mu held.
var handlers = map[string]func(*Cloud, *request) (any, error){
	"compute.instances.insert":                (*Cloud).insertInstance,
	"compute.regionInstances.bulkInsert":      (*Cloud).bulkInsert,
	"compute.regionOperations.wait":           (*Cloud).waitOperation,
	"compute.instances.get":                   (*Cloud).getInstance,
	"compute.instances.delete":                (*Cloud).deleteInstance,
	"compute.instances.aggregatedList":        (*Cloud).listInstances,
	"compute.instances.start":                 (*Cloud).startInstance,
	"compute.instances.stop":                  (*Cloud).stopInstance,
	"compute.instances.getSerialPortOutput":   (*Cloud).serialPort,
	"compute.disks.get":                       (*Cloud).getDisk,
	"compute.disks.delete":                    (*Cloud).deleteDisk,
	"compute.disks.aggregatedList":            (*Cloud).listDisks,
	"compute.globalOperations.aggregatedList": (*Cloud).listOperations,
	"compute.firewalls.get":                   (*Cloud).getFirewall,
	"compute.firewalls.insert":                (*Cloud).insertFirewall,
	"compute.firewalls.patch":                 (*Cloud).patchFirewall,
	"compute.addresses.get":                   (*Cloud).getAddress,

	"cloudresourcemanager.projects.testIamPermissions": (*Cloud).testPermissions,
	"compute.subnetworks.testIamPermissions":           (*Cloud).testPermissions,

	"compute.instanceGroupManagers.get":                        (*Cloud).getGroup,
	"compute.instanceGroupManagers.listManagedInstances":       (*Cloud).listMembers,
	"compute.instanceGroupManagers.resize":                     (*Cloud).resizeGroup,
	"compute.instanceGroupManagers.deleteInstances":            (*Cloud).deleteMembers,
	"compute.regionInstanceGroupManagers.get":                  (*Cloud).getGroup,
	"compute.regionInstanceGroupManagers.listManagedInstances": (*Cloud).listMembers,
	"compute.regionInstanceGroupManagers.resize":               (*Cloud).resizeGroup,
	"compute.regionInstanceGroupManagers.deleteInstances":      (*Cloud).deleteMembers,
	"compute.autoscalers.get":                                  (*Cloud).getAutoscaler,
	"compute.regionAutoscalers.get":                            (*Cloud).getAutoscaler,

	"compute.projects.get":          (*Cloud).getProject,
	"compute.zoneOperations.get":    (*Cloud).getOperation,
	"compute.globalOperations.get":  (*Cloud).getOperation,
	"compute.instances.setMetadata": (*Cloud).setMetadata,
	"compute.firewalls.update":      (*Cloud).patchFirewall,
}

func (c *Cloud) serve(w http.ResponseWriter, hr *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	if err != nil {
		return // the caller is gone
	}
	c.mu.Lock()
	fault := c.fault
	c.mu.Unlock()
	switch fault {
	case "junk":
		_, _ = io.WriteString(w, `{"kind":"compute#nothing","items":[`) // whoever went away wants no answer
		return
	case "other kind":
		_, _ = io.WriteString(w, `{"kind":"compute#nothing"}`)
		return
	case "proxy page":
		_, _ = io.WriteString(w, "<html><body>Sign in to the network</body></html>")
		return
	}
	answer, err := c.take(hr, body)
	switch {
	case fault == "silent":
		select {
		case <-hr.Context().Done():
		case <-time.After(silence):
		}
		return
	case err != nil:
	case fault == "lost answer" && makes(hr), fault == "lost removal" && removes(hr):
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	reply(w, answer, err)
}

// makes tells whether a request makes VMs, and removes whether it removes some.
func makes(r *http.Request) bool {
	at := r.URL.Path
	return r.Method == http.MethodPost && (strings.HasSuffix(at, "/instances") || strings.HasSuffix(at, "/bulkInsert") || strings.HasSuffix(at, "/resize"))
}

func removes(r *http.Request) bool {
	return r.Method == http.MethodDelete || r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/deleteInstances")
}

// take holds a request against the document and carries it out.
func (c *Cloud) take(hr *http.Request, body []byte) (any, error) {
	doc := c.document
	if strings.HasPrefix(hr.URL.Path, "/v1/projects/") {
		doc = c.rights
	}
	path, ok := strings.CutPrefix(hr.URL.Path, "/"+doc.ServicePath)
	m, named := doc.find(hr.Method, path)
	if !ok || m == nil {
		return nil, c.note(hr, errors.New("no such method"))
	}
	r := &request{Request: hr, method: m, path: named, query: hr.URL.Query()}
	if err := doc.checkQuery(m, named, r.query); err != nil {
		return nil, c.note(hr, err)
	}
	if err := doc.checkBody(m, body); err != nil {
		return nil, c.note(hr, err)
	}
	if id := r.query.Get("requestId"); id != "" && !uuid.MatchString(id) {
		return nil, c.note(hr, errors.New("requestId "+id+" is no UUID"))
	}
	if len(body) > 0 {
		_ = json.Unmarshal(body, &r.body) // it was read before
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	c.calls[m.ID]++
	if err := c.admit(r); err != nil {
		return nil, err
	}
	if r.path["zone"] != "" && !c.hasZone(r.path["zone"]) {
		return nil, refuse(http.StatusNotFound, "notFound", "The resource 'projects/%s/zones/%s' was not found", r.path["project"], r.path["zone"])
	}
	if id := r.query.Get("requestId"); id != "" {
		if before := c.requests[m.ID+" "+id]; before != nil {
			return pick(maps.Clone(before.object), r.query.Get("fields")), nil
		}
	}
	handle := handlers[m.ID]
	if handle == nil {
		return nil, refuse(http.StatusNotImplemented, "notImplemented", "this cloud has no %s", m.ID)
	}
	answer, err := handle(c, r)
	if err != nil {
		return nil, err
	}
	return pick(answer, r.query.Get("fields")), nil
}

// note remembers a request that the document does not allow.
func (c *Cloud) note(r *http.Request, why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, r.Method+" "+r.URL.RequestURI()+": "+why.Error())
	return refuse(http.StatusBadRequest, "invalid", "%v", why)
}

func reply(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	var no *refusal
	if errors.As(err, &no) {
		if no.retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.retry))
		}
		w.WriteHeader(no.status)
		answer = object{"error": object{"code": no.status, "message": no.message, "errors": []any{
			object{"message": no.message, "domain": "global", "reason": no.reason},
		}}}
	}
	_ = json.NewEncoder(w).Encode(answer) // whoever went away wants no answer
}

func (c *Cloud) hasZone(zone string) bool {
	for _, z := range c.settings.Zones {
		if z == zone {
			return true
		}
	}
	return false
}

// testPermissions tells which of the permissions the caller has.
func (c *Cloud) testPermissions(r *request) (any, error) {
	if c.denied[rightsAPI] && strings.HasPrefix(r.method.ID, "cloudresourcemanager.") {
		return nil, refuse(http.StatusForbidden, "accessNotConfigured", "Cloud Resource Manager API has not been used in project 1 before or it is disabled.")
	}
	asked, _ := r.body["permissions"].([]any)
	granted := []any{}
	for _, p := range asked {
		name, _ := p.(string)
		c.tried[name] = true
		if !c.denied[name] {
			granted = append(granted, p)
		}
	}
	return object{"permissions": granted}, nil
}
