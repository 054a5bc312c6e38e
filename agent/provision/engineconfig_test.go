package provision

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestDaemonJSON(t *testing.T) {
	ours := map[string]any{
		"hosts":     []any{"tcp://0.0.0.0:2376", "unix:///var/run/docker.sock"},
		"tlsverify": true, "tlscacert": "/etc/docker/ca.pem", "tlscert": "/etc/docker/server.pem", "tlskey": "/etc/docker/server-key.pem",
		"labels": []any{"provider=google"},
	}
	for _, tt := range []struct {
		name    string
		options abi.Options
		image   string
		want    map[string]any // beside ours
		flags   string         // what goes to the command line
		err     string
	}{
		{name: "nothing asked"},
		{name: "all lists", options: abi.Options{
			"engine-registry-mirror":   {"https://a.example", "http://b.example:5000"},
			"engine-insecure-registry": {"c.example:5000"},
			"engine-label":             {"tier=ci", "zone=a=b"},
			"engine-storage-driver":    {"overlay2"},
		}, want: map[string]any{
			"registry-mirrors": []any{"https://a.example", "http://b.example:5000"}, "insecure-registries": []any{"c.example:5000"},
			"labels": []any{"provider=google", "tier=ci", "zone=a=b"}, "storage-driver": "overlay2",
		}},
		{name: "the image's own words stay", image: `{"data-root": "/data", "registry-mirrors": ["https://old"], "labels": ["a=1", "provider=x"], "tls": true, "hosts": ["fd://"]}`,
			options: abi.Options{"engine-registry-mirror": {"https://new"}},
			want:    map[string]any{"data-root": "/data", "registry-mirrors": []any{"https://new", "https://old"}, "labels": []any{"a=1", "provider=google"}}},
		{name: "flags push keys out", image: `{"mtu": 1500, "dns-opts": ["x"], "log-opts": {"max-size": "1m"}, "debug": false}`,
			options: abi.Options{"engine-opt": {"mtu=1400", "log-opt=max-size=10m", "--experimental", "D"}},
			want:    map[string]any{"dns-opts": []any{"x"}}, flags: "--mtu=1400 --log-opt=max-size=10m --experimental --D"},
		{name: "flags that have options of their own", options: abi.Options{"engine-opt": {"registry-mirror=https://a", "label=x=y", "s=vfs", "insecure-registry=b"}},
			want: map[string]any{"registry-mirrors": []any{"https://a"}, "insecure-registries": []any{"b"}, "labels": []any{"provider=google", "x=y"}, "storage-driver": "vfs"}},
		{name: "image with junk", image: `[1]`, err: "daemon.json is no JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parseEngineOptions("google", tt.options)
			if err != nil {
				t.Fatal(err)
			}
			out, err := o.daemonJSON([]byte(tt.image), "2376")
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("err = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{}
			for k, v := range ours {
				want[k] = v
			}
			for k, v := range tt.want {
				want[k] = v
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			var flags []string
			for _, f := range o.flags {
				flags = append(flags, f.String())
			}
			if got := strings.Join(flags, " "); got != tt.flags {
				t.Errorf("flags %q, want %q", got, tt.flags)
			}
		})
	}
}

func TestValidateOptions(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options abi.Options
		want    string // option: part of the message; "" when all is well
	}{
		{"none", nil, ""},
		{"a driver's", abi.Options{"google-zone": {"a\nb"}}, ""},
		{"label without value", abi.Options{"engine-label": {"x"}}, "engine-label: give key=value"},
		{"label in an opt", abi.Options{"engine-opt": {"label=x"}}, "engine-opt: give key=value"},
		{"env without name", abi.Options{"engine-env": {"=x"}}, "engine-env: give KEY=value"},
		{"env with a shell in its name", abi.Options{"engine-env": {"A$(id)=x"}}, "engine-env: give KEY=value"},
		{"mirror without scheme", abi.Options{"engine-registry-mirror": {"mirror:5000"}}, "engine-registry-mirror: give a URL"},
		{"opt with spaces", abi.Options{"engine-opt": {"mtu 1400"}}, "engine-opt: give flag=value"},
		{"opt that opens the engine", abi.Options{"engine-opt": {"host=tcp://0.0.0.0:2375"}}, "engine-opt: the agent sets that itself"},
		{"opt that opens TLS", abi.Options{"engine-opt": {"--tlsverify=false"}}, "engine-opt: the agent sets that itself"},
		{"line break", abi.Options{"engine-env": {"A=b\nExecStartPre=/bin/evil"}}, "engine-env: line break"},
		{"swarm", abi.Options{"swarm": {"true"}}, "swarm: Swarm is gone"},
		{"swarm off", abi.Options{"swarm": {"false"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			problems := ValidateOptions(tt.options)
			if tt.want == "" {
				if len(problems) > 0 {
					t.Errorf("problems = %v", problems)
				}
				return
			}
			option, message, _ := strings.Cut(tt.want, ": ")
			if len(problems) != 1 || problems[0].Option != option || !strings.Contains(problems[0].Message, message) {
				t.Errorf("problems = %+v, want %q", problems, tt.want)
			}
		})
	}
}

var hostile = []string{"", "plain", "it's", `"`, "$(id)", "`id`", "a b", `\`, `\n`, "%h", "$HOME", "-n", "a;b|c&d", "é", "*", "!x"}

func TestShellQuote(t *testing.T) {
	sh := need.Command(t, "sh")
	for _, s := range hostile {
		out, err := exec.Command(sh, "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q came out as %q (%v)", s, out, err)
		}
	}
}

func TestStartScriptQuotes(t *testing.T) {
	sh := need.Command(t, "sh")
	for _, s := range hostile {
		o := engineOptions{env: []string{"PROBE=" + s}, flags: []engineFlag{{name: "x", value: s}}}
		script := strings.Replace(string(o.startScript("dockerd")), "echo $$ > /run/millwright-engine.pid\nexec 'dockerd'", `printf '%s|%s' "$PROBE"`, 1)
		out, err := exec.Command(sh, "-c", script).Output()
		if want := s + "|--x=" + s; err != nil || string(out) != want {
			t.Errorf("got %q (%v), want %q", out, err, want)
		}
	}
}

func TestDropIn(t *testing.T) {
	o := engineOptions{env: []string{"HTTP_PROXY=http://u:p%20w@proxy", `A="q" $x`}, flags: []engineFlag{{name: "mtu", value: "1400"}, {name: "log-opt", value: `tag=$a "b" %h\`}}}
	want := `# Written by Millwright.
[Service]
ExecStart=
ExecStart="/usr/bin/dockerd" "--mtu=1400" "--log-opt=tag=$$a \"b\" %%h\\"
Environment="HTTP_PROXY=http://u:p%%20w@proxy"
Environment="A=\"q\" $x"
`
	if diff := cmp.Diff(want, string(o.dropIn("/usr/bin/dockerd"))); diff != "" {
		t.Error(diff)
	}
}
