package embedded

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// formats are the types that a runner may upload, with the format that each has. metadata and trace are made by the server.
// Source: GitLab's artifact types.
var formats = func() map[string]string {
	out := map[string]string{}
	for format, types := range map[string]string{
		"zip": "archive lsif scip",
		"gzip": `junit metrics metrics_referee network_referee dotenv cobertura jacoco cluster_applications cyclonedx annotations
			repository_xray`,
		"raw": `sast secret_detection dependency_scanning container_scanning cluster_image_scanning dast license_scanning
			accessibility codequality performance browser_performance load_performance terraform requirements requirements_v2
			coverage_fuzzing api_fuzzing sarif`,
	} {
		for _, t := range strings.Fields(types) {
			out[t] = format
		}
	}
	return out
}()

// artifact is one upload.
type artifact struct {
	ArtifactFile
	sum string // SHA-256, hex
}

// artifact is the job's upload of a type, or nil.
func (j *job) artifact(kind string) *artifact {
	for _, a := range j.artifacts {
		if a.Type == kind {
			return a
		}
	}
	return nil
}

// upload is POST /jobs/:id/artifacts.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	j := s.uploader(w, r)
	if j == nil {
		return
	}
	q := r.URL.Query()
	a := &artifact{ArtifactFile: ArtifactFile{Type: q.Get("artifact_type"), Format: q.Get("artifact_format"), ExpireIn: q.Get("expire_in")}}
	if a.Type == "" {
		a.Type = "archive"
	}
	if a.Format == "" {
		a.Format = "zip"
	}
	if want, ok := formats[a.Type]; !ok || want != a.Format {
		s.violate(r, j.status.ID, "artifact-type", "type %q with format %q", a.Type, a.Format)
		message(w, http.StatusBadRequest, "400 Bad request - artifact_type and artifact_format do not fit")
		return
	}
	temp, status, err := s.receive(r, j.status.ID, a)
	if temp != "" {
		defer os.Remove(temp) // it has moved on when all went well
	}
	if err != nil {
		message(w, status, err.Error())
		return
	}
	var dotenv []coordinator.Variable
	if a.Type == "dotenv" {
		if dotenv, err = readDotEnv(temp); err != nil {
			message(w, http.StatusBadRequest, "400 Bad request - "+err.Error())
			return
		}
	}
	status, text := s.keep(r, j, a, temp, dotenv)
	message(w, status, text)
}

// uploader is the running job that a request comes from, or answers why there is none.
func (s *Server) uploader(w http.ResponseWriter, r *http.Request) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[pathID(r)]
	switch {
	case !ok:
		message(w, http.StatusNotFound, "404 Not found")
	case !same(j.token, r.Header.Get("JOB-TOKEN")):
		s.note(r, j.status.ID, "token", "the job token is wrong")
		message(w, http.StatusForbidden, "403 Forbidden")
	case !j.active():
		if j.told {
			s.note(r, j.status.ID, "after-end", "an upload after the job has ended as %s", j.status.State)
		}
		message(w, http.StatusForbidden, "403 Forbidden - Job is not running")
	default:
		j.lastSeen = time.Now()
		return j
	}
	return nil
}

// receive stores the one part of the upload in a temporary file and fills in name, size and sum.
func (s *Server) receive(r *http.Request, jobID int64, a *artifact) (path string, status int, err error) {
	reader, err := r.MultipartReader()
	if err != nil {
		s.violate(r, jobID, "multipart", "%v", err)
		return "", http.StatusBadRequest, errors.New("400 Bad request - not multipart/form-data")
	}
	for {
		part, err := reader.NextPart()
		switch {
		case err == io.EOF && path == "":
			s.violate(r, jobID, "multipart", "there is no part \"file\"")
			return "", http.StatusBadRequest, errors.New("400 Bad request - file is missing")
		case err == io.EOF:
			return path, 0, nil
		case err != nil:
			return path, http.StatusBadRequest, errors.New("400 Bad request - the body ends early")
		case part.FormName() != "file" || path != "":
			s.violate(r, jobID, "multipart", "an extra part %q", part.FormName())
			continue
		}
		if path, status, err = s.receiveFile(part, a); err != nil {
			return path, status, err
		}
	}
}

func (s *Server) receiveFile(part *multipart.Part, a *artifact) (path string, status int, err error) {
	// The name comes from outside: the last element only, and nothing that a path could be made of.
	a.Filename = strings.TrimLeft(unsafeInName.ReplaceAllString(filepath.Base(part.FileName()), "_"), ".")
	if a.Filename == "" {
		a.Filename = "artifacts"
	}
	file, err := os.CreateTemp(filepath.Join(s.dir, "artifacts"), "upload-")
	if err != nil {
		return "", http.StatusServiceUnavailable, errors.New("503 Service Unavailable")
	}
	sum := sha256.New()
	a.Size, err = io.Copy(io.MultiWriter(file, sum), io.LimitReader(part, s.o.MaxArtifactBytes+1))
	err = errors.Join(err, file.Close())
	a.sum = hex.EncodeToString(sum.Sum(nil))
	switch {
	case a.Size > s.o.MaxArtifactBytes:
		return file.Name(), http.StatusRequestEntityTooLarge, fmt.Errorf("413 Request Entity Too Large - more than %d bytes", s.o.MaxArtifactBytes)
	case err != nil:
		return file.Name(), http.StatusBadRequest, errors.New("400 Bad request - the body ends early")
	}
	return file.Name(), 0, nil
}

// keep makes an upload the job's. The same content again is fine, other content of the same type is not.
func (s *Server) keep(r *http.Request, j *job, a *artifact, temp string, dotenv []coordinator.Variable) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.active() {
		return http.StatusForbidden, "403 Forbidden - Job is not running"
	}
	if other := j.artifact(a.Type); other != nil {
		if other.sum == a.sum {
			return http.StatusCreated, "201 Created"
		}
		s.note(r, j.status.ID, "artifact-twice", "another %s than before", a.Type)
		return http.StatusBadRequest, "400 Bad request - another artifact of the same type already exists"
	}
	a.Path = filepath.Join(s.dir, "artifacts", fmt.Sprintf("%d-%s-%.100s", j.status.ID, a.Type, a.Filename))
	if err := os.Rename(temp, a.Path); err != nil {
		s.o.Log.Error("an artifact can't be stored", "job", j.status.ID, "err", err)
		return http.StatusServiceUnavailable, "503 Service Unavailable"
	}
	j.artifacts = append(j.artifacts, a)
	j.dotenv = append(j.dotenv, dotenv...)
	j.lastSeen = time.Now()
	return http.StatusCreated, "201 Created"
}

// download is GET /jobs/:id/artifacts: of the job itself or of one that it depends on.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	a, status, text := s.downloadable(r)
	if a == nil {
		message(w, status, text)
		return
	}
	if s.store != nil && r.URL.Query().Get("direct_download") == "true" {
		http.Redirect(w, r, s.store.sign(a.Path, a.Filename), http.StatusFound)
		return
	}
	serveArchive(w, r, a.Path, a.Filename)
}

func (s *Server) downloadable(r *http.Request) (found *ArtifactFile, status int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asks := s.runningJob(r.Header.Get("JOB-TOKEN"))
	if asks == nil {
		s.note(r, pathID(r), "token", "a download with the token of no running job")
		return nil, http.StatusUnauthorized, "401 Unauthorized"
	}
	target, ok := s.jobs[pathID(r)]
	if !ok {
		return nil, http.StatusNotFound, "404 Not found"
	}
	if !asks.mayFetch[target.status.ID] {
		s.note(r, asks.status.ID, "dependency", "job %d is none of its dependencies", target.status.ID)
		return nil, http.StatusForbidden, "403 Forbidden"
	}
	asks.lastSeen = time.Now()
	a := target.artifact("archive")
	if a == nil {
		return nil, http.StatusNotFound, "404 Not found"
	}
	file := a.ArtifactFile
	return &file, 0, ""
}

// serveArchive sends a file, whole or in ranges.
func serveArchive(w http.ResponseWriter, r *http.Request, path, name string) {
	file, err := os.Open(path)
	if err != nil {
		http.Error(w, "the file is gone", http.StatusNotFound)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	http.ServeContent(w, r, "", time.Time{}, file)
}

// Limits of dotenv reports: GitLab's default size, and the count of its largest plan.
const (
	maxDotEnvBytes     = 5 << 10
	maxDotEnvVariables = 150
)

// readDotEnv reads a dotenv report: gzip of lines NAME=value. Quotes, comments and empty lines are not understood, as in GitLab.
func readDotEnv(path string) ([]coordinator.Variable, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("dotenv: not gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(unpacked, maxDotEnvBytes+1))
	if err != nil {
		return nil, fmt.Errorf("dotenv: %w", err)
	}
	if len(text) > maxDotEnvBytes {
		return nil, fmt.Errorf("dotenv: more than %d bytes", maxDotEnvBytes)
	}
	pairs, err := parseDotEnv(string(text), false)
	if err != nil {
		return nil, fmt.Errorf("dotenv: %w", err)
	}
	if len(pairs) > maxDotEnvVariables {
		return nil, fmt.Errorf("dotenv: more than %d variables", maxDotEnvVariables)
	}
	out := make([]coordinator.Variable, len(pairs))
	for i, p := range pairs {
		out[i] = coordinator.Variable{Key: p[0], Value: p[1]}
	}
	return out, nil
}
