package artifact

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Login tries credentials at a registry ("": GitLab's) and keeps them in Docker's configuration, or where that says; it returns the path of that file.
func Login(ctx context.Context, registry, username, password string) (string, error) {
	if registry == "" {
		registry = defaultRegistry
	}
	if username == "" || password == "" {
		return "", errors.New("a login needs a user name and a password: --username, and --password-stdin or --password")
	}
	r, err := name.NewRegistry(registry)
	if err != nil {
		return "", err
	}
	if err := try(ctx, r, username, password); err != nil {
		return "", fmt.Errorf("%s: %w", registry, err)
	}
	file, err := config.Load(os.Getenv("DOCKER_CONFIG"))
	if err != nil {
		return "", err
	}
	key := r.RegistryStr()
	if key == name.DefaultRegistry {
		key = authn.DefaultAuthKey
	}
	if err := file.GetCredentialsStore(key).Store(types.AuthConfig{ServerAddress: key, Username: username, Password: password}); err != nil {
		return "", err
	}
	return file.Filename, file.Save()
}

// try asks the registry whether it takes the credentials.
func try(ctx context.Context, r name.Registry, username, password string) error {
	t, err := transport.NewWithContext(ctx, r, &authn.Basic{Username: username, Password: password}, http.DefaultTransport, nil)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Scheme()+"://"+r.RegistryStr()+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: t}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return transport.CheckError(response, http.StatusOK)
}
