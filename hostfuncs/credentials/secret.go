package credentials

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/millwright-ci/millwright/hostfuncs/internal/redact"
)

// fileAge is how long what was read from a file is used before the file is read again.
const fileAge = 5 * time.Second

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 64 << 10

// secret returns the secret of c, from its file, the environment or itself. It never is empty.
func (c Config) secret() (string, error) {
	value, from := string(c.Secret), "secret"
	switch {
	case c.Secret != "":
	case c.SecretFile != "":
		data, err := readFile(c.SecretFile)
		if err != nil {
			return "", err
		}
		value, from = strings.TrimRight(string(data), "\r\n"), c.SecretFile
	case c.SecretEnv != "":
		value, from = os.Getenv(c.SecretEnv), "the environment variable "+c.SecretEnv
	default:
		return "", fmt.Errorf("no secret is given; use secret_file, secret_env or secret")
	}
	switch {
	case value == "":
		return "", fmt.Errorf("%s is empty", from)
	case len(value) < redact.MinSecret:
		return "", fmt.Errorf("%s holds less than %d bytes, too few to keep them out of a module's sight", from, redact.MinSecret)
	}
	return value, nil
}

// hasSecret tells whether c names a place for a secret.
func (c Config) hasSecret() bool { return c.Secret != "" || c.SecretFile != "" || c.SecretEnv != "" }

// readFile reads a small file. Its errors name the file and never show what is in it.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("%s: has more than %d bytes", path, maxSecret)
	}
	return data, err
}

// static is the fetch of credentials that are a secret and nothing more.
func (h *host) static(c Config) fetch {
	return func(context.Context, []string, string) (material, error) {
		value, err := c.secret()
		if err != nil {
			return material{}, err
		}
		if c.Kind != Basic && !httpguts.ValidHeaderFieldValue(value) {
			return material{}, fmt.Errorf("the secret has characters that no header may have; it is one line of text")
		}
		return material{token: value, id: c.Username, expires: h.now().Add(fileAge)}, nil
	}
}
