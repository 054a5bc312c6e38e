package remotecache

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/millwright-ci/millwright/agent/config"
)

// gcsKeys finds the service account that signs: that of CredentialsFile, of AccessID and PrivateKey, or of the application default
// credentials, in this order.
type gcsKeys struct {
	config config.CacheGCS
	client *http.Client

	mu    sync.Mutex // guards found, and is held while it is looked for
	found *account
}

func newGCSKeys(s *Store, c config.CacheGCS) *gcsKeys { return &gcsKeys{config: c, client: s.client} }

// account is a service account: with its key it signs here, without it by the IAM API in the name of token's owner, who must be allowed to
// (iam.serviceAccounts.signBlob).
type account struct {
	email  string
	key    *rsa.PrivateKey
	tokens oauth2.TokenSource
	client *http.Client
	domain string
}

func (k *gcsKeys) get(ctx context.Context) (*account, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.found != nil {
		return k.found, nil
	}
	a, err := k.find(ctx)
	if err != nil {
		return nil, err
	}
	a.client, a.domain = k.client, universe(k.config)
	k.found = a
	return a, nil
}

func (k *gcsKeys) find(ctx context.Context) (*account, error) {
	switch {
	case k.config.CredentialsFile != "":
		data, err := readFile(k.config.CredentialsFile)
		if err != nil {
			return nil, err
		}
		a, err := k.fromJSON(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.config.CredentialsFile, err)
		}
		return a, nil
	case k.config.AccessID != "" && k.config.PrivateKey != "":
		key, err := parseKey([]byte(k.config.PrivateKey.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("PrivateKey: %w", err)
		}
		return &account{email: k.config.AccessID, key: key}, nil
	}
	// What is found outlives this call.
	found, err := google.FindDefaultCredentials(context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, k.client), cloudScope)
	if err != nil {
		return nil, errors.New("there are no application default credentials; set CredentialsFile, or run the agent where it has a service account")
	}
	if found.JSON != nil {
		return k.fromJSON(found.JSON)
	}
	email, err := k.metadataEmail(ctx)
	if err != nil {
		return nil, err
	}
	return &account{email: email, tokens: found.TokenSource}, nil
}

// cloudScope is what a token for the IAM API needs.
const cloudScope = "https://www.googleapis.com/auth/cloud-platform"

// fromJSON reads a file of Google credentials: a service account's key, or one that leads to a service account (workload identity
// federation, impersonation). Its errors show nothing of what the file holds.
func (k *gcsKeys) fromJSON(data []byte) (*account, error) {
	var file struct {
		Type          google.CredentialsType `json:"type"`
		Email         string                 `json:"client_email"`
		Key           string                 `json:"private_key"`
		Impersonation string                 `json:"service_account_impersonation_url"`
	}
	if err := json.Unmarshal(data, &file); err != nil || file.Type == "" {
		return nil, errors.New("is no file of Google credentials, which are JSON with a type")
	}
	if file.Type == google.ServiceAccount {
		key, err := parseKey([]byte(file.Key))
		if err != nil {
			return nil, err
		}
		return &account{email: file.Email, key: key}, nil
	}
	// .../serviceAccounts/EMAIL:generateAccessToken
	email, _, _ := strings.Cut(path.Base(file.Impersonation), ":")
	if !strings.Contains(email, "@") {
		return nil, fmt.Errorf("credentials of type %q lead to no service account, and only those can sign; use a service account", file.Type)
	}
	found, err := google.CredentialsFromJSONWithType(context.WithValue(context.Background(), oauth2.HTTPClient, k.client), data, file.Type, cloudScope)
	if err != nil {
		return nil, fmt.Errorf("can't be used as credentials of type %q", file.Type)
	}
	return &account{email: email, tokens: found.TokenSource}, nil
}

func parseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the private key is not in PEM format")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("the private key is none of RSA in PKCS #1 or #8")
	}
	return key, nil
}

// metadataEmail asks the machine's metadata whose tokens it gives out.
func (k *gcsKeys) metadataEmail(ctx context.Context) (string, error) {
	host := cmp.Or(os.Getenv("GCE_METADATA_HOST"), "169.254.169.254")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/computeMetadata/v1/instance/service-accounts/default/email", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	email, err := answer(k.client, req)
	if err != nil {
		return "", fmt.Errorf("the machine's service account: %w", err)
	}
	return strings.TrimSpace(string(email)), nil
}

// sign returns the RSA signature of the SHA-256 of text.
func (a *account) sign(ctx context.Context, text []byte) ([]byte, error) {
	if a.key != nil {
		sum := sha256.Sum256(text)
		return rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	}
	token, err := a.tokens.Token()
	if err != nil {
		return nil, errors.New("the token to sign with could not be had: " + tokenReason(err))
	}
	body, err := json.Marshal(map[string][]byte{"payload": text})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://iamcredentials."+a.domain+"/v1/projects/-/serviceAccounts/"+a.email+":signBlob", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	token.SetAuthHeader(req)
	said, err := answer(a.client, req)
	if err != nil {
		return nil, fmt.Errorf("signing by the IAM API; the role Service Account Token Creator on %s allows it: %w", a.email, err)
	}
	var signed struct {
		Blob []byte `json:"signedBlob"`
	}
	if err := json.Unmarshal(said, &signed); err != nil || len(signed.Blob) == 0 {
		return nil, errors.New("signing by the IAM API: the answer holds no signature")
	}
	return signed.Blob, nil
}

// tokenReason is why a sign-in failed, without the body of an answer, which may repeat what was sent.
func tokenReason(err error) string {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return strings.TrimSpace(refused.Response.Status + " " + refused.ErrorCode)
	}
	return err.Error()
}

// readFile reads a small file.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}
