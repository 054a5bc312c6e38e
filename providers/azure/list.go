package main

import (
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// List returns the VMs that bear the owner's tag, of the whole resource group by one call a page. An interface, address or disk of which the VM is
// gone counts too, as a machine that is being created: it is something to remove.
func (azure) List(req abi.ListRequest) (abi.ListResult, error) {
	p, err := reachable(req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	l := &listing{place: p, owner: req.Owner.ID, all: req.AllOwners, known: map[string]bool{}}
	left, err := l.parts() // before the machines: else those of one that is made meanwhile would look left behind
	if err != nil {
		return abi.ListResult{}, driver.About("list the resources", err)
	}
	machines, now, err := pages[vm](p, p.compute("virtualMachines"), versionCompute, nil)
	if codeOf(err) == codeGroupMissing {
		return abi.ListResult{Complete: true}, nil
	}
	if err != nil {
		return abi.ListResult{}, driver.About("list the virtual machines", err)
	}
	for _, v := range machines {
		if l.shows(v.Tags) {
			l.machines = append(l.machines, v)
			l.known[strings.ToLower(v.Name)] = true
		}
	}
	l.now = now
	if err := l.fill(); err != nil {
		return abi.ListResult{}, err
	}
	l.leftBehind(left)
	return abi.ListResult{Instances: l.instances, Complete: true}, nil
}

// listing is a list as it grows.
type listing struct {
	place
	owner     string
	all       bool
	machines  []vm
	now       time.Time
	known     map[string]bool // by name in lower case
	instances []abi.Instance
}

// shows tells whether what bears these tags is wanted.
func (l *listing) shows(tags map[string]string) bool {
	return tags[tagOwner] == l.owner || l.all && tags[tagOwner] != ""
}

func (l *listing) add(i abi.Instance, tags map[string]string) {
	if l.all {
		i.Owner = tags[tagOwner]
	}
	l.instances = append(l.instances, i)
}

// fill turns the machines into instances: with their power states and their addresses, for all of them by one call a page each.
func (l *listing) fill() error {
	if len(l.machines) == 0 {
		return nil
	}
	states, err := l.powers()
	if err != nil {
		return err
	}
	addresses, err := l.addresses()
	if err != nil {
		return err
	}
	for _, v := range l.machines {
		i := v.instance(states[strings.ToLower(v.ID)])
		for _, nic := range v.Properties.NetworkProfile.Interfaces {
			if i.Address == "" {
				i.Address = addresses[strings.ToLower(nic.ID)].of(v.Tags[tagReach])
			}
		}
		l.add(aged(i, l.now), v.Tags)
	}
	return nil
}

// failedFor is for how long a machine that failed counts as gone: whoever made it learns why, and removes it. After that it is something that stands
// around, for the host to find and remove.
const failedFor = 30 * time.Minute

func aged(i abi.Instance, now time.Time) abi.Instance {
	made, err := time.Parse(time.RFC3339, i.CreatedAt)
	if i.Status == abi.StatusGone && i.Error != nil && err == nil && now.Sub(made) > failedFor {
		i.Status, i.Error = abi.StatusStopped, nil
	}
	return i
}

// powers returns the power states of the subscription's machines by id. A role that sees the resource group alone may not read them: then what is
// provisioned counts as running, and why a machine failed is asked of a few.
func (l *listing) powers() (map[string]powers, error) {
	states := map[string]powers{}
	all, _, err := pages[vm](l.place, "/subscriptions/"+l.subscription+"/providers/Microsoft.Compute/virtualMachines", versionCompute, url.Values{"statusOnly": {"true"}})
	if driver.Is(err, abi.Auth) {
		l.lacking("power states are not known, and what was switched off looks as if it ran", err)
		return l.guessed(), nil
	}
	if err != nil {
		return nil, driver.About("list the power states", err)
	}
	for _, v := range all {
		states[strings.ToLower(v.ID)] = powersOf(v)
	}
	return states, nil
}

// mostLooks bounds the looks at single machines in one list.
const mostLooks = 10

func (l *listing) guessed() map[string]powers {
	states := map[string]powers{}
	asked := 0
	for _, v := range l.machines {
		switch state := v.Properties.ProvisioningState; {
		case state == "Succeeded" || state == "Updating":
			states[strings.ToLower(v.ID)] = powers{power: "running"}
		case state == "Failed" && asked < mostLooks:
			asked++
			if with, err := l.machine(v.Name); err == nil {
				states[strings.ToLower(v.ID)] = powersOf(with)
			}
		}
	}
	return states
}

// address is by what a machine's interface is reached.
type address struct{ public, name, private string }

func (a address) of(reach string) string {
	switch reach {
	case reachPrivate:
		return a.private
	case reachName:
		return a.name
	}
	return a.public
}

// addresses returns the addresses of interfaces by their ids, of those kinds that the machines need.
func (l *listing) addresses() (map[string]address, error) {
	found := map[string]address{}
	var public, private bool
	for _, v := range l.machines {
		private = private || v.Tags[tagReach] == reachPrivate
		public = public || v.Tags[tagReach] != reachPrivate
	}
	if public {
		all, _, err := pages[publicIP](l.place, l.network(l.group, "publicIPAddresses"), versionNetwork, nil)
		if err != nil {
			return nil, driver.About("list the public addresses", err)
		}
		for _, ip := range all {
			nic, _, _ := strings.Cut(strings.ToLower(ip.Properties.IPConfiguration.ID), "/ipconfigurations/")
			a := found[nic]
			a.public, a.name = ip.Properties.IPAddress, ip.Properties.DNSSettings.FQDN
			found[nic] = a
		}
	}
	if private {
		all, _, err := pages[networkInterface](l.place, l.network(l.group, "networkInterfaces"), versionNetwork, nil)
		if err != nil {
			return nil, driver.About("list the network interfaces", err)
		}
		for _, nic := range all {
			a := found[strings.ToLower(nic.ID)]
			for _, c := range nic.Properties.IPConfigurations {
				a.private = c.Properties.PrivateIPAddress
			}
			found[strings.ToLower(nic.ID)] = a
		}
	}
	return found, nil
}

// partTypes are the types of what belongs to a machine, in the order in which it is removed, with the versions of their APIs and in words.
var partTypes = []struct{ name, version, words string }{
	{"microsoft.network/networkinterfaces", versionNetwork, "network interface"},
	{"microsoft.network/publicipaddresses", versionNetwork, "public address"},
	{"microsoft.compute/disks", versionDisks, "disk"},
}

// typeOf returns the place of a part's type among partTypes, -1 for all others.
func typeOf(r resource) int {
	for i, t := range partTypes {
		if strings.EqualFold(r.Type, t.name) {
			return i
		}
	}
	return -1
}

// parts returns what the resource group has of machines' parts. A role without the right to list them loses no more than that.
func (l *listing) parts() ([]resource, error) {
	filter := "tagName eq '" + tagOwner + "' and tagValue eq '" + l.owner + "'"
	if l.all {
		filter = "tagName eq '" + tagOwner + "'"
	}
	all, _, err := pages[resource](l.place, l.id(l.group)+"/resources", versionResources, url.Values{"$filter": {filter}})
	switch {
	case codeOf(err) == codeGroupMissing:
		return nil, nil
	case driver.Is(err, abi.Auth):
		l.lacking("what machines left behind is not found", err)
		return nil, nil
	}
	return all, err
}

// leftBehind adds what is there of machines that are not. Azure's index of resources lags behind, so that each is looked at before it is believed.
func (l *listing) leftBehind(parts []resource) {
	asked := 0
	for _, r := range parts {
		name, kind := r.Tags[tagMachine], typeOf(r)
		if kind < 0 || name == "" || !l.shows(r.Tags) || l.known[strings.ToLower(name)] || asked == mostLooks || !l.ours(r.ID) {
			continue
		}
		asked++
		var now resource
		if err := l.get(r.ID, partTypes[kind].version, &now); driver.Is(err, abi.NotFound) {
			continue
		}
		l.known[strings.ToLower(name)] = true
		l.add(abi.Instance{
			Name: name, ID: strings.ToLower(r.ID), Status: abi.StatusCreating, Message: "there is only its " + partTypes[kind].words + " " + r.Name,
		}, r.Tags)
	}
}

// ours tells whether an id lies in the resource group.
func (p place) ours(id string) bool {
	return strings.HasPrefix(strings.ToLower(id), strings.ToLower(p.id(p.group))+"/providers/")
}

// logged remembers what was told, so that a right that is missing is not told at each list.
var logged sync.Map

// lacking logs what a list does without. Only the machines themselves are worth an error.
func (l *listing) lacking(consequence string, err error) {
	if _, before := logged.LoadOrStore(l.subscription+l.group+consequence+err.Error(), true); !before {
		host.Log(host.LevelWarn, "a part of the list could not be read: "+consequence, map[string]string{"error": err.Error()})
	}
}

// portOf reads the tag of an engine's port.
func portOf(tag string) int {
	n, err := strconv.Atoi(tag)
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}

// seconds turns the API's time into UTC and seconds; "" when it is no time.
func seconds(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
