//go:build !wasip1

package main

import (
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/original"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestExported has docker-machine go on with a machine that this driver made.
func TestExported(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "eu-north-1"})
	o := options(t, c, "amazonec2-endpoint="+c.URL(), "amazonec2-insecure-transport", "amazonec2-region="+c.Region(), "amazonec2-ami="+testImage,
		"amazonec2-instance-type=m4.large", "amazonec2-root-size=50", "amazonec2-tags=team,ci", "amazonec2-zone=eu-north-1a")
	create(t, "om-exported", o)
	var i abi.Instance
	for deadline := time.Now().Add(time.Minute); i.Status != abi.StatusRunning; i = list(t, o)["om-exported"] {
		if time.Now().After(deadline) {
			t.Fatalf("it never runs: %+v", i)
		}
	}
	original.Exported(t, "amazonec2", i, o, "AWS_ACCESS_KEY_ID="+testKey, "AWS_SECRET_ACCESS_KEY="+testSecret)
	if left, there := list(t, o)["om-exported"]; there && left.Status != abi.StatusGone {
		t.Errorf("left: %+v", left)
	}
}
