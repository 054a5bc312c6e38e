// Package gce is what drivers of Google Compute Engine share: requests and their answers, operations, what the cloud's codes mean to the host, and how
// Google is asked what a credential may do.
package gce

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Endpoint is the public one, scheme://host.
const Endpoint = "https://compute.googleapis.com"

// ResourcePrefix begins the URLs by which bodies name resources, whatever the endpoint is.
const ResourcePrefix = "https://www.googleapis.com/compute/v1/"

// scheme is how the host signs: with the credential of the driver's name.
const scheme = "google-oauth2"

// API is one project of Compute Engine, as a driver sees it.
type API struct {
	Endpoint string // scheme://host[:port]
	Project  string // its id
	Texts    *Texts
}

// Texts are what a driver tells people to do about what Google refuses.
type Texts struct {
	Driver   string // its name, which is the credential's too
	Capacity string // where there are no machines left
	Missing  string // where something is named that there is not
	Rights   string // where the credential lacks a right; "" is that the role of the driver's documentation is missing
}

// sign is the credential with the scope of Compute Engine.
func (t *Texts) sign() abi.Sign { return abi.Sign{Scheme: scheme, Credential: t.Driver} }

// credential is where the operator gives it.
func (t *Texts) credential() string {
	return "GOOGLE_APPLICATION_CREDENTIALS or [credentials." + t.Driver + "] in millwright.toml"
}

// Answer is what each of the API's answers begins with; its kind tells an answer from what a proxy made up.
type Answer interface{ OfKind() string }

// Kinded is embedded in answers.
type Kinded struct {
	Kind string `json:"kind"`
}

// OfKind implements Answer.
func (k Kinded) OfKind() string { return k.Kind }

// expected is an answer that must be of a kind; "" is for those that have none.
type expected struct {
	Answer
	want string
}

// UnmarshalJSON reads the answer itself.
func (e expected) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, e.Answer) }

// Whole implements rest.Answer.
func (e expected) Whole() bool { return e.OfKind() == e.want }

// Call sends one request and reads the answer into out, which must be of the kind given (compute#instance). path is below the API's
// version. Every failure, a status of 400 and more included, is an *abi.Error.
func (a API) Call(method, path string, query url.Values, body any, kind string, out Answer) error {
	return a.Ask(method, path, query, body, &expected{out, kind})
}

// Ask is Call for answers that have no kind, and tell in another way whether they are whole.
func (a API) Ask(method, path string, query url.Values, body any, out rest.Answer) error {
	api := rest.API{Endpoint: a.Endpoint, Sign: a.Texts.sign(), Token: "see " + a.Texts.credential(), Refused: a.Texts.refused}
	_, err := api.Call(method, "/compute/v1/"+path, query, body, out)
	return err
}

// In joins parts of a path below the project.
func (a API) In(parts ...string) string { return InProject(a.Project, parts...) }

// InProject joins parts of a path below a project.
func InProject(project string, parts ...string) string {
	path := "projects/" + url.PathEscape(project)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// LastPart is a resource's name of its URL.
func LastPart(link string) string { return link[strings.LastIndexByte(link, '/')+1:] }

// RegionOf is the region of a zone.
func RegionOf(zone string) string {
	if i := strings.LastIndexByte(zone, '-'); i > 0 {
		return zone[:i]
	}
	return zone
}

// Seconds turns the API's RFC 3339 time with milliseconds and any zone into UTC and seconds; "" when it is no time.
func Seconds(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Status is the host's word for a VM's status. One that the cloud may take back (spot) and that ends without being asked was taken back.
// Source: Compute Engine documentation, "VM instance lifecycle".
func Status(status string, spot bool) abi.Status {
	switch status {
	case "PENDING", "PROVISIONING", "STAGING":
		return abi.StatusCreating
	case "RUNNING":
		return abi.StatusRunning
	case "STOPPING", "STOPPED", "TERMINATED":
		if spot {
			return abi.StatusInterrupted
		}
		return abi.StatusStopped
	case "SUSPENDING", "SUSPENDED":
		return abi.StatusStopped
	case "DEPROVISIONING":
		return abi.StatusGone
	}
	return abi.StatusUnknown // REPAIRING, and what there is not yet
}
