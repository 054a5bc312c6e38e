package remotecache_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/job/remotecache"
	"github.com/millwright-ci/millwright/agent/job/remotecache/storetest"
)

const (
	gcsHost = "storage.googleapis.com"
	email   = "caches@project.iam.gserviceaccount.com"
)

// newKey makes a service account's key, and the text of its private half.
func newKey(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// plain reaches a front in the clear, whatever the link says: who listens there is not Google.
type plain struct{ http.RoundTripper }

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host, r.URL.Scheme = r.URL.Host, "http"
	return p.RoundTripper.RoundTrip(r)
}

func plainClient(front *storetest.Front) *http.Client {
	return &http.Client{Transport: plain{client(front).Transport}}
}

// google is where tokens come from, and the IAM API, which signs. The client that comes with it reaches both by their names.
func google(t *testing.T, key *rsa.PrivateKey) (metadata string, c *http.Client) {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/service-accounts/default/email"):
			io.WriteString(w, email)
		case strings.HasSuffix(r.URL.Path, "/service-accounts/default/token"):
			io.WriteString(w, `{"access_token":"a-token","expires_in":3600,"token_type":"Bearer"}`)
		case r.Host == "sts.googleapis.com":
			io.WriteString(w, `{"access_token":"federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`)
		case strings.HasSuffix(r.URL.Path, email+":generateAccessToken"):
			io.WriteString(w, `{"accessToken":"a-token","expireTime":"2099-01-01T00:00:00Z"}`)
		case r.Host == "iamcredentials.googleapis.com" && r.URL.Path == "/v1/projects/-/serviceAccounts/"+email+":signBlob":
			if r.Header.Get("Authorization") != "Bearer a-token" {
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, `{"error":{"message":"Permission iam.serviceAccounts.signBlob denied"}}`)
				return
			}
			var asked struct {
				Payload []byte `json:"payload"`
			}
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			sum := sha256.Sum256(asked.Payload)
			signed, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			if err != nil {
				t.Error(err)
			}
			json.NewEncoder(w).Encode(map[string][]byte{"signedBlob": signed})
		default:
			http.NotFound(w, r)
		}
	})
	machine, cloud := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(machine.Close)
	t.Cleanup(cloud.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	dial := &net.Dialer{}
	c = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ":443") {
			address = cloud.Listener.Addr().String()
		}
		return dial.DialContext(ctx, network, address)
	}}}
	return machine.Listener.Addr().String(), c
}

func gcsCache(change func(*config.CacheGCS)) *config.Cache {
	c := &config.Cache{Type: "gcs", MaxUploadedArchiveSize: 1000}
	c.GCS.BucketName = storetest.Bucket
	change(&c.GCS)
	return c
}

func TestGCS(t *testing.T) {
	key, text := newKey(t)
	front := storetest.GCS(t, "127.0.0.1:0", gcsHost, storetest.Accounts{email: &key.PublicKey})
	metadata, cloud := google(t, key)
	write := func(content map[string]any) string {
		t.Helper()
		data, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "credentials.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	account := write(map[string]any{"type": "service_account", "client_email": email, "private_key": text, "token_uri": "https://oauth2.googleapis.com/token"})
	identity := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(identity, []byte("an identity"), 0o600); err != nil {
		t.Fatal(err)
	}
	federated := write(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
		"credential_source":                 map[string]any{"file": identity},
		"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + email + ":generateAccessToken",
	})
	for _, tt := range []struct {
		name   string
		env    map[string]string
		change func(*config.CacheGCS)
		fails  string
	}{
		{name: "key", change: func(c *config.CacheGCS) { c.AccessID, c.PrivateKey = email, config.Secret(text) }},
		{name: "service account's file", change: func(c *config.CacheGCS) { c.CredentialsFile = account }},
		{name: "file wins over key", change: func(c *config.CacheGCS) {
			c.CredentialsFile, c.AccessID, c.PrivateKey = account, "other", "no key"
		}},
		{name: "workload identity federation", change: func(c *config.CacheGCS) { c.CredentialsFile = federated }},
		{name: "application default credentials", env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": account}},
		{name: "the machine's account", env: map[string]string{"GCE_METADATA_HOST": metadata}},
		{name: "a user's credentials", fails: "lead to no service account", change: func(c *config.CacheGCS) {
			c.CredentialsFile = write(map[string]any{"type": "authorized_user", "client_id": "a", "client_secret": "geheim", "refresh_token": "geheim"})
		}},
		{name: "no key at all", fails: "PEM", change: func(c *config.CacheGCS) { c.AccessID, c.PrivateKey = email, "geheim" }},
		{name: "no such file", fails: "no such file", change: func(c *config.CacheGCS) { c.CredentialsFile = "/nowhere.json" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			if tt.change == nil {
				tt.change = func(*config.CacheGCS) {}
			}
			store := remotecache.New(remotecache.Options{HTTP: cloud})
			o := object("project/7/a b+c=ü/" + tt.name)
			o.Limit = 1000
			if tt.fails != "" {
				_, err := store.Link(t.Context(), gcsCache(tt.change), remotecache.Put, o)
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "geheim") {
					t.Errorf("got %v, want %s in it", err, tt.fails)
				}
				return
			}
			roundTrip(t, plainClient(front), store, gcsCache(tt.change), o)
		})
	}
}

func TestGCSRefusals(t *testing.T) {
	key, text := newKey(t)
	front := storetest.GCS(t, "127.0.0.1:0", gcsHost, storetest.Accounts{email: &key.PublicKey})
	cache := gcsCache(func(c *config.CacheGCS) { c.AccessID, c.PrivateKey = email, config.Secret(text) })
	link := func(verb remotecache.Verb, ago time.Duration) remotecache.Link {
		t.Helper()
		o := object("project/7/k")
		o.Limit = 3
		l, err := remotecache.New(remotecache.Options{Now: func() time.Time { return time.Now().Add(-ago) }}).Link(t.Context(), cache, verb, o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	other := link(remotecache.Put, 0)
	other.URL = config.Secret(strings.Replace(other.URL.Reveal(), "project/7/k", "project/8/k", 1))
	for name, c := range map[string]struct {
		verb, body string
		link       remotecache.Link
	}{
		"another verb":   {http.MethodPut, "x", link(remotecache.Get, 0)},
		"another object": {http.MethodPut, "x", other},
		"too late":       {http.MethodGet, "", link(remotecache.Get, 2*time.Hour)},
		"too large":      {http.MethodPut, "four", link(remotecache.Put, 0)},
	} {
		if code, said := use(t, plainClient(front), c.verb, c.link, c.body); code != http.StatusForbidden {
			t.Errorf("%s: status %d: %s", name, code, said)
		}
	}
	if code, said := use(t, plainClient(front), http.MethodPut, link(remotecache.Put, 0), "x"); code != http.StatusOK {
		t.Errorf("the link itself: status %d: %s", code, said)
	}
}
