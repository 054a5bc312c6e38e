package supervisor

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// builtinGoogle returns drivers as the agent has them, with google alone.
func builtinGoogle(t *testing.T, op *config.Operator) *Drivers {
	t.Helper()
	return builtinDrivers(t, op, "google")
}

// builtinDrivers returns drivers as the agent has them, with these built-in modules alone.
func builtinDrivers(t *testing.T, op *config.Operator, names ...string) *Drivers {
	t.Helper()
	dist := fstest.MapFS{}
	for _, name := range names {
		dist["dist/"+name+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, "providers/"+name)}
	}
	host, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(t), Builtins: []fs.FS{dist},
		Limits: module.Limits{DriverTime: time.Minute, OtherTime: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDrivers(host, nil)
	d.operator = func() *config.Operator { return op }
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestGoogleOptions checks MachineOptions as they stand in files: GitLab's complete example, whose values are yet to be filled in, among them.
func TestGoogleOptions(t *testing.T) {
	d := builtinGoogle(t, nil)
	file := filepath.Join(t.TempDir(), "motd")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := d.Check(t.Context(), "nobodys", nil); len(p) != 1 || !strings.Contains(p[0].Message, "no docker-machine-driver-nobodys on the PATH; known: generic, google, none") {
		t.Errorf("a driver of nobody's: %+v", p)
	}
	for name, tc := range map[string]struct {
		list     []string
		errors   string // of the problems that are no warnings, joined
		warnings int
	}{
		"GitLab's example": {[]string{
			"google-project=GOOGLE-PROJECT-ID", "google-zone=GOOGLE-ZONE", "google-machine-type=GOOGLE-MACHINE-TYPE",
			"google-machine-image=ubuntu-os-cloud/global/images/family/ubuntu-1804-lts", "google-username=root", "google-use-internal-ip",
			"engine-registry-mirror=https://mirror.gcr.io",
		}, "", 4},
		"an unknown option":   {[]string{"google-project=p1", "google-zones=a"}, "google-zones is no option of this driver; did you mean google-zone?", 0},
		"no project":          {nil, "google-project is required", 0},
		"a file":              {[]string{"google-project=p1", "google-metadata-from-file=motd=" + file}, "", 0},
		"a file that is none": {[]string{"google-project=p1", "google-metadata-from-file=motd=" + file + "x"}, "google-metadata-from-file open " + file + "x", 0},
		"a file without key":  {[]string{"google-project=p1", "google-metadata-from-file=" + file}, "is no key=path", 0},
		"the endpoint":        {[]string{"google-project=p1", "google-endpoint=https://example.com"}, "is the operator's alone; set endpoint in [drivers.google] of millwright.toml", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var failures []string
			warnings := 0
			for _, p := range d.Check(t.Context(), "google", tc.list) {
				if p.Warning {
					warnings++
				} else {
					failures = append(failures, p.Option+" "+p.Message)
				}
			}
			if text := strings.Join(failures, "; "); warnings != tc.warnings || tc.errors == "" && text != "" || !strings.Contains(text, tc.errors) {
				t.Errorf("%d warnings and %q, want %d and %q", warnings, text, tc.warnings, tc.errors)
			}
		})
	}
}

// TestGoogleSignsIn makes a machine the way that the agent does: with the credentials of its environment, and then those of millwright.toml.
func TestGoogleSignsIn(t *testing.T) {
	const token = "ya29.of-the-service-account"
	var signIns atomic.Int32
	sso := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			http.Error(w, "no assertion", http.StatusBadRequest)
			return
		}
		signIns.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	}))
	defer sso.Close()
	cloud, err := fakegce.Start(fakegce.Settings{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	op := &config.Operator{Drivers: map[string]config.OperatorDriver{"google": {Endpoint: cloud.URL()}}}
	file := filepath.Join(t.TempDir(), "motd")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := builtinGoogle(t, op)
	options, _, err := d.options("runner-1", "google", []string{"google-project=p1", "google-metadata-from-file=motd=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	drv, err := d.forPool("google")
	if err != nil {
		t.Fatal(err)
	}
	list := func() error {
		_, err := drv.List(t.Context(), abi.ListRequest{Owner: abi.Owner{ID: "abcdefgh01234567"}, Options: options})
		return err
	}

	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	if err := list(); err == nil || !strings.Contains(err.Error(), "auth: ") || !strings.Contains(err.Error(), "[credentials.google]") {
		t.Errorf("without a key: %v", err)
	}

	other := builtinGoogle(t, op) // a sign-in that failed is not tried again at once
	account, err := fakegce.AccountFile(t.TempDir(), sso.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", account)
	if drv, err = other.forPool("google"); err != nil {
		t.Fatal(err)
	}
	if _, err := drv.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: "abcdefgh01234567"}, Name: "m1", Options: options}); err != nil {
		t.Fatal(err)
	}
	if err := list(); err != nil || signIns.Load() != 1 {
		t.Errorf("%v after %d sign-ins", err, signIns.Load())
	}
	made, err := json.Marshal(cloud.Instance("p1", "us-central1-a", "m1"))
	if err != nil || !strings.Contains(string(made), `{"key":"motd","value":"hello"}`) {
		t.Errorf("the machine is %s", made)
	}
	if wrong := cloud.Wrong(); len(wrong) > 0 {
		t.Error(wrong)
	}
}

// TestIdleEndpoint has an endpoint in millwright.toml for a driver that takes it, and for one that has an option for it.
func TestIdleEndpoint(t *testing.T) {
	own := config.OperatorDriver{Endpoint: "https://api.example.com"}
	d := builtinDrivers(t, &config.Operator{Drivers: map[string]config.OperatorDriver{"google": own, "amazonec2": own}}, "google", "amazonec2")
	for name, want := range map[string][]Problem{
		"google":    nil,
		"amazonec2": {{Message: "endpoint in [drivers.amazonec2] of millwright.toml has no effect on this driver; it has the option amazonec2-endpoint", Warning: true}},
	} {
		options := map[string][]string{"google": {"google-project=p1"}, "amazonec2": {"amazonec2-region=eu-west-3"}}[name]
		var got []Problem
		for _, p := range d.Check(t.Context(), name, options) {
			if strings.Contains(p.Message, "millwright.toml") {
				got = append(got, p)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
