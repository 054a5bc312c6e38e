package docker

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/registry"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
)

// Auth holds where registry credentials come from, the first source that knows a registry path first.
type Auth struct {
	Variable config.Secret // DOCKER_AUTH_CONFIG: the JSON of a Docker config
	Home     string        // home folder of the agent's user, for .docker/config.json and .dockercfg; "" leaves it out
	Payload  []Credential  // what the coordinator sent for registries
}

// Credential is an account of a registry path, such as registry.example.com/team.
type Credential struct {
	Path     string
	Username string
	Password config.Secret
}

// credential is an account with the source it came from, for messages.
type credential struct {
	registry.AuthConfig
	source string
}

// dockerConfig is the part of ~/.docker/config.json that holds credentials.
type dockerConfig struct {
	Auths       map[string]registry.AuthConfig `json:"auths"`
	CredsStore  string                         `json:"credsStore"`
	CredHelpers map[string]string              `json:"credHelpers"`
}

// resolver finds the credentials of an image. It is made once per job.
type resolver struct{ byPath map[string]credential }

// newResolver reads all sources. A source that can't be read is left out with a warning.
func newResolver(a Auth, console executor.Console) *resolver {
	r := &resolver{byPath: map[string]credential{}}
	if text := a.Variable.Reveal(); text != "" {
		r.addConfig([]byte(text), "$DOCKER_AUTH_CONFIG", console)
	}
	if a.Home != "" {
		for _, name := range []string{".docker/config.json", ".dockercfg"} {
			file := filepath.Join(a.Home, name)
			if data, err := os.ReadFile(file); err == nil {
				r.addConfig(data, file, console)
				break
			}
		}
	}
	for _, c := range a.Payload {
		r.add(c.Path, credential{registry.AuthConfig{Username: c.Username, Password: c.Password.Reveal(), ServerAddress: c.Path}, "job payload (GitLab Registry)"})
	}
	return r
}

func (r *resolver) addConfig(data []byte, source string, console executor.Console) {
	var c dockerConfig
	err := json.Unmarshal(data, &c)
	if err == nil && c.Auths == nil && c.CredsStore == "" && c.CredHelpers == nil {
		err = json.Unmarshal(data, &c.Auths) // the old .dockercfg has no outer object
	}
	if err != nil {
		console.Warningln(fmt.Sprintf("Registry credentials from %s can't be read (not valid JSON); going on without them", source))
		return
	}
	for path, auth := range c.Auths {
		if auth.Auth != "" {
			if plain, err := base64.StdEncoding.DecodeString(auth.Auth); err == nil {
				auth.Username, auth.Password, _ = strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
			}
			auth.Auth = ""
		}
		if auth.Username == "" && auth.IdentityToken == "" && auth.RegistryToken == "" {
			continue // a mark that a credential helper has it
		}
		auth.ServerAddress = path
		r.add(path, credential{auth, source})
	}
	for path, helper := range c.CredHelpers {
		r.addHelped(helper, path, source, console)
	}
	if c.CredsStore != "" {
		for path := range c.Auths {
			r.addHelped(c.CredsStore, path, source, console)
		}
	}
}

// addHelped asks a credential helper on the agent's host, by Docker's protocol: the registry on stdin, JSON on stdout.
func (r *resolver) addHelped(helper, path, source string, console executor.Console) {
	if helper != filepath.Base(helper) {
		console.Warningln(fmt.Sprintf("Credential helper %q of %s is a path; only a name is allowed. Going on without it", helper, source))
		return
	}
	cmd := exec.Command("docker-credential-"+helper, "get") //nolint:gosec // the operator named it, and it is no path
	cmd.Stdin = strings.NewReader(path)
	out, err := cmd.Output()
	var answer struct{ Username, Secret string }
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		console.Warningln(fmt.Sprintf("Credential helper %q of %s has no answer for %s; going on without it", helper, source, path))
		return
	}
	auth := registry.AuthConfig{Username: answer.Username, Password: answer.Secret, ServerAddress: path}
	if answer.Username == "<token>" {
		auth = registry.AuthConfig{IdentityToken: answer.Secret, ServerAddress: path}
	}
	r.add(path, credential{auth, source + ", " + helper})
}

// add keeps the first source of a path.
func (r *resolver) add(path string, c credential) {
	path = registryPath(path)
	if _, ok := r.byPath[path]; !ok {
		r.byPath[path] = c
	}
}

// find returns the credentials whose path is the longest prefix of the image's, in whole components.
func (r *resolver) find(image string) (credential, bool) {
	for p := imagePath(image); ; {
		if c, ok := r.byPath[p]; ok {
			return c, true
		}
		cut := strings.LastIndexByte(p, '/')
		if cut < 0 {
			return credential{}, false
		}
		p = p[:cut]
	}
}

// registryPath strips scheme and trailing parts of a key in a Docker config and joins the names of Docker Hub into one.
func registryPath(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimSuffix(key, "/")
	for _, api := range []string{"/v1", "/v2"} {
		key = strings.TrimSuffix(key, api)
	}
	host, rest, _ := strings.Cut(key, "/")
	if host == "" || host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if rest == "" {
		return host
	}
	return host + "/" + rest
}
