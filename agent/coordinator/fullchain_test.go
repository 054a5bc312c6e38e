package coordinator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// issued makes a certificate, signed by its issuer or, without one, by itself. Its issuer can be fetched at url.
func issued(t *testing.T, name, url string, issuer *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if url != "" {
		template.IssuingCertificateURL = []string{url}
	}
	if issuer == nil {
		issuer, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// TestFullChain follows the issuers of a chain that ends with an intermediate certificate, and stops where that leads astray.
func TestFullChain(t *testing.T) {
	files := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(data)
	}))
	defer server.Close()
	root, rootKey := issued(t, "root", "", nil, nil)
	upper, upperKey := issued(t, "upper", server.URL+"/root", root, rootKey)
	lower, lowerKey := issued(t, "lower", server.URL+"/upper", upper, upperKey)
	leaf, _ := issued(t, "leaf", "", lower, lowerKey)
	stranger, _ := issued(t, "root", "", nil, nil)
	for _, tt := range []struct {
		name        string
		root, upper []byte // what the authorities' server has
		chain       []*x509.Certificate
		want        string // the names
		wrong       string // in the error
	}{
		{"complete", nil, nil, []*x509.Certificate{leaf, lower, upper, root}, "leaf lower upper root", ""},
		{"two are missing", root.Raw, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upper.Raw}), []*x509.Certificate{leaf, lower}, "leaf lower upper root", ""},
		{"not there", nil, upper.Raw, []*x509.Certificate{leaf, lower}, "leaf lower upper", "/root: 404 Not Found"},
		{"another's", stranger.Raw, upper.Raw, []*x509.Certificate{leaf, lower}, "leaf lower upper", "/root: x509: "},
		{"nonsense", root.Raw, []byte("hello"), []*x509.Certificate{leaf, lower}, "leaf lower", "/upper: x509: "},
		{"no address", nil, nil, []*x509.Certificate{leaf}, "leaf", `the issuer of "CN=leaf" is not to be had`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clear(files)
			for path, data := range map[string][]byte{"/root": tt.root, "/upper": tt.upper} {
				if data != nil {
					files[path] = data
				}
			}
			full, err := fullChains(t.Context(), [][]*x509.Certificate{tt.chain})
			var names []string
			for _, c := range full[0] {
				names = append(names, c.Subject.CommonName)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("error %v, want %q", err, tt.wrong)
			}
		})
	}
}
