package fakegce

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Account writes the key file of a service account whose sign-ins end with this token, until the test ends, and returns its path.
func Account(t testing.TB, token string) string {
	t.Helper()
	server := SignIn(token)
	t.Cleanup(server.Close)
	path, err := AccountFile(t.TempDir(), server.URL+"/token")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// SignIn serves the endpoint of Google's OAuth 2 that a service account signs in at: whoever asks gets token, for an hour.
func SignIn(token string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600}) // whoever went away wants none
	}))
}

// AccountFile writes the key file of a service account that signs in at url into a folder, and returns its path.
func AccountFile(dir, url string) (path string, err error) {
	key, err := accountKey()
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "agent@project-1.iam.gserviceaccount.com", "private_key_id": "k1", "private_key": key, "token_uri": url,
	})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "key.json")
	return path, os.WriteFile(path, data, 0o600)
}

// accountKey is one for all accounts of a process: it takes a while to make.
var accountKey = sync.OnceValues(func() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
})
