package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// vm is what the API tells of an instance. Source: EC2 API Reference, "Instance".
type vm struct {
	id, state       string
	reason, why     string // why it is in that state: a code, and words
	launched, zone  string
	instanceType    string
	public, private string // addresses
	lifecycle, spot string // spot, or nothing; the id of the spot request
	tags            map[string]string
}

func readVM(e awsapi.Element) vm {
	return vm{
		id: e.At("instanceId"), state: e.At("instanceState", "name"), reason: e.At("stateReason", "code"), why: e.At("stateReason", "message"),
		launched: e.At("launchTime"), zone: e.At("placement", "availabilityZone"), instanceType: e.At("instanceType"), public: e.At("ipAddress"), private: e.At("privateIpAddress"),
		lifecycle: e.At("instanceLifecycle"), spot: e.At("spotInstanceRequestId"), tags: readTags(e),
	}
}

func readTags(e awsapi.Element) map[string]string {
	tags := map[string]string{}
	for _, t := range e.Items("tagSet") {
		tags[t.At("key")] = t.At("value")
	}
	return tags
}

// vms reads instances, of all pages.
func (p place) vms(f form) (found []vm, complete bool, err error) {
	whole := true
	complete, err = p.pages("DescribeInstances", f, func(a answer) {
		whole = whole && slices.ContainsFunc(a.Children, func(e awsapi.Element) bool { return e.Name == "reservationSet" })
		for _, reservation := range a.Items("reservationSet") {
			for _, e := range reservation.Items("instancesSet") {
				found = append(found, readVM(e))
			}
		}
	})
	if err == nil && !whole {
		err = p.nonsense("DescribeInstances", "it has no list of instances")
	}
	return found, complete, err
}

// machine returns the owner's instances of that name, those that are gone but still shown among them.
func (p place) machine(owner, name string) ([]vm, error) {
	f := newForm()
	f.filter("tag:"+tagOwner, owner)
	f.filter("tag:"+tagMachine, name)
	found, _, err := p.vms(f)
	mine := slices.DeleteFunc(found, func(v vm) bool { return v.tags[tagOwner] != owner || v.tags[tagMachine] != name })
	return mine, err
}

// key is a key pair.
type key struct {
	id, name, created string
	tags              map[string]string
}

func (p place) keyPairs(filter func(form)) (found []key, err error) {
	f := newForm()
	filter(f)
	_, err = p.pages("DescribeKeyPairs", f, func(a answer) {
		for _, e := range a.Items("keySet") {
			found = append(found, key{e.At("keyPairId"), e.At("keyName"), e.At("createTime"), readTags(e)})
		}
	})
	return found, err
}

// List returns the instances that bear the owner's tag, in all zones of the region by one call a page. A key pair of which the instance is gone
// counts too, as a machine that is being created: it is something to remove.
func (amazonec2) List(req abi.ListRequest) (abi.ListResult, error) {
	p, err := reachable(req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	ours := func(f form) {
		if req.AllOwners {
			f.filter("tag-key", tagOwner)
		} else {
			f.filter("tag:"+tagOwner, req.Owner.ID)
		}
	}
	f := newForm()
	f.Set("MaxResults", "1000")
	ours(f)
	found, complete, err := p.vms(f)
	if err != nil {
		return abi.ListResult{}, driver.About("list the instances", err)
	}
	l := listing{place: p, owner: req.Owner.ID, all: req.AllOwners, byName: map[string]abi.Instance{}, removed: map[string]bool{}}
	ending := l.ending(found)
	for _, v := range found {
		l.add(v, ending[v.spot])
	}
	keys, err := p.keyPairs(ours)
	l.lacking("key pairs that machines left behind are not found", err)
	for _, k := range keys {
		l.addKey(k)
	}
	res := abi.ListResult{Complete: complete}
	for _, id := range sortedKeys(l.byName) {
		if !l.removed[id] {
			res.Instances = append(res.Instances, l.byName[id])
		}
	}
	return res, nil
}

// listing is a list as it grows.
type listing struct {
	place
	owner  string
	all    bool
	byName map[string]abi.Instance // by owner and name
	// removed are those of byName that somebody removed and that are shown for an hour: of no interest, unless their key pair is left.
	removed map[string]bool
}

// add takes an instance, of several with one name the one that is not gone, else the last.
func (l *listing) add(v vm, ending bool) {
	i, owner := v.instance(), v.tags[tagOwner]
	if l.all {
		i.Owner = owner
	} else if owner != l.owner {
		return // the filter was not heeded
	}
	if ending && i.Status == abi.StatusRunning {
		i.Status, i.Message = abi.StatusInterrupted, "AWS takes the spot instance back"
	}
	id := owner + " " + i.Name
	if has, ok := l.byName[id]; ok && has.Status != abi.StatusGone && i.Status == abi.StatusGone ||
		ok && (has.Status == abi.StatusGone) == (i.Status == abi.StatusGone) && has.CreatedAt > i.CreatedAt {
		return
	}
	l.byName[id], l.removed[id] = i, v.reason == reasonRemoved && i.Status == abi.StatusGone
}

// addKey takes a key pair, unless a machine of its name is there or was there just now.
func (l *listing) addKey(k key) {
	owner, name := k.tags[tagOwner], opts.Or(k.tags[tagMachine], k.name)
	id := owner + " " + name
	if _, ok := l.byName[id]; ok || !l.all && owner != l.owner {
		delete(l.removed, id)
		return
	}
	i := abi.Instance{Name: name, ID: k.id, Status: abi.StatusCreating, Message: "there is only its key pair " + k.name, CreatedAt: seconds(k.created)}
	if l.all {
		i.Owner = owner
	}
	l.byName[id] = i
}

// ending tells which spot requests AWS is about to end, two minutes ahead. A role without the right to look loses no more than that.
func (l *listing) ending(found []vm) map[string]bool {
	if !slices.ContainsFunc(found, func(v vm) bool { return v.spot != "" && v.status() == abi.StatusRunning }) {
		return nil
	}
	f := newForm()
	f.filter("status-code", "marked-for-termination", "marked-for-stop", "marked-for-hibernation")
	out := map[string]bool{}
	_, err := l.pages("DescribeSpotInstanceRequests", f, func(a answer) {
		for _, e := range a.Items("spotInstanceRequestSet") {
			out[e.At("spotInstanceRequestId")] = true
		}
	})
	l.lacking("spot instances that AWS takes back are noticed when they are gone", err)
	return out
}

// logged holds what the agent's log was told already, so that a list every few seconds does not tell it each time.
var logged sync.Map

// lacking tells of a part of the list that is missing. Only the instances themselves are worth an error.
func (l *listing) lacking(consequence string, err error) {
	if err == nil {
		return
	}
	if _, before := logged.LoadOrStore(l.endpoint+" "+consequence+" "+err.Error(), true); !before {
		host.Log(host.LevelWarn, "a part of the list could not be read: "+consequence, map[string]string{"error": err.Error()})
	}
}

// instance turns what the API tells into the host's terms.
func (v vm) instance() abi.Instance {
	i := abi.Instance{
		Name: v.tags[tagMachine], ID: v.id, Status: v.status(), SSHUser: v.tags[tagUser], Address: v.public,
		CreatedAt: seconds(v.launched), State: stateOf(v.launched), GPUs: gpus(v.instanceType),
	}
	if port, err := strconv.Atoi(v.tags[tagPort]); err == nil && port > 0 && port < 65536 {
		i.SSHPort = port
	}
	switch {
	case v.tags[tagReach] == reachPrivate:
		i.Address = v.private
	case i.Status == abi.StatusRunning && v.public == "":
		i.Message = "the instance has no public address: use a subnet that gives one, or " + optUsePrivate
	}
	if i.Status == abi.StatusRunning || i.Status == abi.StatusCreating {
		return i
	}
	i.Message = opts.Or(v.why, "the instance is "+v.state)
	if m, ok := meaningOf(v.reason); ok && i.Status == abi.StatusGone && v.reason != reasonTakenBack && v.reason != reasonRemoved && m.kind != abi.Invalid && m.kind != abi.NotFound {
		i.Error = told(m, v.reason, i.Message)
	}
	return i
}

// Reasons of instances that are gone: AWS took a spot instance back, or somebody asked.
const (
	reasonTakenBack = "Server.SpotInstanceTermination"
	reasonRemoved   = "Client.UserInitiatedShutdown"
)

// status is the host's word for an instance's state. Source: EC2 User Guide, "Instance lifecycle".
func (v vm) status() abi.Status {
	switch v.state {
	case "pending":
		return abi.StatusCreating
	case "running":
		return abi.StatusRunning
	case "stopping", "stopped":
		if v.lifecycle == "spot" {
			return abi.StatusInterrupted
		}
		return abi.StatusStopped
	case "shutting-down", "terminated":
		return abi.StatusGone
	}
	return abi.StatusUnknown
}

// stateOf is what the host keeps with a machine: when it was launched.
func stateOf(launched string) abi.Raw {
	if launched = seconds(launched); launched == "" {
		return nil
	}
	return abi.Raw(`{"launched":"` + launched + `"}`)
}

// launchedAt reads what stateOf wrote.
func launchedAt(state abi.Raw) (time.Time, bool) {
	_, rest, _ := strings.Cut(string(state), `"launched":"`)
	text, _, _ := strings.Cut(rest, `"`)
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// seconds turns the API's RFC 3339 time with milliseconds and any zone into UTC and seconds; "" when it is no time.
func seconds(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
