package main

import (
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/providers/internal/sshkey"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// sshKey is a key of the project. It is there only while a server is asked for: what the server lets in stands in its user data. Without a key Hetzner
// would make a password for root and mail it.
type sshKey struct {
	ID     int64             `json:"id"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

type keyAnswer struct {
	Key sshKey `json:"ssh_key"`
}

// Whole implements rest.Answer.
func (k *keyAnswer) Whole() bool { return k.Key.ID != 0 }

type keyBody struct {
	Name      string            `json:"name"`
	PublicKey string            `json:"public_key"`
	Labels    map[string]string `json:"labels"`
}

// keyName is the name of a machine's key.
func keyName(owner, machine string) string { return labelPrefix + owner + "-" + machine }

// makeKey adds the machine's key to the project. One that is there already is used; own is false when it is somebody else's.
func (m machine) makeKey(a rest.API, req abi.CreateRequest) (key sshKey, own bool, b rest.Budget, err error) {
	labels := map[string]string{}
	for name, value := range m.keyLabels {
		labels[name] = value
	}
	labels[labelOwner], labels[labelName] = req.Owner.ID, asLabel(req.Name)
	var got keyAnswer
	b, err = a.Call("POST", "/ssh_keys", nil, keyBody{keyName(req.Owner.ID, req.Name), strings.TrimSpace(req.Bootstrap.AuthorizedKey), labels}, &got)
	if err == nil {
		return got.Key, true, b, nil
	}
	if !driver.Is(err, abi.Conflict) {
		return sshKey{}, false, b, driver.About("add the SSH key of "+req.Name, err)
	}
	found, _, err := pages[sshKey](a, "ssh_keys", url.Values{"fingerprint": {sshkey.Fingerprint(req.Bootstrap.AuthorizedKey)}})
	if err == nil && len(found) == 0 { // it went meanwhile, or another key has the name
		err = &abi.Error{Kind: abi.Conflict, Message: "there is another SSH key of the name " + keyName(req.Owner.ID, req.Name) + ", or was just now"}
	}
	if err != nil {
		return sshKey{}, false, b, driver.About("add the SSH key of "+req.Name, err)
	}
	return found[0], found[0].Labels[labelOwner] == req.Owner.ID, b, nil
}

func removeKey(a rest.API, id int64) error {
	_, err := a.Call("DELETE", "/ssh_keys/"+strconv.FormatInt(id, 10), nil, nil, nil)
	if driver.Is(err, abi.NotFound) {
		return nil
	}
	return err
}

// withoutKeys tells at which endpoints keys can't be listed, so that this is said once.
var withoutKeys sync.Map

// ownedKeys returns the keys of an owner's machines; none where that is refused, which is no more than less.
func ownedKeys(a rest.API, owner string) ([]sshKey, error) {
	all, _, err := pages[sshKey](a, "ssh_keys", url.Values{"label_selector": {labelOwner + "=" + owner}})
	if driver.Is(err, abi.Auth) {
		if _, before := withoutKeys.LoadOrStore(a.Endpoint, true); !before {
			host.Log(host.LevelWarn, "SSH keys can't be listed: one that a creation left behind is not found", map[string]string{"error": err.Error()})
		}
		return nil, nil
	}
	return all, err
}
