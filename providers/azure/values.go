package main

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/settings"
)

// image is what a machine starts from.
type image struct {
	text      string // as given
	reference referenceBody
}

// image reads publisher:offer:sku:version, or an id: of an image, of a gallery's, of a shared or of a community gallery's.
func (r *reader) image() image {
	i := image{text: r.Get(optImage, defaultImage)}
	lower := strings.ToLower(i.text)
	switch parts := strings.Split(i.text, ":"); {
	case strings.HasPrefix(lower, "/communitygalleries/"):
		i.reference.Community = i.text
	case strings.HasPrefix(lower, "/sharedgalleries/"):
		i.reference.Shared = i.text
	case strings.HasPrefix(lower, "/subscriptions/") && (strings.Contains(lower, "/images/")):
		i.reference.ID = i.text
	case len(parts) == 4 && parts[0] != "" && parts[1] != "" && parts[2] != "" && parts[3] != "" && !strings.Contains(i.text, "/"):
		i.reference.Publisher, i.reference.Offer, i.reference.SKU, i.reference.Version = parts[0], parts[1], parts[2], parts[3]
	default:
		r.Bad(optImage, i.text, "publisher:offer:sku:version, or an id that begins with /subscriptions/, /sharedGalleries/ or /communityGalleries/")
	}
	return i
}

func (r *reader) plan() *planBody {
	text := r.Options.Get(optPlan)
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		r.Bad(optPlan, text, "publisher:product:name")
		return nil
	}
	return &planBody{Publisher: parts[0], Product: parts[1], Name: parts[2]}
}

// named reads the name of a resource.
func (r *reader) named(option, otherwise string) string {
	name := r.Get(option, otherwise)
	if !resourceLike.MatchString(name) {
		r.Bad(option, name, "a name of letters, digits, hyphens, underscores and dots, 80 at most")
	}
	return name
}

// network reads [resourcegroup:]name.
func (r *reader) network(group string) (in, name string) {
	text := r.Get(optVnet, "docker-machine-vnet")
	in, name, ok := strings.Cut(text, ":")
	if !ok {
		in, name = group, text
	}
	if !groupLike.MatchString(in) || !resourceLike.MatchString(name) {
		r.Bad(optVnet, text, "name or resourcegroup:name")
	}
	return in, name
}

func (r *reader) prefix() string {
	text := r.Get(optSubnetPrefix, "192.168.0.0/16")
	if p, err := netip.ParsePrefix(text); err != nil || p != p.Masked() {
		r.Bad(optSubnetPrefix, text, "addresses such as 192.168.0.0/16")
	}
	return text
}

// nsg is the id of a security group of the operator's.
func (r *reader) nsg(p place) string {
	text := r.Options.Get(optNSG)
	switch {
	case text == "":
		return ""
	case strings.HasPrefix(strings.ToLower(text), "/subscriptions/") && strings.Contains(strings.ToLower(text), "/networksecuritygroups/"):
		return text
	case !resourceLike.MatchString(text):
		r.Bad(optNSG, text, "the name of a network security group in "+optGroup+", or the id of one")
	}
	return p.network(p.group, "networkSecurityGroups", text)
}

// availabilitySet is empty where none is wanted.
func (r *reader) availabilitySet() string {
	if given, ok := r.Options[optAvailabilitySet]; ok && len(given) == 1 && given[0] == "" {
		return ""
	}
	return r.named(optAvailabilitySet, "docker-machine")
}

func (r *reader) privateAddress() string {
	text := r.Options.Get(optPrivateAddress)
	if _, err := netip.ParseAddr(text); text != "" && err != nil {
		r.Bad(optPrivateAddress, text, "an IP address")
	}
	return text
}

// port is what a security group lets in.
type port struct {
	number   int
	protocol string // tcp or udp
}

func (r *reader) ports() []port {
	var ports []port
	for _, entry := range r.Options[optOpenPort] {
		number, protocol, _ := strings.Cut(entry, "/")
		protocol = strings.ToLower(settings.Or(protocol, "tcp"))
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 65535 || protocol != "tcp" && protocol != "udp" {
			r.Bad(optOpenPort, entry, "a port, such as 8080, 8080/tcp or 8080/udp")
		}
		ports = append(ports, port{n, protocol})
	}
	return ports
}

// tags reads key1,value1,key2,value2, or key1=value1,key2=value2.
func (r *reader) tags() map[string]string {
	tags := map[string]string{}
	text := r.Options.Get(optTags)
	if text == "" {
		return tags
	}
	parts := strings.Split(text, ",")
	if strings.Contains(text, "=") {
		var pairs []string
		for _, p := range parts {
			key, value, _ := strings.Cut(p, "=")
			pairs = append(pairs, key, value)
		}
		parts = pairs
	}
	if len(parts)%2 != 0 || len(parts) > 2*mostTags {
		r.Bad(optTags, text, "pairs, key1,value1,key2,value2, "+strconv.Itoa(mostTags)+" at most")
		return tags
	}
	for i := 0; i < len(parts); i += 2 {
		key, value := strings.TrimSpace(parts[i]), strings.TrimSpace(parts[i+1])
		if key != asTagName(key) || key == "" || value != asTagValue(value) || strings.HasPrefix(strings.ToLower(key), tagPrefix) {
			r.Bad(optTags, key, "keys without <>%&\\?/ that don't begin with "+tagPrefix+", and values of 256 characters at most")
		}
		tags[key] = value
	}
	return tags
}

func (r *reader) identity() *identityBody {
	var b identityBody
	for _, text := range r.Options[optIdentity] {
		switch {
		case text == "":
		case strings.EqualFold(text, "system"):
			b.system = true
		case strings.HasPrefix(strings.ToLower(text), "/subscriptions/") && strings.Contains(strings.ToLower(text), "/userassignedidentities/"):
			if b.Users == nil {
				b.Users = map[string]struct{}{}
			}
			b.Users[text] = struct{}{}
		default:
			r.Bad(optIdentity, text, "system, or the id of a user-assigned identity, /subscriptions/.../userAssignedIdentities/NAME")
		}
	}
	switch {
	case b.system && b.Users != nil:
		b.Type = "SystemAssigned, UserAssigned"
	case b.system:
		b.Type = "SystemAssigned"
	case b.Users != nil:
		b.Type = "UserAssigned"
	default:
		return nil
	}
	return &b
}

// spot reads what concerns machines that the cloud may take back.
func (r *reader) spot(w *wishes) {
	switch {
	case r.Options.Bool(optSpot) && r.Options.Bool(optLowPriority):
		r.Bad(optLowPriority, "true", "either "+optSpot+" or "+optLowPriority)
	case r.Options.Bool(optSpot):
		w.priority = "Spot"
	case r.Options.Bool(optLowPriority):
		w.priority = "Low"
	}
	policy := r.Get(optEviction, "Delete")
	switch strings.ToLower(policy) {
	case "delete":
		policy = "Delete"
	case "deallocate":
		policy = "Deallocate"
	default:
		r.Bad(optEviction, policy, "Delete or Deallocate")
	}
	text := r.Get(optMaxPrice, "-1")
	price, err := strconv.ParseFloat(text, 64)
	if err != nil || price <= 0 && price != -1 {
		r.Bad(optMaxPrice, text, "US dollars an hour, such as 0.05, or -1")
	}
	if w.priority != "" {
		w.eviction, w.maxPrice = policy, &price
	}
}
