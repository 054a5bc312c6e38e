// Package enginetls makes the TLS settings of clients of Docker engines out of the files that docker-machine's layout has for each
// machine. The machines of a store have the same files, and agents have hundreds of machines, so clients share what was parsed.
package enginetls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"weak"
)

// The files, in PEM.
const (
	caFile   = "ca.pem"   // whom the engine's certificate must be signed by
	certFile = "cert.pem" // the client's certificate
	keyFile  = "key.pem"

	// NameFile holds the name that the engine's certificate has, where that is not the address: of a machine whose address was not known when
	// the certificate was made. Most folders have none.
	NameFile = "server-name"
)

// shared holds the settings that somebody uses, by the content that they were made of.
var shared = struct {
	sync.Mutex
	made map[string]weak.Pointer[tls.Config]
}{made: map[string]weak.Pointer[tls.Config]{}}

// Config returns the settings of a client that trusts the CA of a folder alone, whatever the system trusts, and shows its certificate. They have a
// ServerName if the folder says so, and else the client must say whom it calls. It reads the files each time: renewed ones give other settings. The value belongs to all that have these files; do not change it. The
// error names the file.
func Config(dir string) (*tls.Config, error) {
	var files [3][]byte
	sum := sha256.New()
	for i, name := range []string{caFile, certFile, keyFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%d\n%s", len(data), data)
		files[i] = data
	}
	name, err := os.ReadFile(filepath.Join(dir, NameFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	sum.Write(name)
	key := hex.EncodeToString(sum.Sum(nil))
	shared.Lock()
	defer shared.Unlock()
	if c := shared.made[key].Value(); c != nil {
		return c, nil
	}
	c, err := parse(dir, files[0], files[1], files[2])
	if err != nil {
		return nil, err
	}
	c.ServerName = strings.TrimSpace(string(name))
	shared.made[key] = weak.Make(c)
	runtime.AddCleanup(c, forget, key)
	return c, nil
}

func parse(dir string, ca, cert, key []byte) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s: no certificate in it", filepath.Join(dir, caFile))
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", filepath.Join(dir, certFile), keyFile, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{pair}}, nil
}

// forget drops what nobody uses any more, unless it was made again meanwhile.
func forget(key string) {
	shared.Lock()
	defer shared.Unlock()
	if shared.made[key].Value() == nil {
		delete(shared.made, key)
	}
}
