package supervisor

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/nestd"
)

// awsProfile is what the operator of the examples has in his home: a profile with its region, and the folder of it.
func awsProfile(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range map[string]string{
		"config":      "[default]\nregion = us-west-2\n",
		"credentials": "[default]\naws_access_key_id = AKIAOFTHEPROFILE\naws_secret_access_key = secret-of-the-profile\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// sshKey writes a private key and returns its file.
func sshKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "macos-key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// asGroup is hardware as an Auto Scaling group's instances; more is done to each once it has booted.
func asGroup(b *boxes.Boxes, more func(id string) error) fakeasg.Hooks {
	return fakeasg.Hooks{
		Start: func(id string) (string, error) {
			address, err := b.Start(id, fakecloud.UserData{})
			if err == nil && more != nil {
				if err = more(id); err != nil {
					b.Stop(id)
				}
			}
			return address, err
		},
		Stop: b.Stop,
		LetIn: func(id, user, key string) error {
			return b.Authorize(id, fakecloud.UserData{SSHUser: user, AuthorizedKey: key})
		},
	}
}

// TestAWSGroupExamples runs the examples for AWS Auto Scaling groups against a group whose instances are machines. That of the Macs has virtual machines
// in them, as its configuration has it; its prose names other numbers.
func TestAWSGroupExamples(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	folder := awsProfile(t)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(folder, "config")) // the example of the Macs names none
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(folder, "credentials"))
	fill := []string{
		"/home/user/.aws/config", filepath.Join(folder, "config"), "/home/user/.aws/credentials", filepath.Join(folder, "credentials"),
		"macos-key.pem", sshKey(t),
	}
	for _, e := range []groupExample{
		{file: "instance-aws-1-job.toml", login: "ec2-user", capacity: 1, idle: 5, once: true},
		{file: "instance-aws-5-jobs.toml", login: "Administrator", capacity: 5, idle: 1},
		{file: "instance-aws-mac-nesting.toml", login: "ec2-user", capacity: 2, idle: 1, home: nestd.Homes + "/nesting-", image: "macos-15"},
	} {
		t.Run(e.file, func(t *testing.T) {
			w := newWorld(t)
			w.config = *w.example(e.file, fill...)
			a := w.config.Runners[0].Autoscaler
			hardware := boxes.Open(t, filepath.Join("..", "..", ".cache", "demo-images"))
			var more func(string) error
			if vms := a.VMIsolation; vms.Enabled {
				program := nestd.Program(t)
				script := nestd.Script("/usr/local/bin/nestd", e.login, strings.TrimPrefix(vms.NestingHost, "unix://"), e.capacity,
					vms.ConnectorConfig.Username, vms.ConnectorConfig.Password.Reveal())
				more = func(id string) error {
					if err := hardware.Put(id, "/usr/local/bin/nestd", program); err != nil {
						return err
					}
					return hardware.Run(id, script)
				}
			}
			cloud := fakeasg.Start(t, fakeasg.Settings{Name: a.PluginConfig["name"].(string), Region: "us-west-2", AccessKey: "AKIAOFTHEPROFILE", Hooks: asGroup(hardware, more)})
			w.start(helperBinary(t), withGroups(t, "aws", cloud.URL()))
			e.runs(w, func() (live []string) {
				for _, i := range cloud.Live() {
					live = append(live, i.ID)
				}
				return live
			})
		})
	}
}
