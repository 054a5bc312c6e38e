package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// google is the fetch of a google-oauth2 credential: of a file (a service account's, or one for workload identity), or else of the
// application default credentials, which end at the metadata server.
func (h *host) google(c Config) fetch {
	return func(ctx context.Context, scopes []string, _ string) (material, error) {
		if len(scopes) == 0 {
			return material{}, errors.New("the grant names no scope; give one as in scopes = [\"https://www.googleapis.com/auth/compute\"]")
		}
		ctx = context.WithValue(ctx, oauth2.HTTPClient, h.client)
		found, err := findGoogle(ctx, c.CredentialsFile, scopes)
		if err != nil {
			return material{}, err
		}
		t, err := found.TokenSource.Token()
		if err != nil {
			return material{}, err
		}
		return material{token: t.AccessToken, expires: t.Expiry}, nil
	}
}

func findGoogle(ctx context.Context, file string, scopes []string) (*google.Credentials, error) {
	if file == "" {
		return google.FindDefaultCredentials(ctx, scopes...)
	}
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	var head struct {
		Type google.CredentialsType `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Type == "" {
		return nil, fmt.Errorf("%s: is no file of Google credentials, which are JSON with a type", file)
	}
	found, err := google.CredentialsFromJSONWithType(ctx, data, head.Type, scopes...)
	if err != nil {
		return nil, fmt.Errorf("%s: can't be used as a file of Google credentials of type %q", file, head.Type) // its text may show a key
	}
	return found, nil
}
