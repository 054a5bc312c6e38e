package original

import (
	"os"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) {
	code := m.Run()
	legacytest.Clean()
	os.Exit(code)
}

// TestLoaded gives machines to docker-machine itself, of those of its drivers whose clouds are asked nothing here. google and amazonec2 go on with
// them in their own tests; hetzner is a plug-in, which docker-machine 0.16.2 does not have.
func TestLoaded(t *testing.T) {
	for driver, tt := range map[string]struct {
		least    int
		instance abi.Instance
		options  abi.Options
	}{
		"azure": {20, abi.Instance{ID: "11111111-2222-3333-4444-555555555555", SSHUser: "docker-user"}, abi.Options{
			"azure-client-id": {"an id"}, "azure-client-secret": {"a secret"}, "azure-subscription-id": {"a subscription"}, "azure-environment": {"AzurePublicCloud"},
			"azure-resource-group": {"machines"}, "azure-location": {"westeurope"}, "azure-size": {"Standard_D2s_v5"}, "azure-open-port": {"8080"}, "azure-docker-port": {"2376"},
			"azure-use-private-ip": {"true"}, "azure-image": {"canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest"}, "azure-vnet": {"ci"},
		}},
		"digitalocean": {15, abi.Instance{ID: "3164494", State: abi.Raw(`{"key":512189}`)}, abi.Options{
			"digitalocean-access-token": {"a token"}, "digitalocean-region": {"fra1"}, "digitalocean-size": {"s-2vcpu-4gb"}, "digitalocean-image": {"ubuntu-24-04-x64"},
			"digitalocean-monitoring": {"true"}, "digitalocean-tags": {"ci,build"},
		}},
		"generic": {10, abi.Instance{ID: "lease-1", SSHPort: 2222, EnginePort: 2377, SSHUser: "ci"}, abi.Options{"generic-ip-address": {"10.0.0.7"}, "generic-ssh-key": {"/keys/ci"}}},
		"none":    {8, abi.Instance{ID: "10.0.0.7:2376"}, abi.Options{"url": {"tcp://10.0.0.7:2376"}}},
	} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			tt.instance.Name, tt.instance.Status, tt.instance.Address = "m1", abi.StatusRunning, "10.0.0.7"
			Loaded(t, driver, tt.least, tt.instance, tt.options)
		})
	}
}
