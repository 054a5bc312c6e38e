package fakehcloud

import (
	"net/http"
	"slices"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakerest"
)

func (c *Cloud) createKey(r *fakerest.Request) (any, error) {
	var req schema.SSHKeyCreateRequest
	if err := r.Read(&req); err != nil {
		return nil, err
	}
	print := fingerprint(req.PublicKey)
	if print == "" || req.Name == "" {
		return nil, invalid("invalid input in field 'public_key'")
	}
	if err := checkLabels(req.Labels); err != nil {
		return nil, err
	}
	for _, k := range c.keys {
		if k.Fingerprint == print || k.Name == req.Name {
			return nil, fakerest.Refuse(http.StatusConflict, "uniqueness_error", "SSH key with the same name or fingerprint already exists")
		}
	}
	k := schema.SSHKey{ID: c.id(), Name: req.Name, PublicKey: req.PublicKey, Fingerprint: print, Labels: map[string]string{}, Created: time.Now()}
	if req.Labels != nil {
		k.Labels = *req.Labels
	}
	c.keys = append(c.keys, k)
	return schema.SSHKeyCreateResponse{SSHKey: k}, nil
}

func (c *Cloud) listKeys(r *fakerest.Request) (any, error) {
	found := []schema.SSHKey{}
	for _, k := range c.keys {
		name, print := r.Query.Get("name"), r.Query.Get("fingerprint")
		if (name == "" || name == k.Name) && (print == "" || print == k.Fingerprint) && selects(r.Query.Get("label_selector"), k.Labels) {
			found = append(found, k)
		}
	}
	return paged(c, r, "ssh_keys", found)
}

func (c *Cloud) deleteKey(r *fakerest.Request) (any, error) {
	i := slices.IndexFunc(c.keys, func(k schema.SSHKey) bool { return k.ID == r.Number("id") })
	if i < 0 {
		return nil, missing("SSH key")
	}
	c.keys = slices.Delete(c.keys, i, i+1)
	return nil, nil
}

func (c *Cloud) createGroup(r *fakerest.Request) (any, error) {
	var req schema.PlacementGroupCreateRequest
	if err := r.Read(&req); err != nil {
		return nil, err
	}
	if err := checkLabels(req.Labels); err != nil {
		return nil, err
	}
	switch {
	case req.Type != "spread" || req.Name == "":
		return nil, invalid("invalid input in field 'type'")
	case slices.ContainsFunc(c.groups, func(g *schema.PlacementGroup) bool { return g.Name == req.Name }):
		return nil, fakerest.Refuse(http.StatusConflict, "uniqueness_error", "placement group with the same name already exists")
	}
	g := &schema.PlacementGroup{ID: c.id(), Name: req.Name, Type: req.Type, Created: time.Now(), Labels: map[string]string{}, Servers: []int64{}}
	if req.Labels != nil {
		g.Labels = *req.Labels
	}
	c.groups = append(c.groups, g)
	return schema.PlacementGroupCreateResponse{PlacementGroup: *g}, nil
}

func (c *Cloud) listGroups(r *fakerest.Request) (any, error) {
	c.settle()
	found := []schema.PlacementGroup{}
	for _, g := range c.groups {
		if n := r.Query.Get("name"); (n == "" || n == g.Name) && selects(r.Query.Get("label_selector"), g.Labels) {
			found = append(found, *g)
		}
	}
	return paged(c, r, "placement_groups", found)
}

func (c *Cloud) deleteGroup(r *fakerest.Request) (any, error) {
	c.settle()
	i := slices.IndexFunc(c.groups, func(g *schema.PlacementGroup) bool { return g.ID == r.Number("id") })
	switch {
	case i < 0:
		return nil, missing("placement group")
	case len(c.groups[i].Servers) > 0:
		return nil, fakerest.Refuse(http.StatusConflict, "resource_in_use", "the placement group has servers")
	}
	c.groups = slices.Delete(c.groups, i, i+1)
	return nil, nil
}

// fingerprint is the MD5 of a public key; "" when it is none.
func fingerprint(public string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		return ""
	}
	return ssh.FingerprintLegacyMD5(key)
}
