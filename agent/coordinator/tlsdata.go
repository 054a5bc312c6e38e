package coordinator

import (
	"encoding/pem"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
)

// TLSData is what a job needs to trust the coordinator as the agent does, each in PEM, "" when there is none. It comes from the connection
// of the job request. Source: GitLab Runner documentation, CI_SERVER_TLS_CA_FILE.
type TLSData struct {
	CA   string // CI_SERVER_TLS_CA_FILE: the CA file, else the verified chains, leaf first
	Cert string // CI_SERVER_TLS_CERT_FILE
	Key  config.Secret
}

func tlsData(r reply) TLSData {
	if r.tls == nil {
		return TLSData{}
	}
	data := TLSData{CA: r.files.ca, Cert: r.files.cert, Key: r.files.key}
	if data.CA != "" {
		return data
	}
	var chain strings.Builder
	seen := map[string]bool{}
	for _, certs := range r.tls.VerifiedChains {
		for _, cert := range certs {
			if !seen[string(cert.Raw)] {
				seen[string(cert.Raw)] = true
				chain.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
			}
		}
	}
	data.CA = chain.String()
	return data
}
