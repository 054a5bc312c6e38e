package provision

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// osReleases are the texts of testdata/os-release.txtar, by their names.
func osReleases(t *testing.T) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/os-release.txtar")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range archive.Files {
		texts[f.Name] = string(f.Data)
	}
	return texts
}

func TestSystems(t *testing.T) {
	texts := osReleases(t)
	for _, tt := range []struct {
		file, name, install string
		past                bool // Docker's support for it
	}{
		{file: "debian-12", name: "Debian", install: "apt"},
		{file: "debian-13", name: "Debian", install: "apt"},
		{file: "debian-sid", name: "Debian", install: "apt"},
		{file: "debian-10", name: "Debian", install: "apt", past: true},
		{file: "ubuntu-24.04", name: "Ubuntu", install: "apt"},
		{file: "ubuntu-18.04", name: "Ubuntu", install: "apt", past: true},
		{file: "mint-22", name: "Ubuntu", install: "apt"},
		{file: "rhel-9", name: "RHEL", install: "docker-rhel"},
		{file: "rocky-9", name: "RHEL family", install: "docker-centos"},
		{file: "almalinux-9", name: "RHEL family", install: "docker-centos"},
		{file: "centos-stream-9", name: "RHEL family", install: "docker-centos"},
		{file: "centos-7", name: "RHEL family", install: "docker-centos", past: true},
		{file: "oracle-9", name: "RHEL family", install: "docker-centos"},
		{file: "amazon-2", name: "Amazon Linux", install: "amazon"},
		{file: "amazon-2023", name: "Amazon Linux", install: "amazon"},
		{file: "fedora-42", name: "Fedora", install: "dnf-moby"},
		{file: "fedora-38", name: "Fedora", install: "dnf-moby", past: true},
		{file: "sles-15", name: "SUSE", install: "zypper"},
		{file: "opensuse-leap", name: "SUSE", install: "zypper"},
		{file: "opensuse-tumbleweed", name: "SUSE", install: "zypper"},
		{file: "alpine", name: "Alpine", install: "apk"},
		{file: "flatcar", name: "Flatcar"},
		{file: "cos", name: "Container-Optimized OS"},
		{file: "arch", name: "Arch", install: "pacman"},
		{file: "void"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			text, ok := texts[tt.file]
			if !ok {
				t.Fatal("no such text")
			}
			delete(texts, tt.file)
			o := parseOSRelease(text)
			s, ok := systemOf(o)
			if s.name != tt.name || s.install != tt.install || ok != (tt.name != "") {
				t.Errorf("%s is %q, installed by %q", o, s.name, s.install)
			}
			if why := o.unsupported(); (why != "") != tt.past || tt.past && !strings.HasPrefix(why, "Docker no longer supports "+o.Name+": it makes packages for "+s.name) {
				t.Errorf("support: %q", why)
			}
			if want := map[bool]string{true: "closed", false: "open"}[tt.file == "cos"]; firewall(o) != want {
				t.Errorf("its firewall is %s", firewall(o))
			}
		})
	}
	for name := range texts {
		t.Errorf("%s is in no row", name)
	}
	seen := map[string]string{}
	for _, s := range systems {
		for _, id := range s.ids {
			if seen[id] != "" {
				t.Errorf("%s is both %s and %s", id, seen[id], s.name)
			}
			seen[id] = s.name
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"22.04", "22.04", 0}, {"18.04", "22.04", -1}, {"9", "22.04", -1}, {"24.10", "24.4", 1}, {"11", "11.0", 0}, {"v2", "1", -1}, {"", "1", -1}} {
		if got := compareVersions(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// What an installer says of a release that is in no table is believed.
func TestEndOfLife(t *testing.T) {
	o := osRelease{ID: "debian", VersionID: "12", Name: "Debian 12"}
	for out, want := range map[string]string{
		"E: The repository 'http://x bookworm Release' does not have a Release file.":                        "it seems that Docker no longer supports Debian 12",
		"This Linux distribution (debian 12) reached end-of-life and is no longer supported by this script.": "it seems that Docker no longer supports Debian 12",
		"ERROR: Unsupported distribution 'void'":                                                             "it seems that Docker no longer supports Debian 12",
		"E: Unable to locate package docker.io":                                                              "",
	} {
		if got := endOfLife(o, out); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q", out, got)
		}
	}
}
