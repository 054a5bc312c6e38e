package cli

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
)

// TestDockerMachineInACloud runs the real binary by the name of docker-machine, as testdata/clouds tells, with machines of the driver google: the
// cloud is a model of Compute Engine's API, its machines are whole. $ENDPOINT is the cloud's.
func TestDockerMachineInACloud(t *testing.T) {
	t.Parallel()
	hardware := boxes.Open(t, filepath.Join(repository, ".cache", "demo-images"))
	cloud, err := fakegce.Start(fakegce.Settings{OpTime: 100 * time.Millisecond, BootTime: 200 * time.Millisecond, Hardware: hardware})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range cloud.Wrong() {
			t.Errorf("Google would refuse this request: %s", wrong)
		}
	})
	bin := t.TempDir()
	if err := os.Symlink(millwright(t), filepath.Join(bin, dockerMachineName)); err != nil {
		t.Fatal(err)
	}
	account := serviceAccount(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "clouds"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("ENDPOINT", cloud.URL())
			e.Setenv("GOOGLE_APPLICATION_CREDENTIALS", account)
			e.Setenv("MACHINE", "m-"+strings.ToLower(rand.Text()[:8]))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode, "keep": keepOutput},
	})
}

// serviceAccount is the file of a service account for which a server of the test's own gives tokens.
func serviceAccount(t *testing.T) string {
	t.Helper()
	signIn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"ya29.of-a-test","token_type":"Bearer","expires_in":3600}`)) // whoever went away wants none
	}))
	t.Cleanup(signIn.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "agent@project-1.iam.gserviceaccount.com", "private_key_id": "k1", "token_uri": signIn.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
