package fakegce

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// faults are the ways to fail that Fail knows: those of the suite of drivers, and Google's own.
var faults = []string{
	"", "stock-out", "quota", "rate limit", "auth", "trouble", "lost answer", "partial list", "lost removal", "half-made", "junk", "silent",
	"stock-out at once", "quota at once", "rate limit by 403", "no right", "api off", "proxy page", "other kind", "slow operations", "empty list",
}

// retryAfterS is what callers are told who called too often, as the suite of drivers has it.
const retryAfterS = 7

// Fail lets the cloud fail from now on; "" heals it.
func (c *Cloud) Fail(name string) error {
	if !slices.Contains(faults, name) {
		return fmt.Errorf("the cloud does not know how to fail by %q", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = name
	return nil
}

// rightsAPI is the API that tells what a caller may do; denied as a permission it is switched off in the project.
const rightsAPI = "cloudresourcemanager.googleapis.com"

// Grant gives all permissions back.
func (c *Cloud) Grant() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.denied)
}

// Deny takes a permission away from the caller, such as compute.disks.list, or a whole API, cloudresourcemanager.googleapis.com.
func (c *Cloud) Deny(permission string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied[permission] = true
}

// permissions are what a method needs beside the one that bears its own name.
// Source: Compute Engine API reference, "IAM Permissions" of each method.
var permissions = map[string][]string{
	"compute.instances.insert":                insertPermissions,
	"compute.regionInstances.bulkInsert":      insertPermissions,
	"compute.regionOperations.wait":           {"compute.regionOperations.get"},
	"compute.instances.get":                   {"compute.instances.get"},
	"compute.instances.delete":                {"compute.instances.delete"},
	"compute.instances.aggregatedList":        {"compute.instances.list"},
	"compute.disks.get":                       {"compute.disks.get"},
	"compute.disks.delete":                    {"compute.disks.delete"},
	"compute.disks.aggregatedList":            {"compute.disks.list"},
	"compute.globalOperations.aggregatedList": {"compute.globalOperations.list"},
	"compute.firewalls.get":                   {"compute.firewalls.get"},
	"compute.firewalls.insert":                {"compute.firewalls.create", "compute.networks.updatePolicy"},
	"compute.firewalls.patch":                 {"compute.firewalls.get", "compute.firewalls.update", "compute.networks.updatePolicy"},
	"compute.addresses.get":                   {"compute.addresses.get"},

	"compute.instances.setMetadata":                            {"compute.instances.setMetadata", "iam.serviceAccounts.actAs"},
	"compute.instanceGroupManagers.get":                        {"compute.instanceGroupManagers.get"},
	"compute.instanceGroupManagers.listManagedInstances":       {"compute.instanceGroupManagers.get"},
	"compute.instanceGroupManagers.resize":                     {"compute.instanceGroupManagers.update"},
	"compute.instanceGroupManagers.deleteInstances":            {"compute.instanceGroupManagers.update"},
	"compute.regionInstanceGroupManagers.get":                  {"compute.instanceGroupManagers.get"},
	"compute.regionInstanceGroupManagers.listManagedInstances": {"compute.instanceGroupManagers.get"},
	"compute.regionInstanceGroupManagers.resize":               {"compute.instanceGroupManagers.update"},
	"compute.regionInstanceGroupManagers.deleteInstances":      {"compute.instanceGroupManagers.update"},
	"compute.autoscalers.get":                                  {"compute.autoscalers.get"},
	"compute.regionAutoscalers.get":                            {"compute.autoscalers.get"},

	"cloudresourcemanager.projects.testIamPermissions": nil, // takes none
	"compute.subnetworks.testIamPermissions":           nil,
}

var insertPermissions = []string{
	"compute.instances.create", "compute.instances.setMetadata", "compute.instances.setTags", "compute.instances.setLabels",
	"compute.instances.setServiceAccount", "compute.disks.create", "compute.disks.setLabels", "compute.subnetworks.use",
	"compute.subnetworks.useExternalIp",
}

// Permissions returns the permissions that the calls so far need, sorted. It fails for a method whose permissions nobody has written down.
func (c *Cloud) Permissions() ([]string, error) {
	var all []string
	for id := range c.Record() {
		needs, ok := permissions[id]
		if !ok {
			return nil, fmt.Errorf("which permissions %s needs is not known to this package", id)
		}
		all = append(all, needs...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// refusal is an answer of 400 or more.
type refusal struct {
	status  int
	reason  string
	message string
	retry   int // seconds
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, reason, format string, args ...any) error {
	return &refusal{status: status, reason: reason, message: fmt.Sprintf(format, args...)}
}

// admit refuses a request that a fault, a missing token or a missing right forbids. The caller holds mu.
func (c *Cloud) admit(r *request) error {
	if t := c.settings.Token; t != "" && r.Header.Get("Authorization") != "Bearer "+t {
		return refuse(http.StatusUnauthorized, "authError", "Request had invalid authentication credentials. Expected OAuth 2 access token.")
	}
	for _, p := range permissions[r.method.ID] {
		if c.denied[p] {
			return refuse(http.StatusForbidden, "forbidden", "Required '%s' permission for 'projects/%s'", p, r.path["project"])
		}
	}
	insert := makes(r.Request)
	switch c.fault {
	case "rate limit":
		return &refusal{http.StatusTooManyRequests, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'.", retryAfterS}
	case "rate limit by 403":
		return refuse(http.StatusForbidden, "rateLimitExceeded", "Rate Limit Exceeded")
	case "auth":
		return refuse(http.StatusUnauthorized, "authError", "Request had invalid authentication credentials.")
	case "no right":
		return refuse(http.StatusForbidden, "forbidden", "Required '%s' permission for 'projects/%s'", permissions[r.method.ID][0], r.path["project"])
	case "api off":
		return refuse(http.StatusForbidden, "accessNotConfigured", "Compute Engine API has not been used in project %s before or it is disabled.", r.path["project"])
	case "trouble":
		return refuse(http.StatusServiceUnavailable, "backendError", "Backend Error")
	case "stock-out at once":
		if insert {
			return refuse(http.StatusServiceUnavailable, "RESOURCE_POOL_EXHAUSTED", "The zone does not have enough resources available to fulfill the request.")
		}
	case "quota at once":
		if insert {
			return refuse(http.StatusForbidden, "quotaExceeded", "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.")
		}
	}
	return nil
}

// doom lets the operation of an insert into a zone fail. It returns whether it does; half tells that the disk is made all the same. The caller holds mu.
func (c *Cloud) doom(op *operation, r *request) (failed, half bool) {
	zone, machineType := r.path["zone"], text(r.body, "machineType")
	fault := c.fault
	if c.exhausted[machineType[strings.LastIndexByte(machineType, '/')+1:]] {
		fault = "stock-out"
	}
	switch fault {
	case "stock-out":
		op.fail(http.StatusServiceUnavailable, "ZONE_RESOURCE_POOL_EXHAUSTED",
			"The zone 'projects/p/zones/"+zone+"' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.")
	case "quota":
		op.fail(http.StatusForbidden, "QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.")
	case "half-made":
		op.fail(http.StatusInternalServerError, "INTERNAL_ERROR", "Internal error. Please try again or contact Google Support.")
		return true, true
	default:
		return false, false
	}
	return true, false
}

// silence is how long a silent cloud takes at most.
const silence = time.Minute
