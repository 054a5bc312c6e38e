package fakedo

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakerest"
)

func (c *Cloud) routes() []fakerest.Route {
	paged := []string{"page", "per_page"}
	return []fakerest.Route{
		{Pattern: "POST /v2/droplets", Scope: "droplet:create", Status: http.StatusAccepted, Handle: c.createDroplet},
		{Pattern: "GET /v2/droplets", Scope: "droplet:read", Query: append(slices.Clone(paged), "tag_name", "name", "type"), Handle: c.listDroplets},
		{Pattern: "DELETE /v2/droplets/{id}", Scope: "droplet:delete", Handle: c.deleteDroplet},
		{Pattern: "POST /v2/droplets/{id}/actions", Scope: "droplet:update", Status: http.StatusCreated, Handle: c.act},
		{Pattern: "POST /v2/account/keys", Scope: "ssh_key:create", Status: http.StatusCreated, Handle: c.createKey},
		{Pattern: "GET /v2/account/keys", Scope: "ssh_key:read", Query: paged, Handle: c.listKeys},
		{Pattern: "GET /v2/account/keys/{id}", Scope: "ssh_key:read", Handle: c.getKey},
		{Pattern: "DELETE /v2/account/keys/{id}", Scope: "ssh_key:delete", Handle: c.deleteKey},
	}
}

// createRequest is godo's request, which writes some fields in a form that it does not read.
type createRequest struct {
	godo.DropletCreateRequest
	Image   json.RawMessage   `json:"image"`
	SSHKeys []json.RawMessage `json:"ssh_keys"`
}

var (
	hostLike = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	tagLike  = regexp.MustCompile(`^[A-Za-z0-9:_-]{1,255}$`)
)

// mostUserData is how many bytes of user data are taken.
const mostUserData = 64 << 10

func (c *Cloud) createDroplet(r *fakerest.Request) (any, error) {
	var req createRequest
	if err := r.Read(&req); err != nil {
		return nil, err
	}
	if len(req.Tags) > 0 {
		if err := c.Want("tag:create"); err != nil {
			return nil, err
		}
	}
	if err := c.check(&req); err != nil {
		return nil, err
	}
	switch {
	case c.Failing(fakerest.StockOut):
		return nil, unprocessable("Size is not available in this region.")
	case c.Failing(fakerest.OverQuota):
		return nil, unprocessable("creating this/these droplet(s) will exceed your droplet limit")
	case c.Failing(fakerest.HalfMade):
		return nil, fakerest.Refuse(http.StatusInternalServerError, "server_error", "Unexpected server-side error")
	}
	m := &machine{request: req.DropletCreateRequest, active: time.Now().Add(c.settings.BootTime)}
	m.Droplet = godo.Droplet{
		ID: c.id(), Name: req.Name, Status: "new", Locked: true, Created: time.Now().UTC().Format(time.RFC3339), Tags: req.Tags, SizeSlug: req.Size,
		Region: &godo.Region{Slug: req.Region}, Image: &godo.Image{ID: req.DropletCreateRequest.Image.ID, Slug: req.DropletCreateRequest.Image.Slug},
		Networks: &godo.Networks{}, VolumeIDs: []string{}, VPCUUID: req.VPCUUID,
	}
	c.droplets = append(c.droplets, m)
	return map[string]any{"droplet": m.Droplet, "links": godo.Links{Actions: []godo.LinkAction{{ID: c.id(), Rel: "create"}}}}, nil
}

// check holds a request to DigitalOcean's rules and completes what godo can't read.
func (c *Cloud) check(req *createRequest) error {
	switch {
	case !hostLike.MatchString(req.Name):
		return unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
	case !slices.Contains(regions, req.Region):
		return unprocessable("You specified an invalid region for Droplet creation.")
	case !slices.Contains(sizes, req.Size):
		return unprocessable("You specified an invalid size for Droplet creation.")
	case len(req.UserData) > mostUserData:
		return unprocessable("User data must be less than 64 KB")
	}
	for _, tag := range req.Tags {
		if !tagLike.MatchString(tag) {
			return unprocessable("Tag name %s is invalid", tag)
		}
	}
	if json.Unmarshal(req.Image, &req.DropletCreateRequest.Image.ID) != nil && json.Unmarshal(req.Image, &req.DropletCreateRequest.Image.Slug) != nil {
		return &fakerest.Refusal{Status: http.StatusBadRequest, Message: "the image is neither a number nor a slug", Wrong: true}
	}
	if slug := req.DropletCreateRequest.Image.Slug; strings.HasPrefix(slug, "no-such") {
		return unprocessable("You specified an invalid image for Droplet creation.")
	}
	for _, raw := range req.SSHKeys {
		name := strings.Trim(string(raw), `"`)
		k := c.key(name)
		if k == nil || k.unknown > 0 {
			if k != nil {
				k.unknown--
			}
			return unprocessable("%s are invalid key identifiers for Droplet creation.", name)
		}
		req.DropletCreateRequest.SSHKeys = append(req.DropletCreateRequest.SSHKeys, godo.DropletCreateSSHKey{ID: k.ID, Fingerprint: k.Fingerprint})
	}
	return nil
}

func (c *Cloud) listDroplets(r *fakerest.Request) (any, error) {
	c.settle()
	tag, name, kind := r.Query.Get("tag_name"), r.Query.Get("name"), r.Query.Get("type")
	if tag != "" && name+kind != "" {
		return nil, &fakerest.Refusal{Status: http.StatusBadRequest, Message: "tag_name goes with neither name nor type", Wrong: true}
	}
	found := []godo.Droplet{}
	for _, m := range c.droplets {
		tagged := slices.ContainsFunc(m.Tags, func(t string) bool { return strings.EqualFold(t, tag) })
		gpu := strings.HasPrefix(m.SizeSlug, "gpu-")
		if tag != "" && tagged || tag == "" && gpu == (kind == "gpus") && (name == "" || strings.EqualFold(name, m.Name)) {
			found = append(found, m.Droplet)
		}
	}
	return c.paged(r, "droplets", len(found), func(from, to int) any { return found[from:to] })
}

// paged answers with one page of a list. A partial one lacks its last entry.
func (c *Cloud) paged(r *fakerest.Request, what string, total int, part func(from, to int) any) (any, error) {
	size, err := strconv.Atoi(r.Query.Get("per_page"))
	if err != nil || size < 1 || size > 200 {
		return nil, &fakerest.Refusal{Status: http.StatusBadRequest, Message: "per_page is no number from 1 to 200", Wrong: true}
	}
	page, err := strconv.Atoi(r.Query.Get("page"))
	if err != nil || page < 1 {
		return nil, &fakerest.Refusal{Status: http.StatusBadRequest, Message: "page is no number from 1 on", Wrong: true}
	}
	if c.settings.PageSize > 0 {
		size = c.settings.PageSize
	}
	shown := total
	if c.Failing(fakerest.PartialList) {
		shown = max(total-1, 0)
	}
	from, to := min((page-1)*size, shown), min(page*size, shown)
	links := godo.Links{}
	if to < shown {
		links.Pages = &godo.Pages{Next: fmt.Sprintf("%s/v2/%s?page=%d&per_page=%d", c.URL(), what, page+1, size)}
	}
	return map[string]any{what: part(from, to), "links": links, "meta": godo.Meta{Total: total}}, nil
}

func (c *Cloud) deleteDroplet(r *fakerest.Request) (any, error) {
	for i, m := range c.droplets {
		if int64(m.ID) == r.Number("id") {
			c.droplets = slices.Delete(c.droplets, i, i+1)
			return nil, nil
		}
	}
	return nil, missing()
}

// act switches a droplet, which is done at once.
func (c *Cloud) act(r *fakerest.Request) (any, error) {
	var req godo.ActionRequest
	if err := r.Read(&req); err != nil {
		return nil, err
	}
	kind, _ := req["type"].(string)
	i := slices.IndexFunc(c.droplets, func(m *machine) bool { return int64(m.ID) == r.Number("id") })
	if i < 0 {
		return nil, missing()
	}
	m := c.droplets[i]
	switch on := m.Status == "active"; {
	case kind == "power_on" && on:
		return nil, unprocessable("Droplet is already powered on.")
	case kind == "power_on":
		m.Status = "active"
	case (kind == "shutdown" || kind == "power_off" || kind == "reboot") && !on:
		return nil, unprocessable("Droplet is currently powered off. Please power it on to run this event.")
	case kind == "shutdown" || kind == "power_off":
		m.Status = "off"
	case kind != "reboot":
		return nil, unprocessable("The action %s is not valid.", kind)
	}
	return map[string]any{"action": godo.Action{ID: c.id(), Status: "in-progress", Type: kind, ResourceID: m.ID, ResourceType: "droplet"}}, nil
}

func (c *Cloud) createKey(r *fakerest.Request) (any, error) {
	var req godo.KeyCreateRequest
	if err := r.Read(&req); err != nil {
		return nil, err
	}
	print := fingerprint(req.PublicKey)
	switch {
	case print == "" || req.Name == "":
		return nil, unprocessable("Key invalid, key should be of the format `type key [comment]`")
	case c.key(print) != nil:
		return nil, unprocessable("SSH Key is already in use on your account")
	}
	k := &key{Key: godo.Key{ID: c.id(), Name: req.Name, PublicKey: req.PublicKey, Fingerprint: print}, unknown: c.settings.KeyDelay}
	c.keys = append(c.keys, k)
	return map[string]any{"ssh_key": k.Key}, nil
}

func (c *Cloud) listKeys(r *fakerest.Request) (any, error) {
	found := []godo.Key{}
	for _, k := range c.keys {
		found = append(found, k.Key)
	}
	return c.paged(r, "ssh_keys", len(found), func(from, to int) any { return found[from:to] })
}

// key finds a key by number or fingerprint.
func (c *Cloud) key(id string) *key {
	for _, k := range c.keys {
		if id == strconv.Itoa(k.ID) || id == k.Fingerprint {
			return k
		}
	}
	return nil
}

func (c *Cloud) getKey(r *fakerest.Request) (any, error) {
	if k := c.key(r.PathValue("id")); k != nil {
		return map[string]any{"ssh_key": k.Key}, nil
	}
	return nil, missing()
}

func (c *Cloud) deleteKey(r *fakerest.Request) (any, error) {
	found := c.key(r.PathValue("id"))
	if found == nil {
		return nil, missing()
	}
	c.keys = slices.DeleteFunc(c.keys, func(k *key) bool { return k == found })
	return nil, nil
}

func missing() error {
	return fakerest.Refuse(http.StatusNotFound, "", "The resource you requested could not be found.")
}

// fingerprint is the MD5 of a public key; "" when it is none.
func fingerprint(public string) string {
	fields := strings.Fields(public)
	if len(fields) < 2 {
		return ""
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return ""
	}
	sum := fmt.Sprintf("% x", md5.Sum(blob))
	return strings.ReplaceAll(sum, " ", ":")
}
