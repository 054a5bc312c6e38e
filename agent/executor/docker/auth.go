package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

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

// credential is an account, or the program to ask for it, with the source it came from, for messages.
type credential struct {
	registry.AuthConfig
	source string
	helper string // name of a credential helper that has the account; "" when it is here
	server string // what the helper knows it by; "" is the registry that is asked for
	rank   int    // of the source: a lower one goes first
}

// dockerConfig is the part of ~/.docker/config.json that holds credentials.
type dockerConfig struct {
	Auths       map[string]registry.AuthConfig `json:"auths"`
	CredsStore  string                         `json:"credsStore"`
	CredHelpers map[string]string              `json:"credHelpers"`
}

// resolver finds the credentials of an image. It is made once per job. Credential helpers are asked when an image needs them.
type resolver struct {
	byPath  map[string][]credential // in the order of their sources
	stores  []credential            // helpers that may know any registry
	rank    int
	console executor.Console
}

// newResolver reads all sources. A source that can't be read is left out with a warning.
func newResolver(a Auth, console executor.Console) *resolver {
	r := &resolver{byPath: map[string][]credential{}, console: console}
	if text := a.Variable.Reveal(); text != "" {
		r.addConfig([]byte(text), "$DOCKER_AUTH_CONFIG")
	}
	if a.Home != "" {
		for _, name := range []string{".docker/config.json", ".dockercfg"} {
			file := filepath.Join(a.Home, name)
			if data, err := os.ReadFile(file); err == nil {
				r.addConfig(data, file)
				break
			}
		}
	}
	r.rank++
	for _, c := range a.Payload {
		r.add(c.Path, credential{AuthConfig: registry.AuthConfig{Username: c.Username, Password: c.Password.Reveal(), ServerAddress: c.Path}, source: "job payload (GitLab Registry)"})
	}
	return r
}

func (r *resolver) addConfig(data []byte, source string) {
	var c dockerConfig
	err := json.Unmarshal(data, &c)
	if err == nil && c.Auths == nil && c.CredsStore == "" && c.CredHelpers == nil {
		err = json.Unmarshal(data, &c.Auths) // the old .dockercfg has no outer object
	}
	if err != nil {
		r.console.Warningln(fmt.Sprintf("Registry credentials from %s can't be read (not valid JSON); going on without them", source))
		return
	}
	r.rank++
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
		r.add(path, credential{AuthConfig: auth, source: source})
	}
	for path, helper := range c.CredHelpers {
		if r.isName(helper, source) {
			r.add(path, credential{helper: helper, server: path, source: source})
		}
	}
	if c.CredsStore != "" && r.isName(c.CredsStore, source) {
		r.stores = append(r.stores, credential{helper: c.CredsStore, source: source, rank: r.rank})
	}
}

// isName tells whether a credential helper is named: a job's DOCKER_AUTH_CONFIG must not start just any program of the agent's host.
func (r *resolver) isName(helper, source string) bool {
	if helper == filepath.Base(helper) {
		return true
	}
	r.console.Warningln(fmt.Sprintf("Credential helper %q of %s is a path; only a name is allowed. Going on without it", helper, source))
	return false
}

// add puts an account behind those that other sources have for the same path.
func (r *resolver) add(path string, c credential) {
	c.rank = r.rank
	path = registryPath(path)
	r.byPath[path] = append(r.byPath[path], c)
}

// find returns the credentials whose path is the longest prefix of the image's, in whole components. A helper without an answer leaves it
// to the next source.
func (r *resolver) find(ctx context.Context, image string) (credential, bool) {
	for p := imagePath(image); ; {
		list := slices.Clone(r.byPath[p])
		cut := strings.LastIndexByte(p, '/')
		if cut < 0 {
			list = append(list, r.stores...)
			slices.SortStableFunc(list, func(a, b credential) int { return a.rank - b.rank })
		}
		for _, c := range list {
			if c.helper == "" || r.ask(ctx, &c, p) {
				return c, true
			}
		}
		if cut < 0 {
			return credential{}, false
		}
		p = p[:cut]
	}
}

// helperLimit is how long a credential helper may take.
const helperLimit = 30 * time.Second

// ask gets the account from a credential helper on the agent's host, by Docker's protocol: the registry on stdin, JSON on stdout.
func (r *resolver) ask(ctx context.Context, c *credential, host string) bool {
	named := c.server != ""
	if !named {
		if c.server = host; host == "docker.io" {
			c.server = "https://index.docker.io/v1/"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, helperLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+c.helper, "get") //nolint:gosec // it is no path, see isName
	cmd.Stdin = strings.NewReader(c.server)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var answer struct{ Username, Secret string }
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil || answer.Secret == "" {
		if named || !errors.As(err, new(*exec.ExitError)) { // a store need not know every registry
			r.console.Warningln(fmt.Sprintf("Credential helper %q of %s has no answer for %s; going on without it", c.helper, c.source, c.server))
		}
		return false
	}
	c.AuthConfig = registry.AuthConfig{Username: answer.Username, Password: answer.Secret, ServerAddress: c.server}
	if answer.Username == "<token>" {
		c.AuthConfig = registry.AuthConfig{IdentityToken: answer.Secret, ServerAddress: c.server}
	}
	c.source += ", " + c.helper
	return true
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
