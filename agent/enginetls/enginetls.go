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

	// NameFile holds the name of the machine in the engine's certificate, which clients go by rather than by the address. A folder that
	// docker-machine made has none.
	NameFile = "server-name"
)

// shared holds the settings that somebody uses, by the content that they were made of.
var shared = struct {
	sync.Mutex
	made map[string]weak.Pointer[tls.Config]
}{made: map[string]weak.Pointer[tls.Config]{}}

// Config returns the settings of a client that trusts the CA of a folder alone, whatever the system trusts, and shows its certificate. They have a
// ServerName if the folder says so, and else the client must say whom it calls. It reads the files each time: renewed ones give other settings.
// The value belongs to all that have these files; do not change it. The error names the file.
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
	shared.Lock()
	defer shared.Unlock()
	key := hex.EncodeToString(sum.Sum(nil))
	all := shared.made[key].Value()
	if all == nil {
		if all, err = parse(dir, files[0], files[1], files[2]); err != nil {
			return nil, err
		}
		share(key, all, nil)
	}
	host := strings.TrimSpace(string(name))
	if host == "" {
		return all, nil
	}
	key += " " + host
	one := shared.made[key].Value()
	if one == nil {
		one = all.Clone()
		one.ServerName = host
		share(key, one, all)
	}
	return one, nil
}

// share keeps c for as long as somebody uses it, and of with it. The caller holds the lock.
func share(key string, c, of *tls.Config) {
	shared.made[key] = weak.Make(c)
	runtime.AddCleanup(c, forget, shareOf{key, of})
}

// shareOf is a key with what must not go before what it stands for.
type shareOf struct {
	key string
	of  *tls.Config
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
func forget(s shareOf) {
	shared.Lock()
	defer shared.Unlock()
	if shared.made[s.key].Value() == nil {
		delete(shared.made, s.key)
	}
}
