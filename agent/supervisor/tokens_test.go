package supervisor

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestTokens lists machines at clouds that want a token, as it stands in MachineOptions: it reaches the cloud, and no option that goes on.
func TestTokens(t *testing.T) {
	const token = "token-of-the-runner"
	do, err := fakedo.Start(fakedo.Settings{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer do.Close()
	hetzner, err := fakehcloud.Start(fakehcloud.Settings{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer hetzner.Close()
	endpoints := map[string]string{"digitalocean": do.URL(), "hetzner": hetzner.URL()}
	dist := fstest.MapFS{}
	op := &config.Operator{Drivers: map[string]config.OperatorDriver{}}
	for name, url := range endpoints {
		dist["dist/"+name+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, "providers/"+name)}
		op.Drivers[name] = config.OperatorDriver{Endpoint: url}
	}
	host, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(t), Builtins: []fs.FS{dist},
		Limits: module.Limits{DriverTime: time.Minute, OtherTime: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDrivers(host, nil)
	d.operator = func() *config.Operator { return op }
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for name, option := range map[string]string{"digitalocean": "digitalocean-access-token", "hetzner": "hetzner-api-token"} {
		drv, err := d.forPool(name)
		if err != nil {
			t.Fatal(err)
		}
		list := func(options abi.Options) error {
			_, err := drv.List(t.Context(), abi.ListRequest{Owner: abi.Owner{ID: "abcdefgh01234567"}, Options: options})
			return err
		}
		options, _, err := d.options("runner-1", name, []string{option + "=" + token}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if value := options.Get(option); value == "" || strings.Contains(value, token) {
			t.Errorf("%s: the option that goes on is %q", name, value)
		}
		if err := list(options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		delete(options, option)
		if err := list(options); err == nil || !strings.Contains(err.Error(), "auth: ") || !strings.Contains(err.Error(), option) {
			t.Errorf("%s without a token: %v", name, err)
		}
	}
}
