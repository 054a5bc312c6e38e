package provision

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// system is a kind of Linux that machines are made of: how an engine is put on it, and what is special about it.
type system struct {
	name    string   // for people
	ids     []string // ID of os-release; of these or, for derivatives, of ID_LIKE
	install string   // what install.sh calls for the distribution's own packages; "" when there are none
	// oldest is the first VERSION_ID that Docker still makes packages for; "" when it never did or all releases count.
	// Source: Docker's documentation, "Install Docker Engine", and the notices of end of life in the script at get.docker.com, autumn of 2025.
	oldest string
	// advice says what to do when there is no engine and no way to install one.
	advice string
}

// What there is to do where an engine is part of the image or else nothing can be installed.
const ownImage = "its engine is part of the image: use an image as its makers publish it"

// systems are those that are known. An ID is in one row only, so that the order does not matter but for derivatives.
//
// Source: os-release(5) for the form, the distributions' own files for the values, which are in testdata/os-release.
var systems = []system{
	{name: "Debian", ids: []string{"debian", "raspbian"}, install: "apt", oldest: "11"},
	{name: "Ubuntu", ids: []string{"ubuntu"}, install: "apt", oldest: "22.04"},
	{name: "Fedora", ids: []string{"fedora"}, install: "dnf-moby", oldest: "41"},
	{name: "Amazon Linux", ids: []string{"amzn"}, install: "amazon"},
	{name: "RHEL", ids: []string{"rhel"}, install: "docker-rhel", oldest: "8"},
	{name: "RHEL family", ids: []string{"centos", "rocky", "almalinux", "ol"}, install: "docker-centos", oldest: "9"},
	{name: "SUSE", ids: []string{"sles", "sled", "sle_hpc", "sles_sap", "opensuse-leap", "opensuse-tumbleweed", "opensuse-microos", "opensuse", "suse"}, install: "zypper"},
	{name: "Alpine", ids: []string{"alpine"}, install: "apk"},
	{name: "Arch", ids: []string{"arch"}, install: "pacman"},
	{name: "Flatcar", ids: []string{"flatcar", "coreos"}, advice: ownImage},
	{name: "Container-Optimized OS", ids: []string{"cos"}, advice: ownImage},
}

// systemOf recognises a system by its ID, and one that is not known by the closest of those that it says it is like. ok is false for all
// others: they are good as long as they have an engine.
func systemOf(o osRelease) (s system, ok bool) {
	for _, id := range append([]string{o.ID}, o.Like...) {
		if i := slices.IndexFunc(systems, func(s system) bool { return slices.Contains(s.ids, id) }); i >= 0 {
			s := systems[i]
			if id != o.ID {
				s.oldest = "" // a derivative counts its releases by itself
			}
			return s, true
		}
	}
	return system{}, false
}

// unsupported says that Docker makes no packages for this release any more; "" when it does, or nobody knows.
func (o osRelease) unsupported() string {
	s, ok := systemOf(o)
	if !ok || s.oldest == "" || o.VersionID == "" || compareVersions(o.VersionID, s.oldest) >= 0 {
		return ""
	}
	return fmt.Sprintf("Docker no longer supports %s: it makes packages for %s %s and later; use an image of a newer release, or one with Docker in it", o, s.name, s.oldest)
}

// compareVersions compares numbers with dots between them; what is no number counts as 0.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := cmp.Compare(number(as, i), number(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}

// farewells are what installers say of a release that they no longer serve.
var farewells = []string{"end-of-life", "no longer supported", "Unsupported distribution", "does not have a Release file", "is not supported"}

// endOfLife says whether it is the system's age that an installation failed for, as far as the table or the installer's output tell; else "".
func endOfLife(o osRelease, output string) string {
	if why := o.unsupported(); why != "" {
		return why
	}
	for _, words := range farewells {
		if strings.Contains(output, words) {
			return fmt.Sprintf("it seems that Docker no longer supports %s, or its packages are gone; use an image of a newer release, or one with Docker in it", o)
		}
	}
	return ""
}
