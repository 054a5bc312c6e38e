package connect

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
	"strings"
)

// ErrCertificate means that whoever answers at the instance's address shows another certificate than at the first login.
var ErrCertificate = errors.New("the certificate is not the one that the instance showed at first")

// pinCertificate makes the host show the certificate whose digest lies beside the file of a host key, or, where there is none yet, notes the one
// that it shows: Windows makes its own, which nobody has signed, when it sets WinRM up.
func pinCertificate(pinFile string) (*tls.Config, error) {
	if pinFile == "" {
		return nil, errors.New("there is no file for the instance's certificate")
	}
	file := filepath.Join(filepath.Dir(pinFile), "host_certificate.sha256")
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // VerifyPeerCertificate does it
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			if len(shown) == 0 {
				return errors.New("the host shows no certificate")
			}
			sum := sha256.Sum256(shown[0])
			return checkDigest(file, hex.EncodeToString(sum[:]))
		},
	}, nil
}

// checkDigest compares a digest with the file's, which it makes where there is none.
func checkDigest(file, digest string) error {
	pinning.Lock()
	defer pinning.Unlock()
	known, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeFile(file, []byte(digest+"\n"))
	case err != nil:
		return fmt.Errorf("certificate of the instance: %w", err)
	case strings.TrimSpace(string(known)) != digest:
		return fmt.Errorf("%w (it shows %s, and %s has %s): it was set up anew, or somebody is in between", ErrCertificate, digest, file, strings.TrimSpace(string(known)))
	}
	return nil
}
