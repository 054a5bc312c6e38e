package main

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// Bounds of a list in pages of 500 entries: of machines, and of the newest operations that failed.
const (
	maxPages    = 200
	failedPages = 1
)

// vm is what the API tells of an instance. Source: Compute Engine API v1, "Instances".
type vm struct {
	gce.Kinded
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Status            string            `json:"status"`
	StatusMessage     string            `json:"statusMessage"`
	CreationTimestamp string            `json:"creationTimestamp"`
	Zone              string            `json:"zone"`
	Labels            map[string]string `json:"labels"`
	Scheduling        struct {
		Preemptible       bool   `json:"preemptible"`
		ProvisioningModel string `json:"provisioningModel"`
	} `json:"scheduling"`
	GuestAccelerators []struct {
		Type  string `json:"acceleratorType"`
		Count int    `json:"acceleratorCount"`
	} `json:"guestAccelerators"`
	NetworkInterfaces []struct {
		NetworkIP     string `json:"networkIP"`
		AccessConfigs []struct {
			NatIP string `json:"natIP"`
		} `json:"accessConfigs"`
	} `json:"networkInterfaces"`
}

// vmFields keeps metadata, and with it the keys, out of answers.
const vmFields = "id,name,status,statusMessage,creationTimestamp,zone,labels,scheduling(preemptible,provisioningModel)," +
	"guestAccelerators," +
	"networkInterfaces(networkIP,accessConfigs(natIP))"

// disk is what the API tells of a disk.
type disk struct {
	gce.Kinded
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	CreationTimestamp string            `json:"creationTimestamp"`
	Zone              string            `json:"zone"`
	Labels            map[string]string `json:"labels"`
	Users             []string          `json:"users"`
}

const diskFields = "id,name,creationTimestamp,zone,labels,users"

// scope is one zone's part of a page.
type scope struct {
	Instances  []vm            `json:"instances"`
	Disks      []disk          `json:"disks"`
	Operations []gce.Operation `json:"operations"`
	Warning    warning         `json:"warning"`
}

type warning struct {
	Code string `json:"code"`
}

// bad tells whether a warning says that something is missing.
func (w warning) bad() bool { return w.Code != "" && w.Code != "NO_RESULTS_ON_PAGE" }

// page is one page of an aggregated list.
type page struct {
	gce.Kinded
	Items         map[string]scope `json:"items"`
	NextPageToken string           `json:"nextPageToken"`
	Warning       warning          `json:"warning"`
	Unreachables  []string         `json:"unreachables"`
}

// aggregated reads a list of all zones, newest first: what is instances, disks or operations. It is not complete when a zone is missing, or
// a page beyond those that are wanted.
func (p place) aggregated(what, kind, fields, filter string, pages int, each func(scope)) (complete bool, err error) {
	query := url.Values{
		"filter": {filter}, "maxResults": {"500"}, "returnPartialSuccess": {"true"}, "orderBy": {"creationTimestamp desc"},
		"fields": {"kind,nextPageToken,warning/code,unreachables,items/*(warning/code," + what + "(" + fields + "))"},
	}
	complete = true
	for range pages {
		var got page
		if err := p.Call("GET", p.In("aggregated", what), query, nil, kind, &got); err != nil {
			return false, err
		}
		complete = complete && !got.Warning.bad() && len(got.Unreachables) == 0
		for _, s := range got.Items {
			complete = complete && !s.Warning.bad()
			each(s)
		}
		if got.NextPageToken == "" {
			return complete, nil
		}
		query.Set("pageToken", got.NextPageToken)
	}
	return false, nil
}

// List returns the VMs that bear the owner's label, in all zones of the project by one call a page. A boot disk of which the VM is gone
// counts too, as a machine that is being created: it is something to remove. So does a creation that failed after create had answered,
// as one that is gone, with the reason.
func (google) List(req abi.ListRequest) (abi.ListResult, error) {
	p, err := reachable(req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	filter := "labels." + labelOwner + "=" + req.Owner.ID
	if req.AllOwners {
		filter = "labels." + labelOwner + ":*"
	}
	l := &listing{place: p, owner: req.Owner.ID, all: req.AllOwners, known: map[string]bool{}}
	if l.result.Complete, err = p.aggregated("instances", "compute#instanceAggregatedList", vmFields, filter, maxPages, func(s scope) {
		for _, i := range s.Instances {
			l.add(i.instance(), i.Labels)
		}
	}); err != nil {
		return abi.ListResult{}, driver.About("list the instances", err)
	}
	for _, i := range l.failures() {
		if !l.known[i.Name] {
			l.add(i, nil)
		}
	}
	for _, d := range l.disks(filter) {
		l.addDisk(d)
	}
	return l.result, nil
}

// listing is a list as it grows.
type listing struct {
	place
	owner  string
	all    bool
	known  map[string]bool // by name
	result abi.ListResult
}

func (l *listing) add(i abi.Instance, labels map[string]string) {
	if l.all {
		i.Owner = labels[labelOwner]
	} else if labels != nil && labels[labelOwner] != l.owner {
		return // the filter was not heeded
	}
	l.known[i.Name] = true
	l.result.Instances = append(l.result.Instances, i)
}

// disks returns the boot disks that no VM uses. A role without the right to list them loses no more than that.
func (l *listing) disks(filter string) (free []disk) {
	_, err := l.aggregated("disks", "compute#diskAggregatedList", diskFields, filter, maxPages, func(s scope) {
		for _, d := range s.Disks {
			if len(d.Users) == 0 {
				free = append(free, d)
			}
		}
	})
	l.lacking("boot disks that machines left behind are not found", err)
	return free
}

func (l *listing) addDisk(d disk) {
	name := strings.TrimSuffix(d.Name, diskSuffix) // a bulk insert's disk has the machine's own name
	if l.known[name] {
		return
	}
	l.add(abi.Instance{
		Name: name, ID: "disk-" + d.ID, Status: abi.StatusCreating, CreatedAt: gce.Seconds(d.CreationTimestamp), State: state{gce.LastPart(d.Zone), d.Name}.raw(),
		Message: "there is only its disk " + d.Name,
	}, d.Labels)
}

// failures returns the machines whose creation failed lately, as the cloud remembers its operations. Of several for one name the last counts.
func (l *listing) failures() []abi.Instance {
	if l.all {
		return nil
	}
	last := map[string]gce.Operation{}
	_, err := l.aggregated("operations", "compute#operationAggregatedList", operationFields, failedInserts, failedPages, func(s scope) {
		for _, op := range s.Operations {
			if name := gce.LastPart(op.TargetLink); l.asked(op, name) && op.InsertTime >= last[name].InsertTime {
				last[name] = op
			}
		}
	})
	l.lacking("why a creation failed is not known, but that it failed is", err)
	var out []abi.Instance
	for name, op := range last {
		if why, ok := l.Failure(op).(*abi.Error); ok {
			out = append(out, abi.Instance{
				Name: name, ID: op.TargetID, Status: abi.StatusGone, Message: why.Message, Error: why, CreatedAt: gce.Seconds(op.InsertTime),
				State: stateOf(gce.LastPart(op.Zone)),
			})
		}
	}
	slices.SortFunc(out, func(a, b abi.Instance) int { return strings.Compare(a.Name, b.Name) })
	return out
}

const (
	failedInserts   = `(operationType = "insert") (status = "DONE") (httpErrorStatusCode >= 400)`
	operationFields = "name,clientOperationId,operationType,status,targetId,targetLink,zone,insertTime,httpErrorStatusCode,error"
)

// asked tells whether an operation is the creation of a machine of that name by this owner.
func (l *listing) asked(op gce.Operation, name string) bool {
	for try := range insertTries {
		if op.ClientOperationID == insertID(l.owner, name, try) {
			return true
		}
	}
	return false
}

// logged remembers what was told, so that a right that is missing is not told at each list.
var logged sync.Map

// lacking logs what a list does without. Only the instances themselves are worth an error.
func (l *listing) lacking(consequence string, err error) {
	if err == nil {
		return
	}
	if _, before := logged.LoadOrStore(l.Project+" "+consequence+" "+err.Error(), true); !before {
		host.Log(host.LevelWarn, "a part of the list could not be read: "+consequence, map[string]string{"error": err.Error()})
	}
}

// instance turns what the API tells into the host's terms.
func (v vm) instance() abi.Instance {
	i := abi.Instance{
		Name: v.Name, ID: v.ID, Status: v.status(), Message: v.StatusMessage, SSHUser: userOf(v.Labels[labelUser]),
		CreatedAt: gce.Seconds(v.CreationTimestamp), State: stateOf(gce.LastPart(v.Zone)),
	}
	if i.Message == "" && i.Status != abi.StatusRunning && i.Status != abi.StatusCreating {
		i.Message = "the instance is " + v.Status
	}
	for _, a := range v.GuestAccelerators {
		if strings.HasPrefix(gce.LastPart(a.Type), "nvidia-") {
			i.GPUs += a.Count
		}
	}
	if len(v.NetworkInterfaces) == 0 {
		return i
	}
	first := v.NetworkInterfaces[0]
	if v.Labels[labelReach] == reachInternal {
		i.Address = first.NetworkIP
	} else if len(first.AccessConfigs) > 0 {
		i.Address = first.AccessConfigs[0].NatIP
	}
	return i
}

// status is the host's word for an instance's status.
func (v vm) status() abi.Status {
	return gce.Status(v.Status, v.Scheduling.Preemptible || v.Scheduling.ProvisioningModel == "SPOT")
}

// state is what the host keeps with a machine.
type state struct {
	Zone string `json:"zone"`
	Disk string `json:"disk,omitempty"` // its name, of a boot disk that has no VM
}

func stateOf(zone string) abi.Raw { return state{Zone: zone}.raw() }

func (s state) raw() abi.Raw {
	data, _ := json.Marshal(s) // strings always marshal
	return abi.Raw(data)
}
