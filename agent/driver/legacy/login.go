package legacy

import (
	"path/filepath"
	"slices"
	"strings"
)

// Login is how the host logs in to a machine of a plug-in's, which made the key itself and never heard of ours.
type Login struct {
	KeyFile    string // the private key; "" is the user's own
	KnownHosts string // where the host key is noted at the first login
}

// Login returns how to log in to a machine; ok is false when there is no record of it.
func (d *Driver) Login(name string) (l Login, ok bool) {
	r, ok, err := d.files.Load(name)
	if err != nil || !ok || r.Driver != d.opts.Name || !isOurs(r.ID) {
		return l, false
	}
	return Login{KeyFile: r.SSHKey, KnownHosts: filepath.Join(d.files.Dir(name), "known_hosts")}, true
}

// idPrefix begins the ids that instances get here, so that another driver's of the same name are told apart.
const idPrefix = "plug-in-"

func isOurs(id string) bool { return strings.HasPrefix(id, idPrefix) }

// Has tells whether this driver made a machine that it has not removed yet, or can't tell.
func (d *Driver) Has(name string) bool {
	r, ok, err := d.files.Load(name)
	return err != nil || ok && r.Driver == d.opts.Name && isOurs(r.ID)
}

// HasAny tells whether there is any such machine.
func (d *Driver) HasAny() bool {
	names, err := d.files.Names()
	return err != nil || slices.ContainsFunc(names, d.Has)
}
