package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCheck asks engines that let in more or less.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		says        answers
		see, change abi.PermissionResult
		message     string
	}{
		"all": {answers{"GET /info": {0, `{"ID":"x"}`}}, abi.PermissionGranted, abi.PermissionGranted, ""},
		"a plug-in": {answers{"GET /info": {0, `{"ID":"x","Plugins":{"Authorization":["opa"]}}`}}, abi.PermissionGranted, abi.PermissionUnknown,
			"the engine asks its plug-in opa"},
		"a proxy": {answers{"GET /info": {http.StatusForbidden, "no"}}, abi.PermissionGranted, abi.PermissionUnknown, "not all calls are let through"},
		"no list": {answers{"GET /containers/json": {http.StatusForbidden, "no"}}, abi.PermissionDenied, abi.PermissionUnknown, "not all calls"},
		"nothing": {answers{"GET /version": {http.StatusForbidden, "no"}}, abi.PermissionDenied, abi.PermissionUnknown, "does not let the agent in"},
	} {
		t.Run(name, func(t *testing.T) {
			req := abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: engineSaying(t, tc.says)}
			all, err := native.Driver("docker").Check(t.Context(), req)
			if err != nil || len(all) != 2 || all[0].Result != tc.see || all[1].Result != tc.change || !strings.Contains(all[1].Message, tc.message) {
				t.Errorf("%+v, %v", all, err)
			}
		})
	}
	gone := abi.CheckRequest{Options: abi.Options{optHost: {"tcp://127.0.0.1:1"}}}
	if all, err := native.Driver("docker").Check(t.Context(), gone); err == nil {
		t.Errorf("an engine that is not there: %+v", all)
	}
}
