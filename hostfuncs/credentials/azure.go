package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azure is the fetch of an azure-ad credential.
func (h *host) azure(c Config) fetch {
	return func(ctx context.Context, scopes []string, about string) (material, error) {
		if len(scopes) != 1 {
			return material{}, errors.New("the grant must name one scope, as in scopes = [\"https://management.azure.com/.default\"]")
		}
		known := c
		if c.hasSecret() && c.TenantID == "" {
			var err error
			if known.TenantID, err = h.tenantOf(ctx, about); err != nil {
				return material{}, err
			}
		}
		source, err := h.azureSource(known)
		if err != nil {
			return material{}, err
		}
		t, err := source.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes})
		if err != nil {
			return material{}, err
		}
		return material{token: t.Token, expires: t.ExpiresOn}, nil
	}
}

// azureSource picks the sign-in: a secret is an application's, a token file a workload's, and without either it is the machine's.
func (h *host) azureSource(c Config) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{Transport: h.client, Retry: policy.RetryOptions{MaxRetries: 2}}
	private := c.Authority != ""
	if private {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: c.Authority}
	}
	switch {
	case c.hasSecret():
		secret, err := c.secret()
		if err != nil {
			return nil, err
		}
		return azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: private})
	case cmp.Or(c.TokenFile, os.Getenv("AZURE_FEDERATED_TOKEN_FILE")) != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: private, TenantID: c.TenantID, ClientID: c.ClientID, TokenFilePath: c.TokenFile,
		})
	}
	managed := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	if c.ClientID != "" {
		managed.ID = azidentity.ClientID(c.ClientID)
	}
	return azidentity.NewManagedIdentityCredential(managed)
}

// azureCode is the code that Microsoft's sign-in gives its errors.
var azureCode = regexp.MustCompile(`AADSTS[0-9]+`)

// azureFailure is err by its status and code.
func azureFailure(err *azidentity.AuthenticationFailedError) string {
	if err.RawResponse == nil {
		return "the sign-in can't be reached, or its answer can't be read"
	}
	text := "the sign-in answered " + err.RawResponse.Status
	if err.RawResponse.Body == nil {
		return text
	}
	// azcore keeps the body so that it can be read again.
	body, _ := io.ReadAll(io.LimitReader(err.RawResponse.Body, maxSecret))
	if code := azureCode.Find(body); code != nil {
		text += fmt.Sprintf(" (%s)", code)
	}
	return text
}
