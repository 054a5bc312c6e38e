package cloudinit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var bootstrap = abi.Bootstrap{AuthorizedKey: "ssh-ed25519 KEY agent\n", HostKeyPrivate: "PRIVATE\nEND\n", HostKeyPublic: "ssh-ed25519 HOST m1"}

// TestLogin reads back what cloud-init would: as YAML, it is the host key and a user.
func TestLogin(t *testing.T) {
	for user, sudo := range map[string]string{"root": "", "builder": "ALL=(ALL) NOPASSWD:ALL"} {
		var got struct {
			Delete   bool `yaml:"ssh_deletekeys"`
			Disable  bool `yaml:"disable_root"`
			HostKeys struct {
				Private string `yaml:"ed25519_private"`
				Public  string `yaml:"ed25519_public"`
			} `yaml:"ssh_keys"`
			Users []any `yaml:"users"`
			Merge []struct {
				Name     string   `yaml:"name"`
				Settings []string `yaml:"settings"`
			} `yaml:"merge_how"`
		}
		if err := yaml.UnmarshalWithOptions([]byte(cloudinit.Login(bootstrap, user)), &got, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		if !got.Delete || got.Disable || got.HostKeys.Private != "PRIVATE\nEND\n" || got.HostKeys.Public != "ssh-ed25519 HOST m1" || len(got.Merge) != 2 {
			t.Errorf("%s: %+v", user, got)
		}
		if len(got.Users) != 2 || got.Users[0] != "default" {
			t.Fatalf("%s: the users are %v", user, got.Users)
		}
		u, _ := got.Users[1].(map[string]any)
		keys, _ := u["ssh_authorized_keys"].([]any)
		if given, _ := u["sudo"].(string); u["name"] != user || given != sudo || len(keys) != 1 || keys[0] != "ssh-ed25519 KEY agent" {
			t.Errorf("%s: the user is %v", user, u)
		}
	}
}

func TestJoin(t *testing.T) {
	config := cloudinit.HostKey(bootstrap)
	if want := "#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n    PRIVATE\n    END\n  ed25519_public: ssh-ed25519 HOST m1\n"; config != want {
		t.Errorf("got %q", config)
	}
	if got := cloudinit.Join(config, ""); got != config {
		t.Errorf("got %q", got)
	}
	both := cloudinit.Join(config, "#!/bin/sh\nhostname")
	theirs, ours := strings.Index(both, "\n\n#!/bin/sh\nhostname\n--"), strings.Index(both, "Content-Type: text/cloud-config; charset=\"utf-8\"\nMIME-Version: 1.0\n\n"+config)
	if theirs < 0 || ours < theirs || !strings.HasSuffix(both, "==--\n") {
		t.Errorf("got %q", both)
	}
	if archive := "Content-Type: multipart/mixed; boundary=x\n\n"; cloudinit.Join(config, archive) != archive {
		t.Error("an archive is changed")
	}
}

// TestJoinScripts has scripts of ours beside the configuration, in their order and before nothing of the operator's.
func TestJoinScripts(t *testing.T) {
	got := cloudinit.JoinScripts("#cloud-config\n", "#!/bin/sh\ntheirs", "#!/bin/sh\none", "", "#!/bin/sh\ntwo")
	at := -1
	for _, part := range []string{"theirs", "#cloud-config", "text/x-shellscript; charset=\"utf-8\"\nMIME-Version: 1.0\n\n#!/bin/sh\none", "text/x-shellscript; charset=\"utf-8\"\nMIME-Version: 1.0\n\n#!/bin/sh\ntwo"} {
		i := strings.Index(got, part)
		if i <= at {
			t.Errorf("%q is out of place in %q", part, got)
		}
		at = i
	}
	if strings.Count(got, "text/x-shellscript") != 2 {
		t.Errorf("an empty script is a part: %q", got)
	}
}

// TestEnd runs the script with a shutdown that only tells: the machine ends in time, at once when the time is over, and a time is a time alone.
func TestEnd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the script is for Linux")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shutdown"), []byte("#!/bin/sh\necho \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   string
		want []string
	}{
		{time.Now().Add(2*time.Hour + 30*time.Second).UTC().Format(time.RFC3339), []string{"-P +120\n", "-P +119\n"}},
		{time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), []string{"-P +1\n"}},
		{time.Now().Add(time.Hour+30*time.Second).UTC().Format(time.RFC3339) + "'; reboot '", []string{"-P +60\n", "-P +59\n"}},
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", cloudinit.End(tt.at))
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err != nil || !slices.Contains(tt.want, string(out)) {
			t.Errorf("%s: %q, %v; want one of %q", tt.at, out, err, tt.want)
		}
	}
	if got := cloudinit.End(""); got != "" {
		t.Errorf("without a time: %q", got)
	}
}
