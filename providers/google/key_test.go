package main

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

// rsaKey is one for all tests: it takes a while to make.
var rsaKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // there is no randomness
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err) // it was made just now
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
})

// keyFile writes the key file of a service account that signs in at a server of the test's.
func keyFile(t *testing.T, signIn http.Handler) string {
	t.Helper()
	server := httptest.NewServer(signIn)
	t.Cleanup(server.Close)
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "agent@project-1.iam.gserviceaccount.com", "private_key_id": "k1", "private_key": string(rsaKey()),
		"token_uri": server.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
