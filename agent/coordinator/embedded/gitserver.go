package embedded

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// serveGit is git's smart HTTP protocol, reading only: the two requests of a fetch, answered by git's own upload-pack. (Going to
// upload-pack directly and not through git's http-backend takes large chunked requests, and works where distributions put
// http-backend into another package.) Jobs log in as gitlab-ci-token with their token, while they run.
// Source: Git documentation, gitprotocol-http and gitprotocol-v2.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	if s.project == nil {
		http.NotFound(w, r)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/"+s.project.path+".git/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	user, password, has := r.BasicAuth()
	if !has {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
		return
	}
	if user != "gitlab-ci-token" || !s.tokenRuns(password) {
		s.violate(r, 0, "git-login", "git as %q with a token of no running job", user)
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
		return
	}
	switch {
	case rest == "info/refs" && r.Method == http.MethodGet && r.URL.Query().Get("service") == "git-upload-pack":
		s.advertise(w, r)
	case rest == "git-upload-pack" && r.Method == http.MethodPost:
		s.uploadPack(w, r)
	case strings.Contains(r.URL.RawQuery+rest, "git-receive-pack"):
		s.violate(r, 0, "git-push", "a job pushes")
		http.Error(w, "You are not allowed to upload code.", http.StatusForbidden)
	default:
		http.NotFound(w, r)
	}
}

// tokenRuns tells whether a token is that of a running job.
func (s *Server) tokenRuns(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runningJob(token) != nil
}

var gitProtocol = regexp.MustCompile(`^[a-z0-9=:]{1,64}$`)

// pack starts upload-pack; it ends with the request.
func (s *Server) pack(r *http.Request, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(r.Context(), "git", append([]string{"-c", "safe.directory=*", "upload-pack", "--stateless-rpc"}, append(args, s.project.repository)...)...)
	cmd.Env = cleanEnviron()
	if p := r.Header.Get("Git-Protocol"); gitProtocol.MatchString(p) {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+p)
	}
	cmd.WaitDelay = 5 * time.Second // for what still reads the request after git has ended
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git upload-pack: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

func (s *Server) advertise(w http.ResponseWriter, r *http.Request) {
	var refs bytes.Buffer
	if err := s.pack(r, nil, &refs, "--advertise-refs"); err != nil {
		s.o.Log.Error("git", "err", err)
		http.Error(w, "git failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	w.Header().Set("Cache-Control", "no-cache")
	// Version 2 speaks for itself; older ones want the service named first.
	if !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
		io.WriteString(w, "001e# service=git-upload-pack\n0000")
	}
	w.Write(refs.Bytes())
}

func (s *Server) uploadPack(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/x-git-upload-pack-request" {
		http.Error(w, "unsupported media type", http.StatusUnsupportedMediaType)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "bad gzip", http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	w.Header().Set("Cache-Control", "no-cache")
	// A failure after the first byte can't become a status any more; git says what is wrong inside the protocol.
	if err := s.pack(r, body, w); err != nil && r.Context().Err() == nil {
		s.o.Log.Debug("git", "err", err)
	}
}
