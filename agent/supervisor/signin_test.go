package supervisor

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// internet is what sign-ins of a test reach, by host: whatever else is asked for is not there.
type internet map[string]http.HandlerFunc

// RoundTrip implements http.RoundTripper.
func (i internet) RoundTrip(r *http.Request) (*http.Response, error) {
	handle, ok := i[r.URL.Hostname()]
	if !ok {
		handle = http.NotFound
	}
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	handle(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// homeless takes away what the machine that the test runs on would sign in with.
func homeless(t *testing.T) {
	t.Helper()
	for _, name := range os.Environ() {
		name, _, _ = strings.Cut(name, "=")
		for _, prefix := range []string{"AWS_", "AZURE_", "IDENTITY_", "MSI_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "")
				os.Unsetenv(name)
			}
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
}

// signsIn lists machines of a driver the way that the agent does: what it signs with comes of options, of the environment and of the cloud itself.
func signsIn(t *testing.T, d *Drivers, name string, op *config.Operator, sites internet, list []string) error {
	t.Helper()
	d.credentials.Close()
	d.operator = func() *config.Operator { return op }
	d.credentials = credentials.NewStore(credentials.Options{HTTP: &http.Client{Transport: sites}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	d.credentials.Set(grants.Credentials(op.Credentials))
	options, _, err := d.options("runner-1", name, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	drv, err := d.forPool(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = drv.List(t.Context(), abi.ListRequest{Owner: abi.Owner{ID: "abcdefgh01234567"}, Options: options})
	return err
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAmazonSignsIn goes through AWS's usual chain, as docker-machine does: keys of the options, of the environment, of files, of the instance.
func TestAmazonSignsIn(t *testing.T) {
	homeless(t)
	signed, session := "", ""
	ec2 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, signed, _ = strings.Cut(r.Header.Get("Authorization"), "Credential=")
		signed, _, _ = strings.Cut(signed, "/")
		session = r.Header.Get("X-Amz-Security-Token")
		action := r.FormValue("Action")
		sets := `<reservationSet/><spotInstanceRequestSet/><keySet/>` // there is nothing, whatever is listed
		_, _ = w.Write([]byte(`<` + action + `Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>` + sets + `</` + action + `Response>`))
	}))
	defer ec2.Close()
	metadata := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = w.Write([]byte("session-of-imds"))
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session-of-imds": // IMDSv1 is switched off
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = w.Write([]byte("ci-role"))
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"Code": "Success", "AccessKeyId": "ASIAINSTANCE", "SecretAccessKey": "secret-of-the-role", "Token": "of-the-role",
				"Expiration": time.Now().Add(6 * time.Hour).UTC().Format(time.RFC3339)})
		}
	}
	file := fileOf(t, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = secret-of-the-key\n[ci]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret-of-the-key\n")
	d := builtinDrivers(t, nil, "amazonec2")
	for _, tc := range []struct {
		name     string
		env      map[string]string
		options  []string
		operator map[string]config.Credential
		key      string // "" is none: it is an error
		session  string
	}{
		{name: "options", options: []string{"amazonec2-access-key=AKIAOPTION", "amazonec2-secret-key=secret-of-the-key", "amazonec2-session-token=temporary"}, key: "AKIAOPTION", session: "temporary"},
		{name: "options before the environment", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "secret-of-the-key"},
			options: []string{"amazonec2-access-key=AKIAOPTION", "amazonec2-secret-key=secret-of-the-key"}, key: "AKIAOPTION"},
		{name: "environment", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "secret-of-the-key"}, key: "AKIAENV"},
		{name: "file", env: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}, key: "AKIAFILE"},
		{name: "file, by profile", env: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "ci"}, key: "AKIAPROFILE"},
		{name: "instance role", key: "ASIAINSTANCE", session: "of-the-role"},
		{name: "nothing", env: map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}},
		{name: "millwright.toml", env: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file},
			operator: map[string]config.Credential{"amazonec2": {Kind: "aws4", Profile: "ci"}}, key: "AKIAPROFILE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			signed = ""
			err := signsIn(t, d, "amazonec2", &config.Operator{Credentials: tc.operator}, internet{"169.254.169.254": metadata},
				append([]string{"amazonec2-endpoint=" + ec2.URL, "amazonec2-insecure-transport"}, tc.options...))
			switch {
			case tc.key == "":
				if err == nil || !strings.Contains(err.Error(), "auth: ") || !strings.Contains(err.Error(), "[credentials.amazonec2]") {
					t.Errorf("got %v, signed by %q", err, signed)
				}
			case err != nil || signed != tc.key || session != tc.session:
				t.Errorf("%v: signed by %q with the session %q, want %s and %q", err, signed, session, tc.key, tc.session)
			}
		})
	}
}

// TestAzureSignsIn signs in as an application, whose tenant the subscription tells where nobody gave it, as a workload, and as the machine.
func TestAzureSignsIn(t *testing.T) {
	const (
		tenant       = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
		subscription = "11111111-2222-3333-4444-555555555555"
		login        = "https://login.microsoftonline.com/" + tenant
	)
	homeless(t)
	bearer := ""
	arm := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer authorization_uri="https://login.windows.net/`+tenant+`", error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		bearer = token
		_, _ = w.Write([]byte(`{"value":[]}`))
	}
	azure := httptest.NewServer(http.HandlerFunc(arm))
	defer azure.Close()
	entra := func(w http.ResponseWriter, r *http.Request) {
		answer := func(value map[string]any) { _ = json.NewEncoder(w).Encode(value) }
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/common/discovery/instance":
			answer(map[string]any{"tenant_discovery_endpoint": login + "/v2.0/.well-known/openid-configuration", "metadata": []any{
				map[string]any{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.microsoftonline.com", "aliases": []string{"login.microsoftonline.com"}},
			}})
		case "/" + tenant + "/v2.0/.well-known/openid-configuration":
			answer(map[string]any{"issuer": login + "/v2.0", "token_endpoint": login + "/oauth2/v2.0/token", "authorization_endpoint": login + "/oauth2/v2.0/authorize"})
		case "/" + tenant + "/oauth2/v2.0/token":
			who := r.FormValue("client_id") + "/" + r.FormValue("client_secret") + r.FormValue("client_assertion")
			answer(map[string]any{"access_token": who, "token_type": "Bearer", "expires_in": 3600})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
	machine := func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "machine/" + r.URL.Query().Get("client_id"), "token_type": "Bearer", "expires_in": "3600"})
	}
	app := map[string]string{"AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": "of-the-environment"}
	op := &config.Operator{Drivers: map[string]config.OperatorDriver{"azure": {Endpoint: azure.URL}}}
	d := builtinDrivers(t, op, "azure")
	for _, tc := range []struct {
		name    string
		env     map[string]string
		options []string
		token   string
	}{
		{"options", nil, []string{"azure-client-id=app", "azure-client-secret=of-the-options", "azure-tenant-id=" + tenant}, "app/of-the-options"},
		{"options without a tenant", nil, []string{"azure-client-id=app", "azure-client-secret=of-the-options"}, "app/of-the-options"},
		{"environment, without a tenant", app, nil, "app/of-the-environment"},
		{"workload identity", map[string]string{"AZURE_FEDERATED_TOKEN_FILE": fileOf(t, "of-the-cluster"), "AZURE_CLIENT_ID": "app", "AZURE_TENANT_ID": tenant}, nil, "app/of-the-cluster"},
		{"managed identity", nil, nil, "machine/"},
		{"managed identity of the user's", nil, []string{"azure-client-id=99999999-0000-0000-0000-000000000000"}, "machine/99999999-0000-0000-0000-000000000000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			bearer = ""
			err := signsIn(t, d, "azure", op, internet{"login.microsoftonline.com": entra, "169.254.169.254": machine, "127.0.0.1": arm},
				append([]string{"azure-subscription-id=" + subscription}, tc.options...))
			if err != nil || bearer != tc.token {
				t.Errorf("%v: the token is %q, want %q", err, bearer, tc.token)
			}
		})
	}
}
