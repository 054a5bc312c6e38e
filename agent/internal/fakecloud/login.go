package fakecloud

import (
	"archive/tar"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// sshServer is the machine's own, with the host key and the login of its user data; nil when these are none.
func (m *machine) sshServer(data UserData) *ssh.Server {
	host, err := gossh.ParsePrivateKey([]byte(data.HostKeyPrivate))
	if err != nil {
		return nil
	}
	allowed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(data.AuthorizedKey))
	if err != nil {
		return nil
	}
	server := &ssh.Server{
		Handler: m.session,
		PublicKeyHandler: func(ctx ssh.Context, key ssh.PublicKey) bool {
			return ctx.User() == data.SSHUser && ssh.KeysEqual(key, allowed)
		},
	}
	server.AddHostKey(host)
	return server
}

// session answers one script of the provisioner, which comes as a tar stream with its files. What it is shows by what it brings along: the
// probe wants its answer marked, the engine's comes with certificates. All others only look, and all is well here.
func (m *machine) session(s ssh.Session) {
	files, err := untar(s)
	if err == nil {
		if mark, ok := variable(files["env"], "MARK"); ok {
			fmt.Fprintf(s, "%[1]s os-release\nID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n\n%[1]s arch\nx86_64\n"+
				"%[1]s dockerd\n/usr/bin/dockerd\n%[1]s init\nsystemd\n%[1]s daemon.json\n\n%[1]s end\n", mark)
		} else if files["server.pem"] != nil {
			err = m.startEngine(files)
		}
	}
	if err != nil {
		fmt.Fprintln(s.Stderr(), err)
		s.Exit(1)
		return
	}
	s.Exit(0)
}

// startEngine lets the engine answer with the certificate that was sent, to clients of the CA that was sent.
func (m *machine) startEngine(files map[string][]byte) error {
	cert, err := tls.X509KeyPair(files["server.pem"], files["server-key.pem"])
	if err != nil {
		return fmt.Errorf("dockerd: %w", err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(files["ca.pem"]) {
		return errors.New("dockerd: ca.pem holds no certificate")
	}
	m.config.Store(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	return nil
}

func untar(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for archive := tar.NewReader(io.LimitReader(r, maxBody)); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("tar: %w", err)
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			return nil, fmt.Errorf("tar: %w", err)
		}
	}
}

// variable returns the value of a shell variable in a file of lines NAME='value'.
func variable(env []byte, name string) (string, bool) {
	for line := range strings.Lines(string(env)) {
		if value, ok := strings.CutPrefix(line, name+"='"); ok {
			return strings.TrimSuffix(strings.TrimSpace(value), "'"), true
		}
	}
	return "", false
}
