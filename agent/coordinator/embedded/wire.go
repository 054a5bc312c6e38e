package embedded

import (
	"encoding/json"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// The payload's own types hide their secrets in JSON. These shapes give them away, once, to the runner that they belong to: a
// field of the outer struct takes the place of the embedded one's with the same name.

type wireJob struct {
	coordinator.Job
	Token        string           `json:"token"`
	Info         wireInfo         `json:"job_info"`
	Credentials  []wireCredential `json:"credentials"`
	Dependencies []wireDependency `json:"dependencies"`

	PolicyOptions  any `json:"policy_options"`
	SuspendOptions any `json:"suspend_options"`
}

// wireInfo adds what GitLab sends and the runner does not read.
type wireInfo struct {
	coordinator.JobInfo
	ID              int64  `json:"id"`
	NamespaceID     int64  `json:"namespace_id"`
	RootNamespaceID int64  `json:"root_namespace_id"`
	OrganizationID  int64  `json:"organization_id"`
	UserID          int64  `json:"user_id"`
	InstanceID      string `json:"instance_id"`
	InstanceUUID    string `json:"instance_uuid"`
}

type wireCredential struct {
	coordinator.Credential
	Password string `json:"password"`
}

type wireDependency struct {
	coordinator.Dependency
	Token string `json:"token"`
}

// instanceID is that of every embedded coordinator.
const instanceID = "00000000-0000-4000-8000-000000000001"

// marshalJob writes the body of a 201.
func marshalJob(j coordinator.Job) ([]byte, error) {
	w := wireJob{Job: j, Token: j.Token.Reveal(), Credentials: []wireCredential{}, Dependencies: []wireDependency{}}
	w.Info = wireInfo{
		JobInfo: j.Info, ID: j.ID, NamespaceID: namespaceID, RootNamespaceID: namespaceID, OrganizationID: 1, UserID: userID,
		InstanceID: instanceID, InstanceUUID: instanceID,
	}
	for _, c := range j.Credentials {
		w.Credentials = append(w.Credentials, wireCredential{c, c.Password.Reveal()})
	}
	for _, d := range j.Dependencies {
		w.Dependencies = append(w.Dependencies, wireDependency{d, d.Token.Reveal()})
	}
	return json.Marshal(w)
}
