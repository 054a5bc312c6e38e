package remotecache

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/millwright-ci/millwright/agent/config"
)

// azure makes shared access signatures (SAS) for one blob: with the account's key, or with a user delegation key, which the identity that the
// default chain of Azure finds asks for.
// Source: Azure Storage documentation, "Create a service SAS" and "Create a user delegation SAS".
type azure struct {
	config config.CacheAzure
	client *http.Client
	now    func() time.Time
	key    []byte // of the account; nil for an identity

	mu         sync.Mutex // guards what follows, and is held while it is fetched
	identity   azcore.TokenCredential
	delegation delegation
}

func newAzure(s *Store, c config.CacheAzure) (*azure, error) {
	if c.AccountName == "" || c.ContainerName == "" {
		return nil, errors.New("AccountName or ContainerName is empty; name account and container in [runners.cache.azure]")
	}
	key, err := base64.StdEncoding.DecodeString(c.AccountKey.Reveal())
	if err != nil {
		return nil, errors.New("AccountKey is not in Base64; copy it as the storage account shows it")
	}
	return &azure{config: c, client: s.client, now: s.now, key: key}, nil
}

const (
	sasVersion = "2021-08-06" // of signatures and requests
	sasTime    = "2006-01-02T15:04:05Z"
	// clockSkew is how much a server's clock may be behind ours.
	clockSkew = 5 * time.Minute
)

// sas is what a signature says.
type sas struct{ permissions, start, expiry, resource string }

func (a *azure) sign(ctx context.Context, verb Verb, o Object) (Link, error) {
	now := a.now().UTC()
	s := sas{
		permissions: "r", start: now.Add(-clockSkew).Format(sasTime), expiry: now.Add(o.valid()).Format(sasTime),
		resource: "/blob/" + a.config.AccountName + "/" + a.config.ContainerName + "/" + o.Name,
	}
	var l Link
	if verb == Put {
		s.permissions = "cw"
		l.Header = []string{"content-type: application/octet-stream", "x-ms-blob-type: BlockBlob", "x-ms-meta-cachekey: " + metadata(o.Key)}
	}
	query := url.Values{"sv": {sasVersion}, "sr": {"b"}, "sp": {s.permissions}, "st": {s.start}, "se": {s.expiry}, "spr": {"https"}}
	if len(a.key) > 0 {
		query.Set("sig", seal(a.key, s.permissions, s.start, s.expiry, s.resource, "", "", "https", sasVersion, "b", "", "", "", "", "", "", ""))
	} else {
		d, err := a.delegate(ctx, now.Add(o.valid()))
		if err != nil {
			return Link{}, fmt.Errorf("credentials: %w", err)
		}
		for name, value := range map[string]string{"skoid": d.OID, "sktid": d.TID, "skt": d.Start, "ske": d.Expiry, "sks": d.Service, "skv": d.Version} {
			query.Set(name, value)
		}
		query.Set("sig", seal(d.key, s.permissions, s.start, s.expiry, s.resource, d.OID, d.TID, d.Start, d.Expiry, d.Service, d.Version,
			"", "", "", "", "https", sasVersion, "b", "", "", "", "", "", "", ""))
	}
	l.URL = config.Secret("https://" + a.host() + escape("/"+a.config.ContainerName+"/"+o.Name) + "?" + query.Encode())
	return l, nil
}

// parts is the link of a whole upload with another ending: the signature does not cover what is done with the blob. Blocks that are never listed
// as a blob's go after a week.
// Source: Azure Storage documentation, "Put Block" and "Put Block List".
func (a *azure) parts(ctx context.Context, o Object, size int64) (Parts, error) {
	l, err := a.sign(ctx, Put, o)
	if err != nil {
		return Parts{}, err
	}
	return Parts{Kind: "azure", Size: size, URL: l.URL + "&comp=block&blockid={part}", Complete: l.URL + "&comp=blocklist"}, nil
}

func (a *azure) host() string {
	return a.config.AccountName + "." + cmp.Or(a.config.StorageDomain, "blob.core.windows.net")
}

// seal signs the lines of a signature.
func seal(key []byte, lines ...string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(lines, "\n")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// delegation is a key that signs in the name of an identity.
type delegation struct {
	OID     string `xml:"SignedOid"`
	TID     string `xml:"SignedTid"`
	Start   string `xml:"SignedStart"`
	Expiry  string `xml:"SignedExpiry"`
	Service string `xml:"SignedService"`
	Version string `xml:"SignedVersion"`
	Value   string `xml:"Value"` // in Base64
	key     []byte
	expires time.Time
}

// delegationLife is how long a key is asked for at least, so that it serves many links.
const delegationLife = 24 * time.Hour

// delegate returns a key that holds until then.
func (a *azure) delegate(ctx context.Context, until time.Time) (delegation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.delegation.expires.After(until) {
		return a.delegation, nil
	}
	if a.identity == nil {
		found, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions:            azcore.ClientOptions{Transport: a.client, Retry: policy.RetryOptions{MaxRetries: 2}},
			DisableInstanceDiscovery: os.Getenv("AZURE_AUTHORITY_HOST") != "", // a private cloud's, which the public one does not know
		})
		if err != nil {
			return delegation{}, err
		}
		a.identity = found
	}
	token, err := a.identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})
	if err != nil {
		return delegation{}, errors.New("no identity signs in: " + signInReason(err))
	}
	now := a.now().UTC()
	expires := now.Add(min(max(delegationLife, until.Sub(now)+time.Hour), maxValid-clockSkew))
	return a.fetch(ctx, token.Token, now.Add(-clockSkew), expires)
}

// fetch asks the account for a key. The mutex is held.
func (a *azure) fetch(ctx context.Context, token string, start, expires time.Time) (delegation, error) {
	body := "<KeyInfo><Start>" + start.Format(sasTime) + "</Start><Expiry>" + expires.Format(sasTime) + "</Expiry></KeyInfo>"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+a.host()+"/?restype=service&comp=userdelegationkey", bytes.NewReader([]byte(body)))
	if err != nil {
		return delegation{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Ms-Version", sasVersion)
	req.Header.Set("Content-Type", "application/xml")
	said, err := answer(a.client, req)
	if err != nil {
		return delegation{}, fmt.Errorf("the key to sign with; the role Storage Blob Delegator on the account allows it: %w", err)
	}
	d := delegation{expires: expires}
	if err := xml.Unmarshal(said, &d); err != nil {
		return delegation{}, errors.New("the key to sign with: the answer can't be read")
	}
	if d.key, err = base64.StdEncoding.DecodeString(d.Value); err != nil || len(d.key) == 0 {
		return delegation{}, errors.New("the key to sign with: the answer holds none")
	}
	a.delegation = d
	return d, nil
}

// signInReason is the first line of what the library says, which tries several ways and tells of each.
func signInReason(err error) string {
	text := strings.TrimSpace(err.Error())
	if len(text) > 600 {
		text = strings.ToValidUTF8(text[:600], "") + " ..."
	}
	return strings.Join(strings.Fields(text), " ")
}
