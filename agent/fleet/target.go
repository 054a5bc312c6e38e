package fleet

import (
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Target says where a machine is and of which type, as GitLab's metrics label it. What is not known is "".
type Target struct {
	Zone, Region, Project, MachineType string
}

// targetOptions are the drivers' options that say so, by the name of the driver.
var targetOptions = map[string]Target{
	"google":       {Zone: "google-zone", Project: "google-project", MachineType: "google-machine-type"},
	"amazonec2":    {Zone: "amazonec2-zone", Region: "amazonec2-region", MachineType: "amazonec2-instance-type"},
	"azure":        {Region: "azure-location", Project: "azure-resource-group", MachineType: "azure-size"},
	"digitalocean": {Region: "digitalocean-region", MachineType: "digitalocean-size"},
	"hetzner":      {Region: "hetzner-server-location", MachineType: "hetzner-server-type"},
	"openstack":    {Zone: "openstack-availability-zone", Region: "openstack-region", Project: "openstack-tenant-name", MachineType: "openstack-flavor-name"},
}

// TargetOf reads a machine's target out of its options. GitLab Runner fills the labels for google alone.
func TargetOf(driver string, options abi.Options) Target {
	names := targetOptions[driver]
	value := func(name string) string {
		if v := options[name]; name != "" && len(v) > 0 {
			return v[0]
		}
		return ""
	}
	t := Target{Zone: value(names.Zone), Region: value(names.Region), Project: value(names.Project), MachineType: value(names.MachineType)}
	switch driver {
	case "google": // europe-west1-b lies in europe-west1
		if i := strings.LastIndex(t.Zone, "-"); i > 0 {
			t.Region = t.Zone[:i]
		}
	case "amazonec2": // the option holds the zone's letter alone
		if t.Zone != "" && t.Region != "" && !strings.HasPrefix(t.Zone, t.Region) {
			t.Zone = t.Region + t.Zone
		}
	}
	return t
}
