package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/wait"
)

// The pull policies.
const (
	pullAlways       = "always"
	pullIfNotPresent = "if-not-present"
	pullNever        = "never"
)

// pullTries and pullPause bound the tries for a registry that does not answer.
const pullTries = 3

func pullPause() time.Duration { return 2*time.Second + rand.N(8*time.Second) }

// checkAllowed refuses what the list does not hold and tells the user what it holds. extra is always allowed.
func (e *Executor) checkAllowed(kind, name string, allowed []string, extra ...string) error {
	if len(allowed) == 0 || slices.Contains(extra, name) || MatchesAny(allowed, name) {
		return nil
	}
	e.o.Console.Errorln(fmt.Sprintf("The %q %s is not present on list of allowed %ss:", name, kind, kind))
	for _, glob := range allowed {
		e.o.Console.Println("- " + glob)
	}
	e.o.Console.Println("Please check runner's configuration: allowed_" + kind + "s in [runners.docker]")
	return executor.Errorf(executor.Configuration, "disallowed %s", kind)
}

// pullPolicies returns the policies to try for an image: the job's own in its order, as far as the configuration allows them.
func (e *Executor) pullPolicies(name string, wanted []string) ([]string, error) {
	configured := e.o.Config.PullPolicy
	if len(configured) == 0 {
		configured = []string{pullAlways}
	}
	allowed := e.o.Config.AllowedPullPolicies
	if len(allowed) == 0 {
		allowed = configured
	}
	if len(wanted) == 0 {
		wanted = configured
	}
	var out []string
	for _, p := range wanted {
		if p != pullAlways && p != pullIfNotPresent && p != pullNever {
			return nil, executor.Errorf(executor.Configuration, "pull policy %q of image %s is unknown; use always, if-not-present or never", p, name)
		}
		if slices.Contains(allowed, p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, executor.Errorf(executor.Configuration, "pull policy [%s] of image %s is not one of the allowed ones [%s]",
			strings.Join(wanted, " "), name, strings.Join(allowed, " "))
	}
	return out, nil
}

// local is an image that the engine has.
type local struct {
	ref   string // what containers are created from
	ports []string

	// Of what the image says of its containers.
	user       string
	workDir    string
	entrypoint bool
	health     bool // it checks its health by a command of its own
}

// facts takes over what an image says of its containers.
func (l *local) facts(found image.InspectResponse) {
	c := found.Config
	if c == nil {
		return
	}
	for port := range c.ExposedPorts {
		l.ports = append(l.ports, port)
	}
	l.user, l.workDir, l.entrypoint, l.health = c.User, c.WorkingDir, len(c.Entrypoint) > 0, c.Healthcheck != nil
}

// had remembers the images that the engine has been made to have, so that a job whose service runs in its own image pulls it once.
type had struct {
	mu sync.Mutex
	by map[string]func() (local, error)
}

// once calls get for the first one who asks by that key; all others wait for what it returns.
func (h *had) once(key string, get func() (local, error)) (local, error) {
	h.mu.Lock()
	f := h.by[key]
	if f == nil {
		if h.by == nil {
			h.by = map[string]func() (local, error){}
		}
		f = sync.OnceValues(get)
		h.by[key] = f
	}
	h.mu.Unlock()
	return f()
}

// ensure makes the engine have the image, by the policies that apply, and says so.
func (e *Executor) ensure(ctx context.Context, img Image) (local, error) {
	policies, err := e.pullPolicies(img.Name, img.PullPolicy)
	if err != nil {
		return local{}, err
	}
	key := strings.Join(append([]string{img.Name, img.Platform}, policies...), " ")
	return e.had.once(key, func() (local, error) { return e.get(ctx, img, policies) })
}

func (e *Executor) get(ctx context.Context, img Image, policies []string) (local, error) {
	var err error
	e.o.Console.Println(fmt.Sprintf("Using effective pull policy of [%s] for container %s", strings.Join(policies, " "), img.Name))
	for i, policy := range policies {
		if i > 0 {
			e.o.Console.Warningln(fmt.Sprintf("Failed to pull image with policy %q: %v", policies[i-1], err))
			e.o.Console.Println(fmt.Sprintf("Attempt #%d: Trying %q pull policy", i+1, policy))
		}
		var found image.InspectResponse
		if found, err = e.byPolicy(ctx, img, policy); err == nil {
			return e.using(img.Name, found), nil
		}
		if ctx.Err() != nil {
			return local{}, context.Cause(ctx)
		}
	}
	return local{}, fmt.Errorf("image %s: %w", img.Name, err)
}

func (e *Executor) byPolicy(ctx context.Context, img Image, policy string) (image.InspectResponse, error) {
	found, err := e.inspectImage(ctx, img)
	switch {
	case err != nil && !errdefs.IsNotFound(err):
		return found, engineErr(err)
	case err == nil && (policy != pullAlways || found.ID == img.Name || strings.TrimPrefix(found.ID, "sha256:") == img.Name):
		return found, nil
	case err != nil && policy == pullNever:
		return found, executor.Errorf(executor.Configuration, "not on the engine, and the pull policy is never")
	}
	if err := e.pull(ctx, img); err != nil {
		return found, err
	}
	found, err = e.inspectImage(ctx, img)
	return found, engineErr(err)
}

func (e *Executor) inspectImage(ctx context.Context, img Image) (image.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var opts []client.ImageInspectOption
	if p := parsePlatform(img.Platform); p != nil && versions.GreaterThanOrEqualTo(e.api.ClientVersion(), "1.49") {
		opts = append(opts, client.ImageInspectWithPlatform(p))
	}
	return e.api.ImageInspect(ctx, img.Name, opts...)
}

// using says which image it became and picks what containers are created from: the digest names it best.
func (e *Executor) using(name string, found image.InspectResponse) local {
	l := local{ref: found.ID}
	text := fmt.Sprintf("Using docker image %s for %s", found.ID, name)
	if digest := ownDigest(name, found.RepoDigests); digest != "" {
		l.ref = digest
		text += " with digest " + digest
	} else if len(found.RepoDigests) > 0 {
		text += " with digest " + found.RepoDigests[0]
	}
	l.facts(found)
	e.o.Console.Println(text + " ...")
	return l
}

// ownDigest is the digest in the image's own repository, or empty. Those of other repositories that hold the same content come and go with
// the names that others give and take.
func ownDigest(name string, digests []string) string {
	for _, digest := range digests {
		if imagePath(digest) == imagePath(name) {
			return digest
		}
	}
	return ""
}

// pull gets an image from its registry. Only a party that does not answer is worth another try.
func (e *Executor) pull(ctx context.Context, img Image) error {
	opts := image.PullOptions{Platform: img.Platform}
	if c, ok := e.auth.find(ctx, img.Name); ok {
		e.o.Console.Println("Authenticating with credentials from " + c.source)
		encoded, err := registry.EncodeAuthConfig(c.AuthConfig)
		if err != nil {
			return executor.Errorf(executor.Configuration, "credentials from %s: %w", c.source, err)
		}
		opts.RegistryAuth = encoded
	}
	e.o.Console.Println("Pulling docker image " + img.Name + " ...")
	for try := 1; ; try++ {
		err := classifyPull(e.pullOnce(ctx, withTag(img.Name), opts))
		var failure *executor.Error
		if err == nil || ctx.Err() != nil || try == pullTries || !errors.As(err, &failure) || failure.Kind != executor.External {
			return err
		}
		e.o.Console.Warningln(fmt.Sprintf("Pulling %s: %v; trying again (%d of %d)", img.Name, err, try+1, pullTries))
		if err := wait.For(ctx, pullPause()); err != nil {
			return err
		}
	}
}

func (e *Executor) pullOnce(ctx context.Context, ref string, opts image.PullOptions) error {
	body, err := e.api.ImagePull(ctx, ref, opts)
	if err != nil {
		return err
	}
	defer body.Close()
	// The engine answers 200 first and reports errors in the stream.
	for dec := json.NewDecoder(body); ; {
		var line struct {
			Error string `json:"error"`
		}
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case cutOff(err):
			return executor.Errorf(executor.Engine, "the engine broke off the pull: %w", err)
		case err != nil:
			return err
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// pullClasses sorts a pull's failure by its text: engines give no better hint.
var pullClasses = []struct {
	kind  executor.Kind
	hint  string
	texts []string
}{
	{executor.External, "; the registry can't be reached from the engine", []string{"dial tcp", "connection refused", "no such host", "i/o timeout", "tls handshake timeout",
		"client.timeout exceeded", "request canceled", "connection reset", "server misbehaving", "unexpected eof"}},
	{executor.Configuration, "; check the image's name and tag, and the credentials for its registry", []string{"not found", "manifest unknown", "denied", "unauthorized", "authentication required",
		"no basic auth credentials", "invalid reference format", "no matching manifest"}},
}

func classifyPull(err error) error {
	if err == nil || isUnreachable(err) || isFull(err) {
		return engineErr(err)
	}
	var classified *executor.Error
	if errors.As(err, &classified) {
		return err
	}
	text := strings.ToLower(err.Error())
	for _, class := range pullClasses {
		for _, t := range class.texts {
			if strings.Contains(text, t) {
				return executor.Errorf(class.kind, "%w%s", err, class.hint)
			}
		}
	}
	return &executor.Error{Kind: executor.ImagePull, Err: err}
}

// withTag adds :latest to a name that has neither tag nor digest, because the engine would pull all tags.
func withTag(name string) string {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil || !reference.IsNameOnly(ref) {
		return name
	}
	return name + ":latest"
}

// imagePath is registry and repository without tag, docker.io for Docker Hub: docker.io/library/alpine.
func imagePath(name string) string {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return ref.Name()
}

func parsePlatform(s string) *ocispec.Platform {
	parts := strings.Split(s, "/")
	if len(parts) < 2 {
		return nil
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) > 2 {
		p.Variant = parts[2]
	}
	return p
}
