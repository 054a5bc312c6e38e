package embedded

import (
	"net"
	"net/http"
	"strings"
	"sync"
)

// objectStore plays the store that direct downloads are redirected to: an address of its own, with URLs that carry the right to
// one file and want no token.
type objectStore struct {
	url  string
	http *http.Server

	mu    sync.Mutex // guards files
	files map[string]ArtifactFile
}

// openStore listens beside the coordinator, on the same host.
func (s *Server) openStore() (*objectStore, error) {
	host, _, err := net.SplitHostPort(s.o.Addr)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	store := &objectStore{url: "http://" + listener.Addr().String(), files: map[string]ArtifactFile{}}
	store.http = s.serve(listener, s.counted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("JOB-TOKEN") != "" {
			s.violate(r, 0, "token", "the job token went to the object store")
		}
		store.mu.Lock()
		file, ok := store.files[strings.TrimPrefix(r.URL.Path, "/")]
		store.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		serveArchive(w, r, file.Path, file.Filename)
	})))
	return store, nil
}

// sign gives the right to one file away.
func (o *objectStore) sign(path, name string) string {
	key := randomToken()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[key] = ArtifactFile{Path: path, Filename: name}
	return o.url + "/" + key
}
