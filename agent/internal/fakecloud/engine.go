package fakecloud

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"regexp"
	"runtime"
	"strings"
)

// apiVersion is the Docker API that the machines' engines speak, that of Docker 20.10.
const apiVersion = "1.41"

var versionPrefix = regexp.MustCompile(`^/v1\.[0-9]+/`)

// docker is the machine's engine: as much of the Docker API as provisioning, probing and cleaning need. It has no containers; what it does
// not know goes to more, if there is any. Source: Docker Engine API v1.41.
func (m *machine) docker(more func(string) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "OK")
	})
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, v) }
	}
	mux.HandleFunc("GET /version", answer(map[string]string{
		"Version": "20.10.24", "ApiVersion": apiVersion, "MinAPIVersion": "1.12", "Os": "linux", "Arch": runtime.GOARCH,
	}))
	mux.HandleFunc("GET /info", answer(map[string]any{
		"ID": m.name, "Name": m.name, "ServerVersion": "20.10.24", "OSType": "linux", "OperatingSystem": "Debian GNU/Linux 12",
		"Architecture": map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH], "NCPU": 1, "MemTotal": 1 << 30,
	}))
	mux.HandleFunc("POST /images/load", m.loadImage)
	mux.HandleFunc("POST /images/create", m.pullImage)
	mux.HandleFunc("GET /images/{name...}", m.inspectImage)
	var rest http.Handler = http.HandlerFunc(noContainers)
	if more != nil {
		rest = more(m.name)
	} else {
		mux.HandleFunc("GET /containers/json", answer([]any{}))
		mux.HandleFunc("POST /networks/prune", answer(map[string]any{"NetworksDeleted": []string{}}))
	}
	mux.Handle("/", rest)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = versionPrefix.ReplaceAllString(r.URL.Path, "/")
		for key, value := range map[string]string{"Api-Version": apiVersion, "Ostype": "linux", "Server": "Docker/20.10.24 (linux)"} {
			w.Header().Set(key, value)
		}
		mux.ServeHTTP(w, r)
	})
}

func noContainers(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusNotImplemented, map[string]string{"message": "this engine runs no containers: " + r.Method + " " + r.URL.Path})
}

// pullImage has every image that is asked for, at once. It knows images by the short names that inspect asks for.
func (m *machine) pullImage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Query().Get("fromImage"), "docker.io/"), "library/")
	if tag := r.URL.Query().Get("tag"); tag != "" {
		name += ":" + tag
	}
	id := sha256.Sum256([]byte(name))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.images[name] = "sha256:" + hex.EncodeToString(id[:])
	reply(w, http.StatusOK, map[string]string{"status": "Pulled"})
}

// inspectImage knows the images that were loaded or pulled.
func (m *machine) inspectImage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(r.PathValue("name"), "/json")
	m.mu.Lock()
	id := m.images[name]
	m.mu.Unlock()
	if id == "" {
		reply(w, http.StatusNotFound, map[string]string{"message": "No such image: " + name})
		return
	}
	reply(w, http.StatusOK, map[string]any{"Id": id, "RepoTags": []string{name}, "Os": "linux", "Architecture": runtime.GOARCH})
}

// loadImage keeps what manifest.json of the archive calls its images, and none of their content.
func (m *machine) loadImage(w http.ResponseWriter, r *http.Request) {
	loaded := map[string]string{}
	for archive := tar.NewReader(r.Body); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var images []struct {
			Config   string
			RepoTags []string
		}
		if err == nil && h.Name == "manifest.json" {
			err = json.NewDecoder(archive).Decode(&images)
		}
		if err != nil {
			reply(w, http.StatusBadRequest, map[string]string{"message": "the archive: " + err.Error()})
			return
		}
		for _, image := range images {
			for _, tag := range image.RepoTags {
				loaded[tag] = "sha256:" + strings.TrimPrefix(strings.TrimSuffix(path.Base(image.Config), ".json"), "sha256:")
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for tag, id := range loaded {
		m.images[tag] = id
	}
	reply(w, http.StatusOK, map[string]string{"stream": "Loaded\n"})
}
