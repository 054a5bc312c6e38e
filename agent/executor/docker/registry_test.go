package docker_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/image"
	dockerregistry "github.com/docker/docker/api/types/registry"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// locked is a registry that wants a login: any user with the password "right".
type locked struct {
	host string

	mu    sync.Mutex // guards users
	users []string   // those who logged in
}

func newLocked(t *testing.T) *locked {
	t.Helper()
	l := &locked{}
	inner := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="locked"`)
			http.Error(w, "unauthorized: authentication required", http.StatusUnauthorized)
			return
		}
		l.mu.Lock()
		if !slices.Contains(l.users, user) {
			l.users = append(l.users, user)
		}
		l.mu.Unlock()
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	l.host = strings.TrimPrefix(server.URL, "http://")
	return l
}

// push puts an image of the engine into the registry and returns its name there.
func (l *locked) push(t *testing.T, local, path string) string {
	t.Helper()
	api, name := dockertest.Engine(t), l.host+"/"+path
	auth, err := dockerregistry.EncodeAuthConfig(dockerregistry.AuthConfig{Username: "pusher", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.ImageTag(t.Context(), local, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = api.ImageRemove(contextOf(t), name, image.RemoveOptions{Force: true}) })
	body, err := api.ImagePush(t.Context(), name, image.PushOptions{RegistryAuth: auth})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if out, err := io.ReadAll(body); err != nil || strings.Contains(string(out), `"error"`) {
		t.Fatalf("push: %v %s", err, out)
	}
	l.mu.Lock()
	l.users = nil
	l.mu.Unlock()
	return name
}

func login(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// Who logs in: the longest path, then the source in its order; helpers are programs on this host.
func TestRegistryLogin(t *testing.T) {
	l := newLocked(t)
	local := dockertest.Busybox(t)
	name := l.push(t, local, "team/app:1")
	programs := t.TempDir()
	for helper, answer := range map[string]string{"knows": `echo '{"Username":"helper","Secret":"right"}'`, "empty": "echo credentials not found; exit 1"} {
		script := "#!/bin/sh\nread registry; [ \"$1\" = get ] && [ \"$registry\" = " + l.host + " ] || exit 1\n" + answer + "\n"
		if err := os.WriteFile(filepath.Join(programs, "docker-credential-"+helper), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	variable := func(format string, args ...any) config.Secret { return config.Secret(fmt.Sprintf(format, args...)) }
	payload := func(path, user string) docker.Credential {
		return docker.Credential{Path: path, Username: user, Password: "right"}
	}
	for _, tt := range []struct {
		name, home string
		auth       docker.Auth
		user, says string
	}{
		{name: "longest path", auth: docker.Auth{Variable: variable(`{"auths":{%q:{"auth":%q}}}`, l.host, login("variable", "right")), Payload: []docker.Credential{payload(l.host, "host"), payload(l.host+"/team", "team")}},
			user: "team", says: "Authenticating with credentials from job payload (GitLab Registry)"},
		{name: "variable first", auth: docker.Auth{Variable: variable(`{"auths":{%q:{"auth":%q}}}`, l.host, login("variable", "right")), Payload: []docker.Credential{payload(l.host, "host")}},
			user: "variable", says: "Authenticating with credentials from $DOCKER_AUTH_CONFIG"},
		{name: "home before payload", home: fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, l.host, login("home", "right")), auth: docker.Auth{Payload: []docker.Credential{payload(l.host, "host")}},
			user: "home", says: "/.docker/config.json"},
		{name: "store", home: `{"credsStore":"knows"}`, auth: docker.Auth{Payload: []docker.Credential{payload(l.host, "host")}}, user: "helper", says: ".docker/config.json, knows"},
		{name: "helper of one registry", auth: docker.Auth{Variable: variable(`{"credHelpers":{%q:"knows"}}`, l.host)}, user: "helper", says: "$DOCKER_AUTH_CONFIG, knows"},
		{name: "a store that does not know it", home: `{"credsStore":"empty"}`, auth: docker.Auth{Payload: []docker.Credential{payload(l.host, "host")}}, user: "host", says: "job payload"},
		{name: "a helper that does not know it", auth: docker.Auth{Variable: variable(`{"credHelpers":{%q:"empty"}}`, l.host), Payload: []docker.Credential{payload(l.host, "host")}},
			user: "host", says: `WARNING: Credential helper "empty" of $DOCKER_AUTH_CONFIG has no answer`},
		{name: "a wrong one", auth: docker.Auth{Payload: []docker.Credential{{Path: l.host, Username: "x", Password: "wrong"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.home != "" {
				tt.auth.Home = t.TempDir()
				file := filepath.Join(tt.auth.Home, ".docker", "config.json")
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(tt.home), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			l.mu.Lock()
			l.users = nil
			l.mu.Unlock()
			j := build(t, func(o *docker.Options) {
				o.Auth = tt.auth
				o.Image = docker.Image{Name: name, PullPolicy: []string{"always"}}
				o.Config.AllowedPullPolicies = []string{"always", "never"}
				o.Config.WaitForServicesTimeout = -1
				o.Services = []docker.Service{{Image: o.Image, Command: sleeper}} // the same image is pulled once
			})
			_, err := j.Prepare(t.Context())
			if tt.user == "" {
				var kind *executor.Error
				if !errors.As(err, &kind) || kind.Kind != executor.Configuration {
					t.Errorf("got %v, want a configuration error", err)
				}
				return
			}
			if err != nil || !slices.Equal(l.users, []string{tt.user}) {
				t.Errorf("logged in as %q, %v; want %q\n%s", l.users, err, tt.user, j.console)
			}
			if said := j.console.String(); !strings.Contains(said, tt.says) || strings.Count(said, "Pulling docker image "+name) != 1 {
				t.Errorf("want %q and one pull:\n%s", tt.says, said)
			}
		})
	}
}
