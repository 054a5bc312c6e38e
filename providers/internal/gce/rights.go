package gce

import (
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// RightsHost begins the hostname of the API that tells what a caller may do in a project; Compute Engine's own asks only about what is there.
const RightsHost = "cloudresourcemanager"

// TodoRights is what to do where that API is off.
const TodoRights = "gcloud services enable cloudresourcemanager.googleapis.com in the project of the agent's credential, and check again"

// RightsHostnames are those at which it answers, beside the endpoint.
func RightsHostnames() []string {
	return []string{RightsHost + ".googleapis.com", RightsHost + "-*.p.googleapis.com"}
}

// CheckSuffix ends the name of the driver's credential with the scope that the API of rights wants, to read and no more.
const CheckSuffix = "-check"

// Granted asks which permissions the credential has in a project, or, with a path, on a resource of Compute Engine.
// Source: Cloud Resource Manager API v1, "projects.testIamPermissions"; Compute Engine API v1, "subnetworks.testIamPermissions".
func (a API) Granted(project, path string, names []string) ([]string, error) {
	api := rest.API{
		Endpoint: a.rightsEndpoint(), Sign: abi.Sign{Scheme: scheme, Credential: a.Texts.Driver + CheckSuffix},
		Token: "see " + a.Texts.credential(), Refused: a.Texts.refused,
	}
	at := "/v1/projects/" + url.PathEscape(project) + ":testIamPermissions"
	if path != "" {
		api.Endpoint, api.Sign, at = a.Endpoint, a.Texts.sign(), "/compute/v1/"+path+"/testIamPermissions"
	}
	var answer rights
	_, err := api.Call("POST", at, nil, map[string][]string{"permissions": names}, &answer)
	return answer.Permissions, err
}

// rights is what a credential has of what was asked for.
type rights struct {
	Permissions []string `json:"permissions"` // absent: none
}

// Whole implements rest.Answer: an answer without anything says that there are none.
func (rights) Whole() bool { return true }

// rightsEndpoint is where that API answers: beside Compute Engine's, by Google's names for public and for private endpoints; else at the same place.
func (a API) rightsEndpoint() string {
	scheme, name, _ := strings.Cut(a.Endpoint, "://")
	private, isPrivate := strings.CutPrefix(name, "compute-")
	switch {
	case a.Endpoint == Endpoint || a.Endpoint == "https://www.googleapis.com":
		return "https://" + RightsHost + ".googleapis.com"
	case isPrivate && strings.HasSuffix(private, ".p.googleapis.com"):
		return scheme + "://" + RightsHost + "-" + private
	}
	return a.Endpoint
}

// RefusedAltogether tells a credential that Google does not take from one that lacks something.
func RefusedAltogether(err error) bool {
	e, ok := err.(*abi.Error)
	return ok && e.Kind == abi.Auth && (e.Code == "authError" || e.Code == "401" || e.Code == "credential" || e.Code == "denied")
}
