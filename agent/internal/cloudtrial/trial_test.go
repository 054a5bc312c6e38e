package cloudtrial

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

const (
	token     = "ya29.of-the-service-account"
	accessKey = "AKIAOFTHEOPERATOR"
	testImage = "ami-12c6146b" // which moto has
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run lets the tests have the credentials of two clouds in their environment, as an agent has them.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cloudtrial-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	sso := fakegce.SignIn(token)
	defer sso.Close()
	path, err := fakegce.AccountFile(dir, sso.URL+"/token")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": path, "AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": "the-secret-key-of-the-operator", "AWS_SESSION_TOKEN": "",
	} {
		os.Setenv(name, value)
	}
	return m.Run()
}

// TestGoogle runs a job with the whole agent on a machine that Compute Engine's API made, and that is there in truth.
func TestGoogle(t *testing.T) {
	t.Parallel()
	hardware := openBoxes(t)
	cloud := google(t, fakegce.Settings{Token: token, OpTime: 200 * time.Millisecond, BootTime: 300 * time.Millisecond, Hardware: hardware})
	try(t, "google", Settings{"MILLWRIGHT_CLOUD_PROJECT": "project-1", "MILLWRIGHT_CLOUD_ZONE": "us-central1-b"}, cloud.URL(), hardware, cloud.Leftovers)
	if n := cloud.Record()["compute.instances.insert"]; n != 1 {
		t.Errorf("%d machines were made", n)
	}
}

// TestAmazon does the same in EC2.
func TestAmazon(t *testing.T) {
	t.Parallel()
	hardware := openBoxes(t)
	cloud := fakeec2.Open(t, fakeec2.Settings{Region: "eu-west-3", AccessKey: accessKey, Hardware: hardware})
	try(t, "amazonec2", Settings{"MILLWRIGHT_CLOUD_REGION": "eu-west-3", "MILLWRIGHT_CLOUD_OPTIONS": "amazonec2-ami=" + testImage}, cloud.URL(), hardware, cloud.Leftovers)
	if n := cloud.Record()["RunInstances"]; n != 1 {
		t.Errorf("%d machines were made", n)
	}
}

func google(t *testing.T, s fakegce.Settings) *fakegce.Cloud {
	t.Helper()
	cloud, err := fakegce.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cloud.Close()
		for _, wrong := range cloud.Wrong() {
			t.Errorf("Google would refuse this request: %s", wrong)
		}
	})
	return cloud
}

func openBoxes(t *testing.T) *boxes.Boxes {
	t.Helper()
	return boxes.Open(t, filepath.Join("..", "..", "..", ".cache", "demo-images"))
}

// try runs a trial as the tasks do, but for the endpoint and where images come from. left is what the cloud itself says.
func try(t *testing.T, driver string, s Settings, endpoint string, hardware *boxes.Boxes, left func(owner string) []string) {
	t.Helper()
	archive := need.File(t, filepath.Join("..", "..", "..", "bin", "helper-image-"+runtime.GOARCH+".tar"), "`go tool task helper-image` builds it")
	s["MILLWRIGHT_CLOUD_OPTIONS"] += " engine-registry-mirror=" + hardware.Mirror
	trial, out := newTrial(t, driver, s, endpoint)
	trial.HelperArchive = func(string) string { return archive }
	err := trial.Run(t.Context())
	text := out.String()
	t.Log(text)
	if err != nil {
		t.Fatal(err)
	}
	owner := out.owner()
	for _, what := range left(owner) {
		t.Errorf("left in the cloud: %s", what)
	}
	for _, want := range []string{said, "nothing of the owner " + owner + " is left"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said", want)
		}
	}
}

// newTrial is a trial in a cloud that is pretended, and what it says.
func newTrial(t *testing.T, driver string, s Settings, endpoint string) (Trial, *buffer) {
	t.Helper()
	dist := fstest.MapFS{}
	for _, folder := range []string{"policies/periods", "policies/idlescale", "providers/" + driver} {
		dist["dist/"+filepath.Base(folder)+guests.Suffix] = &fstest.MapFile{Data: guests.Packed(t, folder)}
	}
	s["MILLWRIGHT_CLOUD_IMAGE"] = "busybox:1.35"
	s["MILLWRIGHT_CLOUD_ENDPOINT"] = endpoint
	trial, err := s.Trial(driver, newStore(t))
	if err != nil {
		t.Fatal(err)
	}
	out := &buffer{}
	trial.Dir, trial.Out = t.TempDir(), out
	trial.Modules = module.Options{Builtins: []fs.FS{dist}, CacheDir: guests.CompilationCache(t), Limits: module.Limits{
		DecideTime: time.Minute, OtherTime: time.Minute, DriverTime: time.Minute, // a busy machine is no failure
	}}
	return trial, out
}

func newStore(t *testing.T) *credentials.Store {
	t.Helper()
	store := credentials.NewStore(credentials.Options{})
	t.Cleanup(store.Close)
	return store
}

// buffer is what a trial says.
type buffer struct {
	heard func(line string) // told each line; nil: nobody is
	mu    sync.Mutex        // guards b
	b     bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heard != nil {
		b.heard(string(p))
	}
	return b.b.Write(p)
}

// owner is whom the machines of the trial belong to.
func (b *buffer) owner() string {
	_, rest, _ := strings.Cut(b.String(), "owner ")
	owner, _, _ := strings.Cut(rest, ";")
	return owner
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
