package provision

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFacts(t *testing.T) {
	out := "Last login: today\n==m os-release\nID=ubuntu\nPRETTY_NAME=\"Ubuntu 24.04 LTS\"\n\n==m arch\naarch64\n==m dockerd\n/usr/bin/dockerd\n" +
		"==m init\nsystemd\n==m daemon.json\n{\n \"a\": 1\n}\n\n==m end\n"
	got, err := parseFacts(out, "==m")
	if err != nil {
		t.Fatal(err)
	}
	want := facts{os: osRelease{ID: "ubuntu", Name: "Ubuntu 24.04 LTS"}, arch: "aarch64", dockerd: "/usr/bin/dockerd", init: "systemd", daemonJSON: []byte("{\n \"a\": 1\n}")}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(facts{}, osRelease{})); diff != "" {
		t.Error(diff)
	}
	if _, err := parseFacts(strings.TrimSuffix(out, "==m end\n"), "==m"); err == nil {
		t.Error("a probe that was cut short went through")
	}
}

func TestParseOSRelease(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       osRelease
		says       string
	}{
		{"debian", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n",
			osRelease{ID: "debian", VersionID: "12", Name: "Debian GNU/Linux 12 (bookworm)"}, "Debian GNU/Linux 12 (bookworm)"},
		{"rocky", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.4'\n",
			osRelease{ID: "rocky", Like: []string{"rhel", "centos", "fedora"}, VersionID: "9.4"}, "rocky 9.4"},
		{"equals signs, comments, escapes", "# ID=no\nPRETTY_NAME=\"A \\\"B\\\" = C\"\nBUG_URL=\"https://x?a=b\"\nID=odd",
			osRelease{ID: "odd", Name: `A "B" = C`}, `A "B" = C`},
		{"nothing", "", osRelease{ID: "linux"}, "linux"},
		{"junk", "\x00\xff===\n=\n", osRelease{ID: "linux"}, "linux"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := parseOSRelease(tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if got.String() != tt.says {
				t.Errorf("says %q, want %q", got, tt.says)
			}
		})
	}
}
