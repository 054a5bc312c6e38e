package config

import (
	"crypto/x509"
	"fmt"
)

// Roots returns the certificates that modules trust: those of ca_file beside the system's, nil when there is no such file and the system's are all.
func (o *Operator) Roots() (*x509.CertPool, error) {
	if o.CAFile == "" {
		return nil, nil
	}
	data, err := readPrivate(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a system without any
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("ca_file: %s: holds no certificate; it should be in PEM", o.CAFile)
	}
	return roots, nil
}
