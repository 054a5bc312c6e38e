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

// sshKey is a key of the account. Keys have no tags; the name says whose it is.
type sshKey struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type keyAnswer struct {
	Key sshKey `json:"ssh_key"`
}

// Whole implements rest.Answer.
func (k *keyAnswer) Whole() bool { return k.Key.ID != 0 }

type keyPage struct {
	page
	Keys *[]sshKey `json:"ssh_keys"`
}

// Whole implements rest.Answer.
func (p *keyPage) Whole() bool { return p.Keys != nil && p.Meta != nil }

type keyBody struct {
	Name      string `json:"name"`
	PublicKey string `json:"public_key"`
}

const pathKeys = "/v2/account/keys"

// keyName is the name of a machine's key.
func keyName(owner, machine string) string { return tagPrefix + owner + "-" + machine }

// makeKey adds the machine's key to the account. fresh is false when it was there: this is not the first try.
func makeKey(a rest.API, req abi.CreateRequest) (key sshKey, fresh bool, b rest.Budget, err error) {
	var got keyAnswer
	b, err = a.Call("POST", pathKeys, nil, keyBody{keyName(req.Owner.ID, req.Name), strings.TrimSpace(req.Bootstrap.AuthorizedKey)}, &got)
	if err == nil {
		return got.Key, true, b, nil
	}
	if !says(err, wordsInUse) {
		return sshKey{}, false, b, driver.About("add the SSH key of "+req.Name, err)
	}
	b, err = a.Call("GET", pathKeys+"/"+sshkey.Fingerprint(req.Bootstrap.AuthorizedKey), nil, nil, &got)
	if driver.Is(err, abi.NotFound) { // it went meanwhile
		err = &abi.Error{Kind: abi.Transient, Message: "it is said to be there, and is not"}
	}
	if err != nil {
		return sshKey{}, false, b, driver.About("look at the SSH key of "+req.Name, err)
	}
	return got.Key, false, b, nil
}

// removeKey removes the key that was made for the machine. Without its number it is looked for by name.
func removeKey(a rest.API, number int64, name string) error {
	if number == 0 {
		found, err := findKey(a, name)
		if err != nil || found == 0 {
			return err
		}
		number = found
	}
	_, err := a.Call("DELETE", pathKeys+"/"+strconv.FormatInt(number, 10), nil, nil, nil)
	if driver.Is(err, abi.NotFound) {
		return nil
	}
	return err
}

// findKey returns the number of the key of that name, 0 when there is none.
func findKey(a rest.API, name string) (found int64, err error) {
	err = eachKey(a, func(k sshKey) bool {
		if k.Name == name {
			found = k.ID
		}
		return found == 0
	})
	return found, err
}

// withoutKeys tells which endpoints' keys can't be listed, so that this is said once.
var withoutKeys sync.Map

// ownedKeys returns the keys that were made for an owner's machines; none where the token may not list keys, which is no more than less.
func ownedKeys(a rest.API, owner string) (keys []sshKey, err error) {
	err = eachKey(a, func(k sshKey) bool {
		if name, ok := strings.CutPrefix(k.Name, keyName(owner, "")); ok && nameLike.MatchString(name) {
			keys = append(keys, k)
		}
		return true
	})
	if driver.Is(err, abi.Auth) {
		if _, before := withoutKeys.LoadOrStore(a.Endpoint, true); !before {
			host.Log(host.LevelWarn, "SSH keys can't be listed: one that a machine left behind is not found", map[string]string{"error": err.Error()})
		}
		return nil, nil
	}
	return keys, err
}

// eachKey goes through the account's keys, page by page, until more says that it is enough.
func eachKey(a rest.API, more func(sshKey) bool) error {
	for n := 1; n <= maxPages; n++ {
		var p keyPage
		query := url.Values{"per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(n)}}
		if _, err := a.Call("GET", pathKeys, query, nil, &p); err != nil {
			return err
		}
		for _, k := range *p.Keys {
			if !more(k) {
				return nil
			}
		}
		if p.Links.Pages.Next == "" {
			break
		}
	}
	return nil
}
