package gce

import (
	"regexp"
	"strings"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
)

// What the cloud's names look like.
var (
	ProjectLike = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	ZoneLike    = regexp.MustCompile(`^[a-z]+(-[a-z]+)+[0-9]+-[a-z]$`)
	NameLike    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

	hyphened = regexp.MustCompile(`^([a-z]+(?:-[a-z]+)+)-([0-9]+)(-[a-z])?$`) // as AWS writes regions
)

// CheckProject notes what is wrong with the id of a project.
func CheckProject(r *opts.Reader, option, project string) {
	if project == "" {
		r.Wrong(option, "is missing; give the id of the project")
	} else if !ProjectLike.MatchString(project) {
		r.Odd(option, project, "the id of a project has lower-case letters, digits and hyphens")
	}
}

// CheckZone notes what looks wrong with a zone; example is one.
func CheckZone(r *opts.Reader, option, zone, example string) {
	switch {
	case ZoneLike.MatchString(zone):
	case IsRegion(zone):
		r.Odd(option, zone, "that is a region; a zone is "+zone+"-a, for example")
	case hyphened.MatchString(zone):
		region := hyphened.ReplaceAllString(zone, "$1$2")
		r.Odd(option, zone, "Google writes "+region+" for the region; a zone of it is "+region+"-a, for example")
	default:
		r.Odd(option, zone, "a zone is such as "+example)
	}
}

// IsRegion tells whether a text looks like a region.
func IsRegion(text string) bool { return ZoneLike.MatchString(text + "-a") }

// URLOfEndpoint is an endpoint as requests begin with it.
func URLOfEndpoint(given string) string {
	return strings.TrimSuffix(opts.Or(given, Endpoint), "/")
}
