package cloudtrial

import (
	"fmt"
	"strings"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

// Settings are the environment variables of a trial.
type Settings map[string]string

// Names of the settings. The first must be given for google, the last of the three for amazonec2: a trial costs money, so nobody runs one by accident.
const (
	setProject = "MILLWRIGHT_CLOUD_PROJECT"
	setZone    = "MILLWRIGHT_CLOUD_ZONE"
	setRegion  = "MILLWRIGHT_CLOUD_REGION"

	setOptions  = "MILLWRIGHT_CLOUD_OPTIONS"  // more MachineOptions, separated by spaces: a subnet, say
	setImage    = "MILLWRIGHT_CLOUD_IMAGE"    // of the job; default busybox
	setEndpoint = "MILLWRIGHT_CLOUD_ENDPOINT" // of a private or a pretended cloud
)

// Names lists the environment variables that count.
var Names = []string{setProject, setZone, setRegion, setOptions, setImage, setEndpoint}

// Trial makes a trial of the settings, with the smallest machine that runs an engine. The rest of it is the caller's: where it lies, who hears of
// it, and the helper image.
func (s Settings) Trial(driver string, store *credentials.Store) (Trial, error) {
	t := Trial{Driver: driver, Image: s[setImage]}
	if t.Image == "" {
		t.Image = "busybox:latest"
	}
	a := Account{Driver: driver, Endpoint: s[setEndpoint], Store: store}
	needed := map[string]string{"google": setProject + " " + setZone, "amazonec2": setRegion}[driver]
	if needed == "" {
		return t, fmt.Errorf("cloud trial: there is none for the driver %q; use google or amazonec2", driver)
	}
	for _, name := range strings.Fields(needed) {
		if s[name] == "" {
			return t, fmt.Errorf("cloud trial: %s is not set; it makes a machine in your account, which costs money, so say where: set %s", name, strings.Join(strings.Fields(needed), " and "))
		}
	}
	if driver == "google" {
		a.Project = s[setProject]
		t.Options = []string{"google-project=" + s[setProject], "google-zone=" + s[setZone], "google-machine-type=e2-micro", "google-disk-size=10",
			"google-machine-image=ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"}
		if a.Endpoint != "" {
			t.Operator = fmt.Sprintf("[drivers.google]\nendpoint = %q\n", a.Endpoint)
		}
	} else {
		a.Region = s[setRegion]
		t.Options = []string{"amazonec2-region=" + s[setRegion], "amazonec2-instance-type=t3.micro", "amazonec2-root-size=8"}
		if a.Endpoint != "" {
			t.Options = append(t.Options, "amazonec2-endpoint="+a.Endpoint)
		}
	}
	t.Options = append(t.Options, strings.Fields(s[setOptions])...)
	t.Left = a.Left
	return t, nil
}
