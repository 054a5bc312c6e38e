package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

// A subscription as a request names it, and the tenant as an answer without a token does. Only its id is taken: where to sign in is not for a server
// to say.
var (
	subscriptionPath = regexp.MustCompile(`(?i)^/subscriptions/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(/|$)`)
	tenantURI        = regexp.MustCompile(`(?i)authorization_uri="https://[^"/]+/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/?"`)
)

// subscriptionOf is the address of the subscription that a request is about, which tells its tenant to whoever asks; "" when it is about none.
func subscriptionOf(r *http.Request) string {
	m := subscriptionPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return ""
	}
	return r.URL.Scheme + "://" + r.URL.Host + "/subscriptions/" + m[1]
}

// azureAbout is the subscription of a request, where the tenant is to be learnt from it.
func azureAbout(c Config, r *http.Request) string {
	if !c.hasSecret() || c.TenantID != "" {
		return ""
	}
	return subscriptionOf(r)
}

// tenantOf asks which tenant a subscription belongs to.
// Source: Azure Resource Manager, "Authenticate requests"; docker-machine's azure driver does the same.
func (h *host) tenantOf(ctx context.Context, subscription string) (string, error) {
	const instead = "set the tenant: azure-tenant-id, AZURE_TENANT_ID, or tenant_id of the credential in millwright.toml"
	if subscription == "" {
		return "", errors.New("the request is about no subscription, which could tell the tenant; " + instead)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, subscription+"?api-version=2022-12-01", nil)
	if err != nil {
		return "", err
	}
	res, err := h.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("ask for the subscription's tenant: %w; or %s", err, instead)
	}
	defer res.Body.Close()
	for _, challenge := range res.Header.Values("WWW-Authenticate") {
		if m := tenantURI.FindStringSubmatch(challenge); m != nil && res.StatusCode == http.StatusUnauthorized {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("the subscription's tenant is not to be learnt: the answer is %s, without a sign-in for it; %s", res.Status, instead)
}
