package enginetls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// folder writes the three files of one self-signed certificate.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func certificate(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return map[string][]byte{caFile: cert, certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}
}

// Machines with the same files share what was parsed; renewed files give something new.
func TestShared(t *testing.T) {
	files, others := certificate(t), certificate(t)
	dir := folder(t, files)
	one, err := Config(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Config(folder(t, files))
	if err != nil || one != two {
		t.Errorf("the same files give %p and %p, %v", one, two, err)
	}
	for name, data := range others {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renewed, err := Config(dir)
	if err != nil || renewed == one || renewed.RootCAs.Equal(one.RootCAs) {
		t.Errorf("renewed files give what was there before, %v", err)
	}
}

func TestBroken(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(map[string][]byte)
		want   string
		is     error
	}{
		"no key":                  {func(f map[string][]byte) { delete(f, keyFile) }, keyFile, fs.ErrNotExist},
		"no CA":                   {func(f map[string][]byte) { delete(f, caFile) }, caFile, fs.ErrNotExist},
		"a CA without any":        {func(f map[string][]byte) { f[caFile] = []byte("none") }, "no certificate in it", nil},
		"the key of another one":  {func(f map[string][]byte) { f[keyFile] = certificate(t)[keyFile] }, certFile, nil},
		"a certificate cut short": {func(f map[string][]byte) { f[certFile] = f[certFile][:40] }, certFile, nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := certificate(t)
			tc.change(files)
			_, err := Config(folder(t, files))
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v, want one that names %s", err, tc.want)
			}
		})
	}
}

// TestNamed has machines with the same files and names of their own: what was parsed is one, the names are theirs.
func TestNamed(t *testing.T) {
	files := certificate(t)
	plain, err := Config(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	var named [2]*tls.Config
	for i, name := range []string{"m1\n", "m2\n"} {
		files[NameFile] = []byte(name)
		if named[i], err = Config(folder(t, files)); err != nil {
			t.Fatal(err)
		}
		if again, err := Config(folder(t, files)); err != nil || again != named[i] {
			t.Errorf("%q is made twice, %v", name, err)
		}
	}
	if plain.ServerName != "" || named[0].ServerName != "m1" || named[1].ServerName != "m2" || named[0].RootCAs != plain.RootCAs || named[1].RootCAs != plain.RootCAs {
		t.Errorf("%q, %q, %q; the roots are parsed anew", plain.ServerName, named[0].ServerName, named[1].ServerName)
	}
}
