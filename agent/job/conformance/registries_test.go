package conformance

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/image"
	dockerregistry "github.com/docker/docker/api/types/registry"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// registryRows are about where the job's image comes from.
func registryRows() []row {
	unknown := script([]string{"true"})
	unknown.Image = &coordinator.Image{Name: "registry.invalid/team/a:1"}
	return []row{
		{n: 63, name: "no such image", run: noSuchImage},
		{n: 64, name: "registry does not resolve", payload: unknown, runner: pulls("always"),
			want: []string{"Pulling docker image registry.invalid/team/a:1", "trying again (2 of 3)", "trying again (3 of 3)", "ERROR: Job failed: "}, reason: coordinator.ExternalDependencyFailure},
		{n: 65, name: "registry down", run: registryDown},
		{n: 66, name: "policy not allowed", run: policyNotAllowed},
		{n: 67, name: "credentials of the longest path", run: credentials("team", "job payload (GitLab Registry)", "", "/team")},
		{n: 68, name: "credentials of the first source", run: credentials("variable", "$DOCKER_AUTH_CONFIG", "/team", "/team")},
	}
}

func pulls(policies ...string) func(*config.Runner) {
	return func(r *config.Runner) { r.Docker.PullPolicy = policies }
}

// pullsOwnImage lets a job pull its image; a helper image that is there by name is not pulled.
func pullsOwnImage(_ *job.Params, r *config.Runner) {
	r.Docker.AllowedPullPolicies = []string{"never", "always"}
}

// hub is a registry on this host, which engines speak to without TLS. It knows one account and keeps who else came.
type hub struct {
	host    string
	account string // user:password

	mu    sync.Mutex // guards users
	users []string   // that were shown, each once
}

func newHub(t *testing.T, account string) *hub {
	h := &hub{account: account}
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		h.note(user)
		if account != "" && (!ok || user+":"+password != account) {
			w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.host = strings.TrimPrefix(server.URL, "http://")
	return h
}

func (h *hub) note(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if user != "" && !slices.Contains(h.users, user) {
		h.users = append(h.users, user)
	}
}

// push puts an image of the engine into the registry and takes the new name off the engine again.
func (h *hub) push(t *testing.T, from, name string) {
	t.Helper()
	api := dockertest.Engine(t)
	if err := api.ImageTag(t.Context(), from, name); err != nil {
		t.Fatal(err)
	}
	defer dockertest.Untag(t, name)
	user, password, _ := strings.Cut(h.account, ":")
	auth, err := dockerregistry.EncodeAuthConfig(dockerregistry.AuthConfig{Username: user, Password: password, ServerAddress: h.host})
	if err != nil {
		t.Fatal(err)
	}
	body, err := api.ImagePush(t.Context(), name, image.PushOptions{RegistryAuth: auth})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	out, err := io.ReadAll(body)
	if err != nil || strings.Contains(string(out), `"error"`) {
		t.Fatalf("push %s: %v\n%s", name, err, out)
	}
}

func noSuchImage(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"true"})
	payload.Image = &coordinator.Image{Name: newHub(t, "").host + "/no/such:tag", PullPolicy: []string{"always"}}
	e := b.Run(t, t.Context(), payload, pullsOwnImage)
	jobtest.CheckTrace(t, e, []string{"Pulling docker image " + payload.Image.Name, "ERROR: Job failed: "}, []string{"trying again", "Will be retried"})
	jobtest.CheckEnd(t, e, coordinator.ConfigurationError, 0)
}

// registryDown has an image on the engine whose registry nobody answers for.
func registryDown(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"echo hi"})
	payload.Image = &coordinator.Image{Name: "127.0.0.1:1/team/a:" + dockertest.Random()}
	dockertest.Tag(t, b.Image, payload.Image.Name)
	e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) { pulls("always", "if-not-present")(r) })
	jobtest.CheckTrace(t, e, []string{
		`WARNING: Failed to pull image with policy "always": `, `Attempt #2: Trying "if-not-present" pull policy`, "\nhi\n", "Job succeeded",
	}, nil)
	jobtest.CheckEnd(t, e, "", 0)
}

func policyNotAllowed(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"true"})
	payload.Image = &coordinator.Image{Name: b.Image, PullPolicy: []string{"never"}}
	e := b.Run(t, t.Context(), payload, func(_ *job.Params, r *config.Runner) { pulls("always")(r) })
	jobtest.CheckTrace(t, e, []string{"pull policy [never]", "not one of the allowed ones [always]"}, []string{"Will be retried", "Pulling docker image"})
	jobtest.CheckEnd(t, e, coordinator.ConfigurationError, 0)
}

// credentials pulls HOST/team/a with credentials in DOCKER_AUTH_CONFIG for HOST and a path, and in the payload for HOST and for HOST and a
// path. The registry lets the wanted user in alone.
func credentials(wanted, source, inVariable, inPayload string) func(*testing.T, *jobtest.Bench) {
	return func(t *testing.T, b *jobtest.Bench) {
		h := newHub(t, wanted+":secret-of-"+wanted)
		payload := script([]string{"echo hi"})
		payload.Image = &coordinator.Image{Name: h.host + "/team/a:" + dockertest.Random(), PullPolicy: []string{"always"}}
		h.push(t, b.Image, payload.Image.Name)
		t.Cleanup(func() { dockertest.Untag(t, payload.Image.Name) })
		variable := base64.StdEncoding.EncodeToString([]byte("variable:secret-of-variable"))
		payload = with(payload, "DOCKER_AUTH_CONFIG", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, h.host+inVariable, variable))
		payload.Credentials = []coordinator.Credential{
			{Type: "registry", URL: h.host, Username: "host", Password: "secret-of-host"},
			{Type: "registry", URL: h.host + inPayload, Username: "team", Password: "secret-of-team"},
		}
		e := b.Run(t, t.Context(), payload, pullsOwnImage)
		jobtest.CheckTrace(t, e, []string{"Authenticating with credentials from " + source, "Pulling docker image " + payload.Image.Name, "\nhi\n", "Job succeeded"}, []string{"secret-of-"})
		jobtest.CheckEnd(t, e, "", 0)
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Equal(h.users, []string{wanted}) {
			t.Errorf("the registry saw the users %v", h.users)
		}
	}
}
