package credentials

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// keyPair is the material of a client-tls credential: a certificate that the connection shows.
type keyPair struct {
	config Config

	mu     sync.Mutex // guards what follows
	loaded *tls.Config
	stamps [3]stamp
}

// stamp tells a file from its successor.
type stamp struct {
	size int64
	time time.Time
}

// get returns the TLS configuration with the files as they are now, and the same value as long as they stay so.
func (k *keyPair) get() (*tls.Config, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var stamps [3]stamp
	for i, path := range []string{k.config.CertFile, k.config.KeyFile, k.config.CAFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		stamps[i] = stamp{info.Size(), info.ModTime()}
	}
	if k.loaded != nil && stamps == k.stamps {
		return k.loaded, nil
	}
	pair, err := tls.LoadX509KeyPair(k.config.CertFile, k.config.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", k.config.CertFile, k.config.KeyFile, err)
	}
	loaded := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if k.config.CAFile != "" {
		if loaded.RootCAs, err = readRoots(k.config.CAFile); err != nil {
			return nil, err
		}
	}
	k.loaded, k.stamps = loaded, stamps
	return loaded, nil
}
