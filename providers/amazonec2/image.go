package main

import (
	"regexp"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// canonical is the account that publishes Ubuntu's images, in the regions that begin so.
// Source: Ubuntu documentation, "Find Ubuntu images on AWS".
var canonical = []struct{ region, account string }{{"cn-", "837727238323"}, {"us-gov-", "513442679011"}, {"", "099720109477"}}

// armType tells an instance type of AWS's own processors, such as t4g.small and c7gn.large.
var armType = regexp.MustCompile(`^(a1|[a-z]+[0-9]+g[a-z]*)\.`)

// arch is the architecture of the instance type, as images name it.
func (s settings) arch() (ours, theirs string) {
	if armType.MatchString(s.instanceType) {
		return "arm64", "arm64"
	}
	return "x86_64", "amd64"
}

// imageID is what RunInstances is given: an id, or what AWS resolves by itself.
func (s settings) imageID() (string, error) {
	image := s.image
	arch, name := s.arch()
	if image == "" {
		for _, c := range canonical {
			if strings.HasPrefix(s.region, c.region) {
				image = c.account + "/ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-" + name + "-server-*"
				break
			}
		}
	}
	owner, pattern, named := strings.Cut(image, "/")
	if !named || strings.HasPrefix(image, "resolve:") {
		return image, nil
	}
	return remembered.recall(func() (string, error) { return s.newest(owner, pattern, arch) }, s.account, s.endpoint, "image", image, arch)
}

// newest returns the newest image of an owner's with a name of the pattern.
func (s settings) newest(owner, pattern, arch string) (string, error) {
	f := newForm()
	f.list("Owner", owner)
	f.filter("name", pattern)
	f.filter("state", "available")
	f.filter("architecture", arch)
	var id, made string
	_, err := s.pages("DescribeImages", f, func(a answer) {
		for _, e := range a.Items("imagesSet") {
			if at := e.At("creationDate"); id == "" || at > made {
				id, made = e.At("imageId"), at
			}
		}
	})
	switch {
	case err != nil:
		return "", driver.About("look for the image", err)
	case id == "":
		return "", &abi.Error{Kind: abi.Invalid, Message: optAMI + ": " + owner + " has no image " + pattern + " for " + arch + " in " + s.region + "; give one by its id"}
	}
	return id, nil
}
