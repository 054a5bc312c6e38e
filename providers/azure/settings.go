package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// wishes are the options, read.
type wishes struct {
	place
	location     string
	size         string
	image        image
	plan         *planBody
	vnetGroup    string // resource group of the virtual network
	vnet         string
	subnet       string
	subnetPrefix string
	nsg          string // id of one that is the operator's; "" is our own
	ports        []port
	set          string // availability set; "" is none
	faults       int    // domains; 0 leaves it to the cloud
	updates      int
	zone         string
	storage      string
	diskGB       int
	user         string
	customData   string
	privateIP    string
	public       bool
	basicSKU     bool
	static       bool
	accelerated  bool
	dns          string
	tags         map[string]string
	identity     *identityBody
	priority     string // Spot, Low or "" for regular
	eviction     string
	maxPrice     *float64
	reach        string
	enginePort   int
}

// place is what even list and remove must know.
type place struct {
	endpoint     string // scheme://host[:port]
	credential   string
	subscription string
	group        string
}

// environment is one of Azure's clouds.
type environment struct {
	name       string
	aliases    []string
	endpoint   string
	credential string // whose token is for that endpoint
}

// Source: Azure documentation, "Compare Azure Government and global Azure" and "Azure China developer guide".
var environments = []environment{
	{"AzurePublicCloud", []string{"azurecloud"}, "https://management.azure.com", "azure"},
	{"AzureUSGovernmentCloud", []string{"azureusgovernment"}, "https://management.usgovcloudapi.net", "azure-usgovernment"},
	{"AzureChinaCloud", nil, "https://management.chinacloudapi.cn", "azure-china"},
}

var (
	subscriptionLike = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	groupLike        = regexp.MustCompile(`^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$`)
	resourceLike     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?$`)
	locationLike     = regexp.MustCompile(`^[a-z]+[a-z0-9]*$`)
	sizeLike         = regexp.MustCompile(`^[A-Za-z0-9]+(_[A-Za-z0-9-]+)*$`)
	userLike         = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	labelLike        = regexp.MustCompile(`^[a-z][a-z0-9-]{1,61}[a-z0-9]$`)
)

// refusedUsers are logins that Azure makes for nobody.
// Source: Azure REST API, "Virtual Machines - Create Or Update", adminUsername.
var refusedUsers = []string{
	"1", "123", "a", "actuser", "adm", "admin", "admin1", "admin2", "administrator", "aspnet", "backup", "console", "david", "guest", "john", "owner", "root",
	"server", "sql", "support", "support_388945a0", "sys", "test", "test1", "test2", "test3", "user", "user1", "user2", "user3", "user4", "user5", "video",
}

// reader reads options and notes what is wrong with them.
type reader struct{ settings.Reader }

// read turns options into wishes and lists everything that is wrong with them.
func read(o abi.Options) (wishes, []abi.Problem) {
	r := &reader{settings.Reader{Options: o}}
	w := wishes{
		place:        r.place(),
		location:     strings.ToLower(strings.ReplaceAll(r.Get(optLocation, "westus"), " ", "")),
		size:         r.Get(optSize, defaultSize),
		image:        r.image(),
		plan:         r.plan(),
		subnet:       r.named(optSubnet, "docker-machine"),
		subnetPrefix: r.prefix(),
		ports:        r.ports(),
		faults:       r.Whole(optFaultDomains, 0, 1, 3),
		updates:      r.Whole(optUpdateDomains, 0, 1, 20),
		zone:         o.Get(optZone),
		storage:      r.Get(optStorageType, "Standard_LRS"),
		diskGB:       r.Whole(optDiskSize, 30, 1, 4095),
		user:         r.Get(optUser, "docker-user"),
		customData:   o.Get(optCustomData),
		privateIP:    r.privateAddress(),
		public:       !o.Bool(optNoPublic),
		basicSKU:     o.Get(optStandardSKU) == "false",
		static:       o.Bool(optStaticPublic),
		accelerated:  o.Bool(optAccelerated),
		dns:          o.Get(optDNS),
		tags:         r.tags(),
		identity:     r.identity(),
		enginePort:   r.Whole(optDockerPort, 2376, 1, 65535),
	}
	w.vnetGroup, w.vnet = r.network(w.group)
	w.nsg = r.nsg(w.place)
	w.set = r.availabilitySet()
	r.spot(&w)
	r.check(w)
	r.together(&w)
	return w, r.Problems
}

// place reads what list and remove need.
func (r *reader) place() place {
	p := place{subscription: r.Options.Get(optSubscription), group: r.Get(optGroup, defaultGroup)}
	switch {
	case p.subscription == "":
		r.Wrong(optSubscription, "is missing; give the id of the subscription")
	case !subscriptionLike.MatchString(p.subscription):
		r.Bad(optSubscription, p.subscription, "the id of a subscription, such as 00000000-0000-0000-0000-000000000000")
	}
	if !groupLike.MatchString(p.group) {
		r.Bad(optGroup, p.group, "a name of letters, digits, hyphens, underscores, dots and parentheses, 90 at most")
	}
	name := r.Get(optEnvironment, defaultEnvironment)
	i := slices.IndexFunc(environments, func(e environment) bool {
		return strings.EqualFold(e.name, name) || slices.Contains(e.aliases, strings.ToLower(name))
	})
	if i < 0 {
		r.Bad(optEnvironment, name, "AzurePublicCloud, AzureUSGovernmentCloud or AzureChinaCloud")
		return p
	}
	p.endpoint, p.credential = strings.TrimSuffix(r.Get(optEndpoint, environments[i].endpoint), "/"), environments[i].credential
	return p
}

// check looks at options one by one.
func (r *reader) check(w wishes) {
	if !locationLike.MatchString(w.location) {
		r.Bad(optLocation, w.location, "a location, such as westeurope")
	}
	if !sizeLike.MatchString(w.size) {
		r.Bad(optSize, w.size, "a size, such as Standard_D2s_v5")
	}
	if !sizeLike.MatchString(w.storage) {
		r.Bad(optStorageType, w.storage, "a type of disk, such as StandardSSD_LRS")
	}
	if w.zone != "" && w.zone != "1" && w.zone != "2" && w.zone != "3" {
		r.Bad(optZone, w.zone, "1, 2 or 3")
	}
	if !userLike.MatchString(w.user) || slices.Contains(refusedUsers, w.user) {
		r.Bad(optUser, w.user, "a login of lower-case letters, digits, hyphens and underscores that Azure makes, which root, admin and user are not")
	}
	if w.dns != "" && !labelLike.MatchString(w.dns) {
		r.Bad(optDNS, w.dns, "a label of lower-case letters, digits and hyphens that begins with a letter, 3 to 63")
	}
	if w.size == defaultSize {
		r.Warn(optSize, w.size+" is docker-machine's default and Azure has retired it; use a newer one, such as Standard_D2s_v5")
	}
	if strings.EqualFold(w.image.text, defaultImage) {
		r.Warn(optImage, "is docker-machine's default, of 2016; use a newer one, such as canonical:ubuntu-24_04-lts:server:latest")
	}
	if r.Options.Get(optManagedDisks) == "false" {
		r.Warn(optManagedDisks, "has no effect: Azure runs no machines with other disks any more")
	}
	if r.Options.Get(optClientSecret) != "" && r.Options.Get(optClientID) == "" {
		r.Wrong(optClientSecret, "needs "+optClientID+"; give the application's id (az ad sp list)")
	}
}

// together looks at options that concern each other.
func (r *reader) together(w *wishes) {
	switch {
	case w.basicSKU && w.public:
		r.Warn(optStandardSKU, "false asks for public addresses of the SKU Basic, of which Azure makes no more")
	case !w.public && r.Options.Bool(optStaticPublic):
		r.Warn(optStaticPublic, "has no effect with "+optNoPublic)
	}
	if !w.public && w.dns != "" {
		r.Wrong(optDNS, "names the public address, and "+optNoPublic+" wants none; leave one of them out")
	}
	if w.privateIP != "" {
		r.Warn(optPrivateAddress, "one address is for one machine at a time; leave it out for a fleet")
	}
	switch {
	case r.Options.Bool(optUsePrivate) || !w.public:
		w.reach = reachPrivate
	case w.dns != "":
		w.reach = reachName
	}
	if w.zone != "" || w.priority != "" {
		w.set = "" // neither goes with one
	}
}

// Validate reads the options without asking the cloud.
func (azure) Validate(req abi.ValidateRequest) []abi.Problem {
	_, problems := read(req.Options)
	return problems
}

// usable returns the wishes for a machine to be made, or the first problem as an error.
func usable(o abi.Options) (wishes, error) {
	w, problems := read(o)
	return w, (&settings.Reader{Problems: problems}).Err()
}

// reachable returns where to look and to remove: a machine must go whatever became of the other options.
func reachable(o abi.Options) (place, error) {
	r := &reader{settings.Reader{Options: o}}
	p := r.place()
	return p, r.Err()
}

func quote(s string) string { return strconv.Quote(settings.Short(s)) }
