package main

import (
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/gce"
)

// ended are images whose operating system gets no more fixes, by their project and how their names and families begin, as of August 2026. Google
// deprecates such images and deletes them later, when a family finds none any more; Docker makes no packages for them.
// Sources: Ubuntu, "Release cycle" (end of standard support); Debian wiki, "LTS"; CentOS, "Download" (end of life); Red Hat Enterprise Linux,
// "Life Cycle" (end of maintenance support 2); SUSE, "Product Support Lifecycle" (end of general support); Fedora CoreOS, "End of life announcement for
// CoreOS Container Linux"; Compute Engine documentation, "Operating system details".
var ended = []struct{ project, begins, system, since, instead string }{
	{"ubuntu-os-cloud", "ubuntu-1404-", "Ubuntu 14.04", "2019-04", newestUbuntu},
	{"ubuntu-os-cloud", "ubuntu-1604-", "Ubuntu 16.04", "2021-04", newestUbuntu},
	{"ubuntu-os-cloud", "ubuntu-minimal-1604-", "Ubuntu 16.04", "2021-04", newestUbuntu},
	{"ubuntu-os-cloud", "ubuntu-1804-", "Ubuntu 18.04", "2023-05", newestUbuntu},
	{"ubuntu-os-cloud", "ubuntu-minimal-1804-", "Ubuntu 18.04", "2023-05", newestUbuntu},
	{"ubuntu-os-cloud", "ubuntu-2004-", "Ubuntu 20.04", "2025-05", newestUbuntu},
	{"ubuntu-os-cloud", "ubuntu-minimal-2004-", "Ubuntu 20.04", "2025-05", newestUbuntu},
	{"debian-cloud", "debian-8-", "Debian 8", "2020-06", newestDebian},
	{"debian-cloud", "debian-9-", "Debian 9", "2022-06", newestDebian},
	{"debian-cloud", "debian-10-", "Debian 10", "2024-06", newestDebian},
	{"centos-cloud", "centos-6-", "CentOS 6", "2020-11", newestRocky},
	{"centos-cloud", "centos-7-", "CentOS 7", "2024-06", newestRocky},
	{"centos-cloud", "centos-8-", "CentOS 8", "2021-12", newestRocky},
	{"centos-cloud", "centos-stream-8-", "CentOS Stream 8", "2024-05", newestRocky},
	{"rhel-cloud", "rhel-6-", "Red Hat Enterprise Linux 6", "2020-11", "rhel-cloud/global/images/family/rhel-9"},
	{"rhel-cloud", "rhel-7-", "Red Hat Enterprise Linux 7", "2024-06", "rhel-cloud/global/images/family/rhel-9"},
	{"suse-cloud", "sles-12-", "SUSE Linux Enterprise Server 12", "2024-10", "suse-cloud/global/images/family/sles-15"},
	{"coreos-cloud", "coreos-", "CoreOS Container Linux", "2020-05", "cos-cloud/global/images/family/cos-stable"},
}

const (
	newestUbuntu = "ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
	newestDebian = "debian-cloud/global/images/family/debian-12"
	newestRocky  = "rocky-linux-cloud/global/images/family/rocky-linux-9"
)

// past warns of an image, PROJECT/global/images/..., whose system is past its end.
func (r *reader) past(image string) {
	project, _, _ := strings.Cut(image, "/")
	for _, e := range ended {
		if project == e.project && strings.HasPrefix(gce.LastPart(image)+"-", e.begins) {
			r.Warn(optMachineImage, e.system+" has had no fixes since "+e.since+", and Google deletes such images; use another, such as "+e.instead)
			return
		}
	}
}
