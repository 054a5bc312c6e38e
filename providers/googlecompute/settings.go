package main

import (
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// texts are what the driver tells people to do.
var texts = gce.Texts{
	Driver:   name,
	Capacity: "give the group's template another machine type, or use a group of another zone or of a region",
	Missing:  "see that the group's template names a machine type, image, network and service account that there are",
}

// group is which group it is.
type group struct {
	gce.API
	name   string
	zone   string // of a group in one zone
	region string // of one in several; one of the two is set
}

// read turns options into a group and lists everything that is wrong with them.
func read(o abi.Options) (group, []abi.Problem) {
	r := &opts.Reader{Options: o}
	g := group{
		API:  gce.API{Endpoint: gce.URLOfEndpoint(o.Get(optEndpoint)), Project: o.Get(optProject), Texts: &texts},
		name: o.Get(optName), zone: o.Get(optZone), region: o.Get(optRegion),
	}
	gce.CheckProject(r, optProject, g.Project)
	switch {
	case g.name == "":
		r.Wrong(optName, "is missing; give the name of the instance group")
	case !gce.NameLike.MatchString(g.name):
		r.Bad(optName, g.name, "the name of an instance group: lower-case letters, digits and hyphens, 63 at most")
	}
	switch {
	case g.zone == "" && g.region == "":
		r.Wrong(optZone, "is missing; give the zone of the group, such as "+exampleZone+", or the region of a group of several zones as "+optRegion)
	case g.zone != "" && g.region != "":
		if gce.RegionOf(g.zone) != g.region {
			r.Bad(optRegion, g.region, "either "+optZone+" or "+optRegion+"; the zone "+opts.Short(g.zone)+" is in another region")
		}
		g.region = ""
	case gce.IsRegion(g.zone):
		r.Warn(optZone, g.zone+" is a region: the group is looked for among those of several zones; write it as "+optRegion)
		g.zone, g.region = "", g.zone
	case g.zone != "":
		gce.CheckZone(r, optZone, g.zone, exampleZone)
	case !gce.IsRegion(g.region):
		r.Odd(optRegion, g.region, "a region is such as europe-west1")
	}
	return g, r.Problems
}

// Validate reads the options without asking the cloud.
func (googlecompute) Validate(req abi.ValidateRequest) []abi.Problem {
	_, problems := read(req.Options)
	return problems
}

// usable returns the group, or the first problem as an error.
func usable(o abi.Options) (group, error) {
	g, problems := read(o)
	return g, (&opts.Reader{Problems: problems}).Err()
}

// location is where the group is, as paths and the cloud's own metadata name it.
func (g group) location() (kind, place string) {
	if g.zone != "" {
		return "zones", g.zone
	}
	return "regions", g.region
}

// at joins parts of a path below the group.
func (g group) at(parts ...string) string {
	kind, place := g.location()
	return g.In(append([]string{kind, place, "instanceGroupManagers", g.name}, parts...)...)
}

// id names the group in the world.
func (g group) id() string {
	_, place := g.location()
	return "google/" + g.Project + "/" + place + "/" + g.name
}

// gcloud is a command that people paste to change the group.
func (g group) gcloud(verb, change string) string {
	kind, place := g.location()
	return "gcloud compute instance-groups managed " + verb + " " + g.name + " --project=" + g.Project + " --" + strings.TrimSuffix(kind, "s") + "=" + place + " " + change
}

// fields asks for these parts of an answer.
func fields(list string) url.Values { return url.Values{"fields": {list}} }
