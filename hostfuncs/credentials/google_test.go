package credentials_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

const compute = "https://www.googleapis.com/auth/compute"

var googleGrant = credentials.Grant{Scopes: []string{compute}}

// TestGoogleServiceAccount checks the assertion that a service account's file makes, by its public key, and that the token renews.
func TestGoogleServiceAccount(t *testing.T) {
	c := newClouds(t)
	private, public := rsaKey(t)
	c.HandleFunc("oauth2.googleapis.com/token", func(w http.ResponseWriter, r *http.Request) {
		claims, ok := verify(public, r.FormValue("assertion"))
		if !ok || r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			answer(w, 400, object{"error": "invalid_grant"})
			return
		}
		if claims["iss"] != "ci@project.iam.gserviceaccount.com" || claims["scope"] != compute || claims["aud"] != "https://oauth2.googleapis.com/token" {
			t.Errorf("claims are %v", claims)
		}
		answer(w, 200, object{"access_token": "ya29.service-account", "token_type": "Bearer", "expires_in": 3600})
	})
	file, _ := json.Marshal(object{
		"type": "service_account", "client_email": "ci@project.iam.gserviceaccount.com", "private_key_id": "1", "private_key": private,
		"token_uri": "https://oauth2.googleapis.com/token",
	})
	config := credentials.Config{Kind: credentials.Google, CredentialsFile: write(t, "key.json", string(file))}
	c.want(t, config, googleGrant, "Authorization", "Bearer ya29.service-account")
	if n := c.count("oauth2.googleapis.com/token"); n != 1 {
		t.Errorf("%d sign-ins for one token", n)
	}
	c.now.pass(59*time.Minute + 30*time.Second)
	c.want(t, config, googleGrant, "Authorization", "Bearer ya29.service-account")
	if n := c.count("oauth2.googleapis.com/token"); n != 2 {
		t.Errorf("%d sign-ins shortly before the token expires, want one more", n-1)
	}

	c.now.pass(-time.Hour)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", config.CredentialsFile)
	c.want(t, credentials.Config{Kind: credentials.Google}, googleGrant, "Authorization", "Bearer ya29.service-account")
}

// verify returns the claims of a JWT signed by RS256.
func verify(key *rsa.PublicKey, token string) (map[string]any, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		return nil, false
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	return claims, json.Unmarshal(payload, &claims) == nil
}

// TestGoogleWorkloadIdentity exchanges a token of another provider, as a pod or a machine elsewhere has it.
func TestGoogleWorkloadIdentity(t *testing.T) {
	c := newClouds(t)
	c.HandleFunc("sts.googleapis.com/v1/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("subject_token") != "a-token-of-the-cluster" {
			answer(w, 400, object{"error": "invalid_grant"})
			return
		}
		answer(w, 200, object{
			"access_token": "ya29.federated", "token_type": "Bearer", "expires_in": 3600,
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		})
	})
	file, _ := json.Marshal(object{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
		"credential_source": object{"file": write(t, "token", "a-token-of-the-cluster")},
	})
	config := credentials.Config{Kind: credentials.Google, CredentialsFile: write(t, "wif.json", string(file))}
	c.want(t, config, googleGrant, "Authorization", "Bearer ya29.federated")
}

// TestGoogleMetadata gets the token of the machine that the agent runs on.
func TestGoogleMetadata(t *testing.T) {
	c := newClouds(t)
	c.HandleFunc("127.0.0.1/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, "/computeMetadata/v1/instance/service-accounts/default/token"):
			if got := r.URL.Query().Get("scopes"); got != compute {
				t.Errorf("asks for the scopes %q", got)
			}
			answer(w, 200, object{"access_token": "ya29.machine", "token_type": "Bearer", "expires_in": 3600})
		default:
			w.Header().Set("Metadata-Flavor", "Google")
			w.Write([]byte("project"))
		}
	})
	t.Setenv("GCE_METADATA_HOST", c.plain)
	c.want(t, credentials.Config{Kind: credentials.Google}, googleGrant, "Authorization", "Bearer ya29.machine")
}

func TestGoogleFileThatIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":      "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n",
		"no type":      `{"private_key": "c2VjcmV0LWJ5dGVz"}`,
		"unknown type": `{"type": "other", "private_key": "c2VjcmV0LWJ5dGVz"}`,
		"bad key":      `{"type": "service_account", "private_key": "c2VjcmV0LWJ5dGVz", "token_uri": "https://oauth2.googleapis.com/token"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClouds(t)
			_, _, err := c.sign(t, credentials.Config{Kind: credentials.Google, CredentialsFile: write(t, "k.json", text)}, googleGrant, nil)
			if err == nil || strings.Contains(err.Error(), "c2Vj") || strings.Contains(c.log.String(), "c2Vj") {
				t.Errorf("got %v, and in the log %s", err, c.log)
			}
			if !strings.Contains(c.log.String(), "credential not usable") {
				t.Errorf("the operator is told nothing: %s", c.log)
			}
		})
	}
	c := newClouds(t)
	missing := filepath.Join(t.TempDir(), "none.json")
	if _, _, err := c.sign(t, credentials.Config{Kind: credentials.Google, CredentialsFile: missing}, googleGrant, nil); err == nil || strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("a guest learns %v", err)
	}
}
