package main

import (
	"archive/tar"
	"bytes"
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// upload puts the bootstrap data into a container that does not run yet, as /etc/millwright/*, where the entry script of the machine
// image looks for it.
func (e engine) upload(id string, req abi.CreateRequest) error {
	archive, err := bootstrapArchive(req.Bootstrap, e.dns)
	if err != nil {
		return err
	}
	query := url.Values{"path": {"/etc"}}
	if _, err := e.send("PUT", "/containers/"+id+"/archive", query, "application/x-tar", archive); err != nil {
		return driver.About("put the machine's keys into its container", err)
	}
	return nil
}

// bootstrapArchive is a tar of the folder millwright. The private host key is for root alone.
func bootstrapArchive(b abi.Bootstrap, dns []string) ([]byte, error) {
	type file struct {
		name, content string
		mode          int64
	}
	files := []file{
		{"authorized_keys", line(b.AuthorizedKey), 0o600},
		{"ssh_user", line(b.SSHUser), 0o644},
		{"ssh_host_ed25519_key", line(b.HostKeyPrivate), 0o600},
		{"ssh_host_ed25519_key.pub", line(b.HostKeyPublic), 0o644},
		{"first-boot", line(b.FirstBoot), 0o600},
	}
	if len(dns) > 0 {
		// The engine's own resolver in the container's resolv.conf is an address that containers inside could not reach.
		files = append(files, file{"resolv.conf", "nameserver " + strings.Join(dns, "\nnameserver ") + "\n", 0o644})
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "millwright/", Mode: 0o700}); err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.content == "" {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "millwright/" + f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// line ends s with one line break; "" stays empty.
func line(s string) string {
	if s = strings.TrimRight(s, "\n"); s == "" {
		return ""
	}
	return s + "\n"
}
