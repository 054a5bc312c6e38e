package main

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"

	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// runTries is how often a name can be made anew while the cloud still remembers the token of the machine that had it before.
const runTries = 5

var nameLike = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`)

// Create asks for the machine and returns. First comes its key pair, which bears the owner's tag, then the instance: what a crash leaves in
// between, a list shows.
func (amazonec2) Create(req abi.CreateRequest) (abi.Instance, error) {
	s, err := usable(req.Options)
	if err != nil {
		return abi.Instance{}, err
	}
	if !nameLike.MatchString(req.Name) {
		return abi.Instance{}, &abi.Error{Kind: abi.Invalid, Message: "the machine name " + strconv.Quote(opts.Short(req.Name)) +
			" is not allowed; use lower-case letters, digits and hyphens, 63 at most"}
	}
	s.account = req.Owner.ID + " " + req.Owner.Runner
	l, err := s.launch(req)
	if err != nil {
		return abi.Instance{}, err
	}
	if s.keyPair == "" {
		if l.keyID, err = s.importKey(req); err != nil {
			return abi.Instance{}, err
		}
	}
	v, err := s.run(req, l)
	if err == nil {
		return v.instance(), nil
	}
	if driver.Is(err, abi.NotFound, abi.Invalid) {
		remembered.forget() // what was found once may be gone
	}
	if l.keyID != "" && driver.Is(err, abi.Capacity, abi.Quota, abi.Invalid, abi.Auth) {
		_ = s.deleteKey(l.keyID) // else a list shows it, and it goes with the machine
	}
	return abi.Instance{}, driver.About("create "+req.Name, err)
}

// launch is what a machine is made of, beside its options.
type launch struct {
	network
	groups   []string
	image    string
	userdata string
	keyID    string // of the key pair that was made for it; "" is none
}

// launch finds what the machine needs.
func (s settings) launch(req abi.CreateRequest) (l launch, err error) {
	l.userdata = s.machineUserData(req)
	if len(l.userdata) > maxUserData {
		return l, &abi.Error{Kind: abi.Invalid, Message: optUserdata + ": with what the agent adds the user data has " + strconv.Itoa(len(l.userdata)) +
			" bytes; EC2 takes " + strconv.Itoa(maxUserData) + ": have it fetch the rest"}
	}
	if l.network, err = s.network(); err != nil {
		return l, err
	}
	if l.groups, err = s.groupIDs(l.vpc); err != nil {
		return l, err
	}
	l.image, err = s.imageID()
	return l, err
}

// importKey puts the machine's key into the cloud as a key pair of the machine's name, and returns its id. One that is there already is
// of a creation that was interrupted, or somebody else's.
func (s settings) importKey(req abi.CreateRequest) (string, error) {
	f := newForm()
	f.put("KeyName", req.Name)
	f.put("PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(req.Bootstrap.AuthorizedKey))))
	f.tags(s.allTags(req, ""), "key-pair")
	a, err := s.call("ImportKeyPair", f)
	switch {
	case err == nil:
		return a.At("keyPairId"), nil
	case codeOf(err) != "InvalidKeyPair.Duplicate":
		return "", driver.About("import the key pair "+req.Name, err)
	}
	found, err := s.keyPairs(func(f form) { f.filter("key-name", req.Name) })
	if err != nil {
		return "", driver.About("look at the key pair "+req.Name, err)
	}
	for _, k := range found {
		if k.tags[tagOwner] == req.Owner.ID {
			return k.id, nil
		}
		return "", &abi.Error{Kind: abi.Conflict, Message: "there is a key pair " + req.Name + " in " + s.region + " that this agent did not make; remove or rename it"}
	}
	return "", &abi.Error{Kind: abi.Transient, Message: "the key pair " + req.Name + " is said to be there, and is not seen yet"}
}

// run asks for the instance until there is one, or a reason why there is none. The token makes a call that is repeated one call; of a machine
// that was removed since the cloud remembers the token too, so the next one is used then.
func (s settings) run(req abi.CreateRequest, l launch) (vm, error) {
	f := s.body(req, l)
	var failed *abi.Error // why the last one ended at once
	for try := range runTries {
		f.Set("ClientToken", clientToken("run", req.Owner.ID, req.Name, strconv.Itoa(try)))
		a, err := s.call("RunInstances", f)
		switch codeOf(err) {
		case "IdempotentParameterMismatch", "IdempotentInstanceTerminated":
			v, there, lookErr := s.existing(req.Owner.ID, req.Name)
			if there || lookErr != nil {
				return v, lookErr
			}
			continue
		case "InvalidKeyPair.NotFound":
			if l.keyID != "" { // made just now, and not everywhere yet
				return vm{}, told(meaning{kind: abi.Transient}, "InvalidKeyPair.NotFound", "its key pair is not seen everywhere yet")
			}
		case "InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound":
			remembered.forget()
			return vm{}, told(meaning{kind: abi.Transient}, codeOf(err), "a security group is gone, or not seen everywhere yet")
		}
		if err != nil {
			return vm{}, absent(err)
		}
		made := a.Items("instancesSet")
		if len(made) != 1 || made[0].At("instanceId") == "" {
			return vm{}, s.nonsense("RunInstances", "it has "+strconv.Itoa(len(made))+" instances")
		}
		v := readVM(made[0])
		if v.tags == nil { // the API gives them; what comes back must have its name all the same
			v.tags = map[string]string{}
		}
		v.tags[tagMachine], v.tags[tagOwner] = req.Name, req.Owner.ID
		if v.status() != abi.StatusGone {
			return v, nil
		}
		failed = v.instance().Error
	}
	if failed != nil {
		return vm{}, failed
	}
	return vm{}, &abi.Error{Kind: abi.Transient, Message: "the name was used several times in a row; use another"}
}

// existing returns the owner's machine of that name that is not gone.
func (p place) existing(owner, name string) (v vm, there bool, err error) {
	all, err := p.machine(owner, name)
	for _, v := range all {
		if v.status() != abi.StatusGone {
			return v, true, nil
		}
	}
	return vm{}, false, err
}
