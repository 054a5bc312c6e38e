package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// secrets are the values of drivers' secret options. Pools, journals and guests have a reference in their place, which runners with the same
// values share, as they share the account that is called. A runner's machines follow its values: a key that was replaced in config.toml is what
// older machines are removed with too, and a runner that was renamed still has the key of its machines. The zero value is ready.
type secrets struct {
	mu    sync.Mutex           // guards what follows
	given map[secretKey]given  // by reference
	now   map[secretKey]string // by runner: the reference of its latest values, "" when it gives none
	next  map[secretKey]string // by reference: what a runner gave instead of it
}

// secretKey is a reference, or a runner's key, of one driver.
type secretKey struct{ driver, name string }

// given is what the options of one runner gave.
type given struct {
	Values  map[string]config.Secret // exported, so that it hides itself when it is printed
	written bool                     // in the options, not only found in the environment
}

// referencePrefix begins what stands in the place of the values of secret options.
const referencePrefix = "secret:"

// reference is the same for the same values, and doesn't tell them; "" for none.
func (g given) reference() string {
	if len(g.Values) == 0 {
		return ""
	}
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(g.Values)) {
		fmt.Fprintf(h, "%q=%q\n", key, g.Values[key].Reveal())
	}
	return referencePrefix + hex.EncodeToString(h.Sum(nil)[:8])
}

// without returns options with references in the place of secrets, and those. list is the options as they are written.
func without(desc abi.Describe, options abi.Options, list []string) (abi.Options, given) {
	g := given{Values: map[string]config.Secret{}}
	names := config.OptionNames(list)
	var secret []string
	for _, o := range desc.Options {
		if value := options.Get(o.Name); o.Secret && value != "" {
			g.Values[string(o.Credential)] = config.Secret(value)
			g.written = g.written || slices.Contains(names, o.Name)
			secret = append(secret, o.Name)
		}
	}
	options = maps.Clone(options)
	for _, name := range secret {
		options[name] = []string{g.reference()}
	}
	return options, g
}

// add remembers what its reference stands for.
func (s *secrets) add(driver string, g given) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == nil {
		s.given, s.now, s.next = map[secretKey]given{}, map[secretKey]string{}, map[secretKey]string{}
	}
	s.given[secretKey{driver, g.reference()}] = g
}

// keep says that the values, which were added, are what a runner's options give for a driver, in the place of what they gave before.
func (s *secrets) keep(driver, runner string, g given) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, before := g.reference(), s.now[secretKey{driver, runner}]
	s.now[secretKey{driver, runner}] = ref
	if before != "" && before != ref {
		s.next[secretKey{driver, before}] = ref
	}
	delete(s.next, secretKey{driver, ref})
}

// find returns what the options of the reference gave, or what was given instead since; empty when that is none. It is not ok when nobody gave
// any of it.
func (s *secrets) find(driver, ref string) (given, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range len(s.next) {
		after, replaced := s.next[secretKey{driver, ref}]
		if !replaced || s.isCurrent(driver, ref) {
			break
		}
		ref = after
	}
	g, ok := s.given[secretKey{driver, ref}]
	return g, ok
}

func (s *secrets) isCurrent(driver, ref string) bool {
	for key, now := range s.now {
		if key.driver == driver && now == ref {
			return true
		}
	}
	return false
}

// ofRunner returns what a runner's options gave last.
func (s *secrets) ofRunner(driver, runner string) (given, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, ok := s.now[secretKey{driver, runner}]
	return s.given[secretKey{driver, ref}], ok
}

// secret returns the values that a reference stands for: what was given in this process, or else what the runner gives now whose machine has it.
func (d *Drivers) secret(driver, ref string) (given, bool) {
	if g, ok := d.secrets.find(driver, ref); ok || d.journal == nil {
		return g, ok
	}
	machines, _, err := d.journal.Load()
	if err != nil {
		return given{}, false
	}
	for _, m := range machines {
		if m.Driver != driver || !refersTo(m.Options, ref) {
			continue
		}
		if g, ok := d.secrets.ofRunner(driver, m.Runner); ok {
			return g, true
		}
	}
	return given{}, false
}

// refersTo tells whether options have the reference; those that begin with it, for referencePrefix.
func refersTo(options abi.Options, ref string) bool {
	for _, values := range options {
		if slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, ref) }) {
			return true
		}
	}
	return false
}

// signing returns the driver as calls with these options sign: with the runner's own secrets where its options gave some, else with the driver's
// credential. What a runner wrote comes before [credentials.NAME] of millwright.toml, and that before the environment.
//
// Without the secrets that a machine was made with nothing else is tried: another account would say that the machine is gone.
func (d *Drivers) signing(drv *wasm.Driver, options abi.Options) (*wasm.Driver, error) {
	if !drv.Builtin() {
		return drv, nil
	}
	desc := drv.Describe()
	powers := d.powers(desc.Name)
	for _, o := range desc.Options {
		reference := options.Get(o.Name)
		if !o.Secret || reference == "" {
			continue
		}
		g, ok := d.secret(desc.Name, reference)
		if !ok {
			return nil, &driver.Error{Driver: desc.Name, Op: "sign", Info: abi.Error{Kind: abi.Auth, Message: fmt.Sprintf(
				"a machine was made with the %s of a runner that is no more in the configuration; give it in the options of any runner until the machine is removed", o.Name)}}
		}
		if len(g.Values) == 0 {
			break // the runner relies on the driver's credential now
		}
		if op := d.operator(); !g.written && op != nil {
			if _, ok := op.Credentials[desc.Name]; ok {
				break
			}
		}
		var err error
		if powers.Credentials, err = grants.OfOptions(d.credentials, desc.Name, ofReference(desc.Name, reference), g.Values); err != nil {
			return nil, err
		}
		break
	}
	return drv.With(powers), nil
}

// reveal returns options with the values of secret ones, for a plug-in.
func (d *Drivers) reveal(desc abi.Describe, options abi.Options) (abi.Options, error) {
	options = maps.Clone(options)
	for _, o := range desc.Options {
		reference := options.Get(o.Name)
		if !o.Secret || !strings.HasPrefix(reference, referencePrefix) {
			continue
		}
		g, ok := d.secret(desc.Name, reference)
		value := g.Values[string(o.Credential)].Reveal()
		if !ok || value == "" {
			return nil, &driver.Error{Driver: desc.Name, Op: abi.ExportCreate, Info: abi.Error{Kind: abi.Auth, Message: fmt.Sprintf(
				"the %s of the machine's runner is no more in the configuration", o.Name)}}
		}
		options[o.Name] = []string{value}
	}
	return options, nil
}
