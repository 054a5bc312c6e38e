package provision

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// How long certificates hold. They start skew before now, for machines whose clock is behind. The client's holds as long as its CA: machines
// have copies of it, which nobody renews.
const (
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 3 * 365 * 24 * time.Hour
	skew         = 5 * time.Minute
	rotateBefore = 365 * 24 * time.Hour // a CA with less left makes no more certificates; a machine that it made is reachable for as long at least
	renewBefore  = 30 * 24 * time.Hour  // a leaf with less left is replaced when it is used next
)

// pair is a certificate with its private key.
type pair struct {
	cert    *x509.Certificate
	key     crypto.Signer
	certPEM []byte
	keyPEM  []byte
}

// newPair makes an ECDSA P-256 key and a certificate for it from template, signed by parent, or by itself when parent is nil. The
// template's serial number and start are filled in; its end is now + validity, but never after the parent's.
func newPair(template x509.Certificate, parent *pair, now time.Time, validity time.Duration) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template.NotBefore, template.NotAfter = now.Add(-skew), now.Add(validity)
	issuer, signer := &template, crypto.Signer(key)
	if parent != nil {
		issuer, signer = parent.cert, parent.key
		if template.NotAfter.After(parent.cert.NotAfter) {
			template.NotAfter = parent.cert.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &pair{
		cert: cert, key: key,
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}, nil
}

// loadPair reads a certificate and its key and checks that they belong together. A missing certificate is fs.ErrNotExist.
func loadPair(certPath, keyPath string) (*pair, error) {
	var p pair
	var err error
	if p.certPEM, err = os.ReadFile(certPath); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(p.certPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block in it", certPath)
	}
	if p.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", certPath, err)
	}
	if p.keyPEM, err = os.ReadFile(keyPath); err != nil {
		// Not wrapped: a certificate without its key is a broken pair, not an absent one.
		return nil, fmt.Errorf("%s has no key: %v", certPath, err)
	}
	if p.key, err = parseKey(p.keyPEM); err != nil {
		return nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	public, ok := p.key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(p.cert.PublicKey) {
		return nil, fmt.Errorf("%s and %s do not belong together", certPath, keyPath)
	}
	return &p, nil
}

// parseKey reads a private key in any of the forms that docker-machine and we have written.
func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block in it")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// goodLeaf tells whether leaf is signed by ca for usage, covers every host and holds for a while yet.
func goodLeaf(leaf, ca *x509.Certificate, usage x509.ExtKeyUsage, hosts []string, now time.Time) bool {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return false
	}
	// A certificate never outlives its CA, so near the CA's end there is no better one to be had.
	if now.Add(renewBefore).After(leaf.NotAfter) && leaf.NotAfter.Before(ca.NotAfter) {
		return false
	}
	for _, h := range hosts {
		if leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func caTemplate() x509.Certificate {
	return x509.Certificate{
		Subject:  pkix.Name{Organization: []string{"Millwright"}, CommonName: "Millwright machines"},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
}

func clientTemplate() x509.Certificate {
	return x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Millwright"}, CommonName: "agent"},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

func serverTemplate(name string, hosts []string) x509.Certificate {
	t := x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Millwright"}, CommonName: name},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t
}
