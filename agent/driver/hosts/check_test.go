package hosts

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCheck tries three hosts: one lets in, one only a login that is nobody there, one nobody.
func TestCheck(t *testing.T) {
	o := Options{Name: Generic, Store: t.TempDir()}
	o.TryLogin = func(_ context.Context, l Login, addr, user string) (login, root error) {
		if user != "ci" || l.KeyFile != "/k" {
			t.Errorf("%s with %+v", user, l)
		}
		return map[string]error{"h3:22": errors.New("no route")}[addr], map[string]error{"h2:2222": errors.New("a password is required")}[addr]
	}
	req := abi.CheckRequest{Options: abi.Options{optAddress: {"h1,h2:2222", "h3"}, optUser: {"ci"}, optKey: {"/k"}}}
	all, err := New(o).Check(t.Context(), req)
	var got []string
	for _, p := range all {
		got = append(got, strings.TrimSpace(p.Name+" "+string(p.Result)+" "+p.Message))
	}
	want := []string{
		"ssh ci@h1:22 granted", "root on h1:22 granted", "ssh ci@h2:2222 granted", "root on h2:2222 denied a password is required",
		"ssh ci@h3:22 denied no route", "root on h3:22 unknown nobody can log in",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := New(o).Check(t.Context(), abi.CheckRequest{}); driver.KindOf(err) != abi.Invalid {
		t.Errorf("without hosts: %v", err)
	}
	for _, name := range Names() {
		options := abi.Options{optAddress: {"h1"}, optURL: {"tcp://h1:2376"}, optCerts: {"/certs"}}
		if _, err := New(Options{Name: name}).Check(t.Context(), abi.CheckRequest{Options: options}); !errors.Is(err, driver.ErrNoCheck) {
			t.Errorf("%s, which nobody can try: %v", name, err)
		}
	}
}

func TestCheckEngine(t *testing.T) {
	for want, answer := range map[abi.PermissionResult]error{abi.PermissionGranted: nil, abi.PermissionDenied: errors.New("no such certificate")} {
		o := Options{Name: None, TryEngine: func(_ context.Context, url, certs string) error {
			if url != "tcp://h1:2376" || certs != "/certs" {
				t.Errorf("%s with %s", url, certs)
			}
			return answer
		}}
		all, err := New(o).Check(t.Context(), abi.CheckRequest{Options: abi.Options{optURL: {"tcp://h1:2376"}, optCerts: {"/certs"}}})
		if err != nil || len(all) != 1 || all[0].Result != want {
			t.Errorf("%+v, %v", all, err)
		}
	}
}
