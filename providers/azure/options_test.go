package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestOptionTable compares the options with docker-machine's: names, types, environment names and defaults.
func TestOptionTable(t *testing.T) {
	drivertest.OptionTable(t, azure{}.Describe().Options, specvectors.DriverOptions("azure"))
}

// modern is what every set of options needs that is to have no warnings.
var modern = []string{
	"azure-subscription-id=" + fakearm.Subscription, "azure-size=Standard_D2s_v5", "azure-image=canonical:ubuntu-24_04-lts:server:latest",
}

func TestValidate(t *testing.T) {
	const sub = "/subscriptions/" + fakearm.Subscription + "/resourceGroups/g/providers/"
	for name, tc := range map[string]struct {
		list    []string
		problem string // "" is none at all
		warning bool
	}{
		"modern":                      {nil, "", false},
		"docker-machine's size":       {[]string{"azure-size=Standard_A2"}, "has retired it", true},
		"docker-machine's image":      {[]string{"azure-image=canonical:UbuntuServer:16.04.0-LTS:latest"}, "of 2016", true},
		"a subscription by name":      {[]string{"azure-subscription-id=production"}, "the id of a subscription", false},
		"government":                  {[]string{"azure-environment=AzureUSGovernmentCloud"}, "", false},
		"government, as Azure says":   {[]string{"azure-environment=AZUREUSGOVERNMENT"}, "", false},
		"China":                       {[]string{"azure-environment=AzureChinaCloud"}, "", false},
		"Germany, which is no more":   {[]string{"azure-environment=AzureGermanCloud"}, "AzurePublicCloud, AzureUSGovernmentCloud or AzureChinaCloud", false},
		"a location as people say it": {[]string{"azure-location=West Europe"}, "", false},
		"a location that is none":     {[]string{"azure-location=west-europe"}, "such as westeurope", false},
		"a group that is none":        {[]string{"azure-resource-group=a/b"}, "parentheses", false},
		"an image by id":              {[]string{"azure-image=" + sub + "Microsoft.Compute/images/ci"}, "", false},
		"an image of a gallery":       {[]string{"azure-image=" + sub + "Microsoft.Compute/galleries/g/images/ci/versions/1.0.0"}, "", false},
		"an image of a community":     {[]string{"azure-image=/CommunityGalleries/g/Images/ci/Versions/latest"}, "", false},
		"an image of nothing":         {[]string{"azure-image=ubuntu-24.04"}, "publisher:offer:sku:version", false},
		"an image without version":    {[]string{"azure-image=canonical:ubuntu:server:"}, "publisher:offer:sku:version", false},
		"a plan":                      {[]string{"azure-plan=publisher:product:name"}, "", false},
		"a plan of two":               {[]string{"azure-plan=publisher:product"}, "publisher:product:name", false},
		"a network elsewhere":         {[]string{"azure-vnet=net-group:net"}, "", false},
		"a network of nothing":        {[]string{"azure-vnet=group:"}, "resourcegroup:name", false},
		"a prefix":                    {[]string{"azure-subnet-prefix=10.1.0.0/16"}, "", false},
		"a prefix of one":             {[]string{"azure-subnet-prefix=10.1.0.1/16"}, "such as 192.168.0.0/16", false},
		"a security group":            {[]string{"azure-nsg=mine"}, "", false},
		"a security group by id":      {[]string{"azure-nsg=" + sub + "Microsoft.Network/networkSecurityGroups/mine"}, "", false},
		"a security group of nothing": {[]string{"azure-nsg=group/mine"}, "the name of a network security group", false},
		"no availability set":         {[]string{"azure-availability-set="}, "", false},
		"a set that is none":          {[]string{"azure-availability-set=a b"}, "80 at most", false},
		"a zone":                      {[]string{"azure-availability-zone=2"}, "", false},
		"a zone that is none":         {[]string{"azure-availability-zone=westus-1"}, "1, 2 or 3", false},
		"a disk of nothing":           {[]string{"azure-disk-size=0"}, "from 1 to", false},
		"unmanaged disks":             {[]string{"azure-managed-disks=false"}, "has no effect", true},
		"a type of disk with spaces":  {[]string{"azure-storage-type=Premium SSD"}, "StandardSSD_LRS", false},
		"root":                        {[]string{"azure-ssh-user=root"}, "that Azure makes", false},
		"a login with a space":        {[]string{"azure-ssh-user=a b"}, "a login of", false},
		"an address":                  {[]string{"azure-private-ip-address=10.0.0.4"}, "one machine at a time", true},
		"an address that is none":     {[]string{"azure-private-ip-address=me"}, "an IP address", false},
		"a name without an address":   {[]string{"azure-dns=builds", "azure-no-public-ip"}, "leave one of them out", false},
		"a name in capitals":          {[]string{"azure-dns=CI"}, "a label of", false},
		"a static address of nothing": {[]string{"azure-no-public-ip", "azure-static-public-ip"}, "has no effect", true},
		"a basic address":             {[]string{"azure-enable-public-ip-standard-sku=false"}, "makes no more", true},
		"ports":                       {[]string{"azure-open-port=8080", "azure-open-port=53/udp"}, "", false},
		"a port of no protocol":       {[]string{"azure-open-port=80/icmp"}, "8080/udp", false},
		"a port that is none":         {[]string{"azure-open-port=99999"}, "8080/udp", false},
		"tags":                        {[]string{"azure-tags=team,ci,cost,low"}, "", false},
		"tags by pairs":               {[]string{"azure-tags=team=ci,cost=low"}, "", false},
		"a tag without value":         {[]string{"azure-tags=team,ci,cost"}, "key1,value1", false},
		"a tag of ours":               {[]string{"azure-tags=Millwright-Owner,me"}, "don't begin with millwright-", false},
		"a tag with a slash":          {[]string{"azure-tags=a/b,c"}, "keys without", false},
		"identities":                  {[]string{"azure-managed-identity=system", "azure-managed-identity=" + sub + "Microsoft.ManagedIdentity/userAssignedIdentities/ci"}, "", false},
		"an identity by name":         {[]string{"azure-managed-identity=ci"}, "system, or the id", false},
		"spot":                        {[]string{"azure-spot", "azure-eviction-policy=deallocate", "azure-max-price=0.05"}, "", false},
		"spot and low priority":       {[]string{"azure-spot", "azure-low-priority"}, "either azure-spot or", false},
		"an eviction of another kind": {[]string{"azure-eviction-policy=stop"}, "Delete or Deallocate", false},
		"a price of nothing":          {[]string{"azure-max-price=0"}, "US dollars", false},
		"a secret alone":              {[]string{"azure-client-secret=[secret]"}, "needs azure-client-id", false},
		"an application, no tenant":   {[]string{"azure-client-id=[secret]", "azure-client-secret=[secret]"}, "", false},
		"an application":              {[]string{"azure-client-id=[secret]", "azure-client-secret=[secret]", "azure-tenant-id=[secret]"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			native.Validate(t, azure{}, append(slices.Clone(modern), tc.list...), tc.problem, tc.warning)
		})
	}
}

// TestEnvironments checks where requests go, and with whose token, in each of Azure's clouds.
func TestEnvironments(t *testing.T) {
	for name, want := range map[string]place{
		"":                       {endpoint: "https://management.azure.com", credential: "azure"},
		"AzureUSGovernmentCloud": {endpoint: "https://management.usgovcloudapi.net", credential: "azure-usgovernment"},
		"AzureChinaCloud":        {endpoint: "https://management.chinacloudapi.cn", credential: "azure-china"},
	} {
		p, err := reachable(abi.Options{optSubscription: {fakearm.Subscription}, optEnvironment: {name}})
		if err != nil || p.endpoint != want.endpoint || p.credential != want.credential {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// TestWithoutSubscription checks that nothing is asked of the cloud when the subscription is missing.
func TestWithoutSubscription(t *testing.T) {
	_, err := nativeDriver.List(t.Context(), abi.ListRequest{Owner: testOwner, Options: abi.Options{}})
	if err == nil || !strings.Contains(err.Error(), "azure-subscription-id: is missing") {
		t.Errorf("got %v", err)
	}
}
