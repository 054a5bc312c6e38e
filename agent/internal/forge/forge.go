// Package forge is a small HTTPS git server for tests: any number of repositories that a job's token opens, with a certificate that no
// system trusts, and the part of git LFS that a pull needs.
//
// Source: Git documentation, gitprotocol-http and gitprotocol-v2; Git LFS documentation, "Git LFS API".
package forge

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Forge is one server. It ends with its test.
type Forge struct {
	URL   string // https://address:port
	CA    string // its own certificate, PEM
	Token string // what user gitlab-ci-token logs in with

	t    testing.TB
	root string

	mu      sync.Mutex // guards what follows
	logins  []string   // the Authorization headers that came
	objects map[string][]byte
}

// New starts a server at a port of a host's address.
func New(t testing.TB, host, token string) *Forge {
	t.Helper()
	need.Command(t, "git")
	f := &Forge{t: t, Token: token, root: t.TempDir(), objects: map[string][]byte{}}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, ca, err := selfSigned(host)
	if err != nil {
		t.Fatal(err)
	}
	f.CA = ca
	server := httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	server.Listener.Close()
	server.Listener = listener
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

func selfSigned(host string) (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "forge"}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(ca), nil
}

// Module is a submodule of a commit.
type Module struct{ Path, URL, SHA string }

// Commit puts a commit with these files, and no others, on a repository's branch main, and returns its id. The repository is made when it
// is not there.
func (f *Forge) Commit(repository string, files map[string]string, modules ...Module) string {
	f.t.Helper()
	dir := filepath.Join(f.root, repository+".git")
	index := filepath.Join(f.t.TempDir(), "index")
	git := func(input string, args ...string) string {
		f.t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Env = append(environ(), "GIT_DIR="+dir, "GIT_INDEX_FILE="+index, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil {
			f.t.Fatalf("git %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	parent := []string(nil)
	if _, err := os.Stat(dir); err != nil {
		git("", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	} else {
		parent = []string{"-p", git("", "rev-parse", "refs/heads/main")}
	}
	var described strings.Builder
	for _, m := range modules {
		fmt.Fprintf(&described, "[submodule %q]\n\tpath = %s\n\turl = %s\n", m.Path, m.Path, m.URL)
		git("", "update-index", "--add", "--cacheinfo", "160000,"+m.SHA+","+m.Path)
	}
	add := func(name, content string) {
		git("", "update-index", "--add", "--cacheinfo", "100644,"+git(content, "hash-object", "-w", "--stdin")+","+name)
	}
	if described.Len() > 0 {
		add(".gitmodules", described.String())
	}
	for name, content := range files {
		add(name, content)
	}
	sha := git("", append([]string{"commit-tree", "-m", "x", git("", "write-tree")}, parent...)...)
	git("", "update-ref", "refs/heads/main", sha)
	return sha
}

// Pointer stores content as LFS does and returns what the repository holds in its place.
func (f *Forge) Pointer(content string) string {
	sum := sha256.Sum256([]byte(content))
	oid := hex.EncodeToString(sum[:])
	f.mu.Lock()
	f.objects[oid] = []byte(content)
	f.mu.Unlock()
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(content))
}

// Logins are the different Authorization headers that came so far.
func (f *Forge) Logins() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.logins)
}

func (f *Forge) serve(w http.ResponseWriter, r *http.Request) {
	if login := r.Header.Get("Authorization"); login != "" {
		f.mu.Lock()
		if !slices.Contains(f.logins, login) {
			f.logins = append(f.logins, login)
		}
		f.mu.Unlock()
	}
	if oid, ok := strings.CutPrefix(r.URL.Path, "/lfs/"); ok {
		f.mu.Lock()
		content := f.objects[oid]
		f.mu.Unlock()
		w.Write(content)
		return
	}
	if user, password, _ := r.BasicAuth(); user != "gitlab-ci-token" || password != f.Token {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
		return
	}
	repository, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	dir := filepath.Join(f.root, filepath.Clean("/"+repository)+".git")
	switch {
	case rest == "info/refs" && r.URL.Query().Get("service") == "git-upload-pack":
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		if !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
			io.WriteString(w, "001e# service=git-upload-pack\n0000")
		}
		f.pack(w, r, nil, "--advertise-refs", dir)
	case rest == "git-upload-pack":
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = unpacked
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		f.pack(w, r, body, dir)
	case rest == "info/lfs/objects/batch":
		f.batch(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (f *Forge) pack(w io.Writer, r *http.Request, in io.Reader, args ...string) {
	cmd := exec.CommandContext(r.Context(), "git", append([]string{"upload-pack", "--stateless-rpc"}, args...)...)
	cmd.Env = append(environ(), "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
	cmd.Stdin, cmd.Stdout = in, w
	cmd.WaitDelay = 5 * time.Second
	_ = cmd.Run() // the client sees what is missing
}

// batch tells where the objects are.
func (f *Forge) batch(w http.ResponseWriter, r *http.Request) {
	type object struct {
		OID     string         `json:"oid"`
		Size    int64          `json:"size"`
		Actions map[string]any `json:"actions,omitempty"`
	}
	var request struct {
		Objects []object `json:"objects"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for i := range request.Objects {
		o := &request.Objects[i]
		o.Actions = map[string]any{"download": map[string]string{"href": f.URL + "/lfs/" + o.OID}}
	}
	var out bytes.Buffer
	_ = json.NewEncoder(&out).Encode(map[string]any{"transfer": "basic", "objects": request.Objects})
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	w.Write(out.Bytes())
}

// environ is this process's environment without what would point git elsewhere.
func environ() []string {
	list := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "GIT_") })
	return append(list, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
}
