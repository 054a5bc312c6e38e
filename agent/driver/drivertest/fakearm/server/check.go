package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v7"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// unknownField reads a body into the SDK's type, writes that again, and names what did not come back as it was: a field that the SDK does not know,
// or a value of another type. It is "" when all did.
func unknownField(into any, body []byte) string {
	if err := json.Unmarshal(body, into); err != nil {
		return "its body is not of the SDK's type: " + err.Error()
	}
	again, err := json.Marshal(into)
	if err != nil {
		return err.Error()
	}
	var sent, known any
	for _, part := range []struct {
		data []byte
		into *any
	}{{body, &sent}, {again, &known}} {
		d := json.NewDecoder(bytes.NewReader(part.data))
		d.UseNumber()
		if err := d.Decode(part.into); err != nil {
			return err.Error()
		}
	}
	return differs("", sent, known)
}

func differs(path string, sent, known any) string {
	switch s := sent.(type) {
	case map[string]any:
		k, _ := known.(map[string]any)
		for name, value := range s {
			other, ok := k[name]
			if !ok {
				return "the SDK knows no " + strings.TrimPrefix(path+"."+name, ".")
			}
			if why := differs(path+"."+name, value, other); why != "" {
				return why
			}
		}
		return ""
	case []any:
		k, _ := known.([]any)
		if len(k) != len(s) {
			return path + " is no list of the SDK's"
		}
		for i := range s {
			if why := differs(fmt.Sprintf("%s[%d]", path, i), s[i], k[i]); why != "" {
				return why
			}
		}
		return ""
	}
	if fmt.Sprint(sent) != fmt.Sprint(known) {
		return fmt.Sprintf("%s is %v, which the SDK reads as %v", path, sent, known)
	}
	return ""
}

// errSeen ends the SDK's own requests.
var errSeen = errors.New("seen")

// seen notes the version of the API that a client of the SDK asks for.
type seen struct{ version string }

func (s *seen) Do(r *http.Request) (*http.Response, error) {
	s.version = r.URL.Query().Get("api-version")
	return nil, errSeen
}

// sdkVersions asks the SDK's clients for the versions of their APIs.
func sdkVersions() (map[string]string, error) {
	s := &seen{}
	options := &arm.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: s, Retry: policy.RetryOptions{MaxRetries: -1}}}
	compute, err := armcompute.NewClientFactory("s", &fake.TokenCredential{}, options)
	if err != nil {
		return nil, err
	}
	network, err := armnetwork.NewClientFactory("s", &fake.TokenCredential{}, options)
	if err != nil {
		return nil, err
	}
	resource, err := armresources.NewClientFactory("s", &fake.TokenCredential{}, options)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	versions := map[string]string{}
	for name, call := range map[string]func() error{
		"VirtualMachinesClient":   func() error { _, err := compute.NewVirtualMachinesClient().Get(ctx, "g", "n", nil); return err },
		"DisksClient":             func() error { _, err := compute.NewDisksClient().Get(ctx, "g", "n", nil); return err },
		"AvailabilitySetsClient":  func() error { _, err := compute.NewAvailabilitySetsClient().Get(ctx, "g", "n", nil); return err },
		"InterfacesClient":        func() error { _, err := network.NewInterfacesClient().Get(ctx, "g", "n", nil); return err },
		"PublicIPAddressesClient": func() error { _, err := network.NewPublicIPAddressesClient().Get(ctx, "g", "n", nil); return err },
		"SecurityGroupsClient":    func() error { _, err := network.NewSecurityGroupsClient().Get(ctx, "g", "n", nil); return err },
		"VirtualNetworksClient":   func() error { _, err := network.NewVirtualNetworksClient().Get(ctx, "g", "n", nil); return err },
		"SubnetsClient":           func() error { _, err := network.NewSubnetsClient().Get(ctx, "g", "n", "s", nil); return err },
		"ResourceGroupsClient":    func() error { _, err := resource.NewResourceGroupsClient().Get(ctx, "g", nil); return err },
		"Client": func() error {
			_, err := resource.NewClient().NewListByResourceGroupPager("g", nil).NextPage(ctx)
			return err
		},
	} {
		if err := call(); !errors.Is(err, errSeen) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		versions[name] = s.version
	}
	return versions, nil
}
