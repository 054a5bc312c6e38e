package docker

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
)

// silent is a console that nobody reads.
type silent struct{ warnings []string }

func (*silent) Println(string)       {}
func (*silent) Infoln(string)        {}
func (s *silent) Warningln(t string) { s.warnings = append(s.warnings, t) }
func (*silent) Errorln(string)       {}

func TestServiceAliases(t *testing.T) {
	for _, tt := range []struct {
		image, alias string
		want         []string
	}{
		{"postgres:17", "db,db2", []string{"postgres", "db", "db2"}},
		{"reg.x:5000/a/b:1", "", []string{"reg.x__a__b", "reg.x-a-b"}},
		{"tutum/wordpress", "wp  wp,blog", []string{"tutum__wordpress", "tutum-wordpress", "wp", "blog"}},
		{"docker.io/library/redis@sha256:" + strings.Repeat("a", 64), "", []string{"redis"}},
	} {
		if diff := cmp.Diff(tt.want, serviceAliases(tt.image, tt.alias)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.image, diff)
		}
	}
}

func TestCredentials(t *testing.T) {
	r := newResolver(Auth{
		Variable: config.Secret(`{"auths":{"reg.x":{"auth":"dmFyOnNlY3JldA=="},"https://index.docker.io/v1/":{"username":"hub","password":"p"}}}`),
		Payload:  []Credential{{Path: "reg.x", Username: "payload"}, {Path: "reg.x/team", Username: "team"}, {Path: "reg.x:5000", Username: "port"}},
	}, &silent{})
	for _, tt := range []struct{ image, user, source string }{
		{"reg.x/team/a", "team", "job payload (GitLab Registry)"},
		{"reg.x/team/sub/a:1", "team", "job payload (GitLab Registry)"},
		{"reg.x/teams/a", "var", "$DOCKER_AUTH_CONFIG"},
		{"reg.x/other", "var", "$DOCKER_AUTH_CONFIG"},
		{"reg.x:5000/other", "port", "job payload (GitLab Registry)"},
		{"alpine", "hub", "$DOCKER_AUTH_CONFIG"},
		{"other.x/a", "", ""},
	} {
		c, _ := r.find(t.Context(), tt.image)
		if c.Username != tt.user || c.source != tt.source {
			t.Errorf("%s: got %q of %q, want %q of %q", tt.image, c.Username, c.source, tt.user, tt.source)
		}
	}
	if c, _ := r.find(t.Context(), "reg.x/other"); c.Password != "secret" {
		t.Error("the password of auth was not decoded")
	}
	s := &silent{}
	newResolver(Auth{Variable: "{"}, s)
	newResolver(Auth{Variable: `{"credHelpers":{"reg.x":"../evil"}}`}, s)
	if len(s.warnings) != 2 {
		t.Errorf("got warnings %q, want one of bad JSON and one of a path", s.warnings)
	}
}

func TestHostConfig(t *testing.T) {
	yes, no := true, false
	c := &config.Docker{
		Privileged: true, ServicesPrivileged: &no, AllowedPrivilegedImages: []string{"safe/**"}, CapAdd: []string{"NET_ADMIN"}, PidMode: "host",
		Memory: "1g", MemorySwap: "-1", CPUS: "3/2", ServiceMemory: "64m", Ulimit: map[string]string{"nofile": "1024:2048"},
		Devices: []string{"/dev/kvm", "/dev/a:/dev/b:r"}, Gpus: "all", ServiceGpus: `"device=0,1"`, ShmSize: 5, DNS: []string{"10.0.0.1"},
		ExtraHosts: []string{"a:1.2.3.4"}, NetworkMode: "host", SecurityOpt: []string{"seccomp=unconfined"}, Tmpfs: map[string]string{"/run": ""}, OomKillDisable: true,
	}
	host := func(r role, image string) *container.HostConfig {
		t.Helper()
		h, err := hostConfig(c, r, image, true)
		if err != nil {
			t.Fatal(err)
		}
		if h.ShmSize != 5 || h.DNS[0] != "10.0.0.1" || h.ExtraHosts[0] != "a:1.2.3.4" || h.NetworkMode != "host" || h.LogConfig.Type != "local" {
			t.Errorf("%s lacks what all containers get: %+v", r, h)
		}
		return h
	}
	b := host(buildRole, "safe/a:1")
	if !b.Privileged || b.CapAdd[0] != "NET_ADMIN" || b.PidMode != "host" || b.Memory != 1<<30 || b.MemorySwap != -1 || b.NanoCPUs != 15e8 || !*b.Init || !*b.OomKillDisable {
		t.Errorf("build: %+v", b)
	}
	if u := b.Ulimits[0]; u.Name != "nofile" || u.Soft != 1024 || u.Hard != 2048 {
		t.Errorf("ulimit %+v", u)
	}
	if d := b.Devices; d[0].CgroupPermissions != "rwm" || d[1].PathInContainer != "/dev/b" || d[1].CgroupPermissions != "r" || b.DeviceRequests[0].Count != -1 {
		t.Errorf("devices %+v %+v", d, b.DeviceRequests)
	}
	if host(buildRole, "other").Privileged {
		t.Error("an image that is not on the list is privileged")
	}
	if h := host(helperRole, "safe/helper"); h.PidMode != "" || h.Init != nil || h.Memory != 1<<30 {
		t.Errorf("helper: %+v", h)
	}
	s := host(serviceRole, "safe/a")
	if s.Privileged || s.CapAdd != nil || s.Memory != 64<<20 || s.Ulimits != nil || !cmp.Equal(s.DeviceRequests[0].DeviceIDs, []string{"0", "1"}) || s.Tmpfs != nil {
		t.Errorf("service: %+v", s)
	}
	c.ServicesPrivileged = &yes
	if !host(serviceRole, "x").Privileged {
		t.Error("the service is not privileged")
	}
	c.LogOptions = map[string]string{"env": "A"}
	if h, err := hostConfig(c, buildRole, "x", false); err != nil || h.LogConfig.Type != "json-file" {
		t.Errorf("log options: %+v, %v", h.LogConfig, err)
	}
}

// Who may do everything: the lists hold the names as the job writes them. Engines inside containers can't show it.
func TestPrivileged(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name                   string
		c                      config.Docker
		build, helper, service bool
	}{
		{name: "nobody"},
		{name: "all", c: config.Docker{Privileged: true}, build: true, helper: true, service: true},
		{name: "services alone", c: config.Docker{ServicesPrivileged: &yes}, service: true},
		{name: "not services", c: config.Docker{Privileged: true, ServicesPrivileged: &no}, build: true, helper: true},
		{name: "listed ones", c: config.Docker{Privileged: true, AllowedPrivilegedImages: []string{"team/*:*"}, AllowedPrivilegedServices: []string{"docker:*"}}, build: true},
		{name: "a listed service", c: config.Docker{Privileged: true, AllowedPrivilegedImages: []string{"docker:*"}, AllowedPrivilegedServices: []string{"team/**"}}, service: true},
	} {
		for role, want := range map[role]bool{buildRole: tt.build, helperRole: tt.helper, serviceRole: tt.service} {
			image := "team/app:1"
			if role == helperRole {
				image = "sha256:" + strings.Repeat("a", 64)
			}
			if h, err := hostConfig(&tt.c, role, image, false); err != nil || h.Privileged != want {
				t.Errorf("%s: %s: privileged is %v, %v; want %v", tt.name, role, h.Privileged, err, want)
			}
		}
	}
}

func TestNames(t *testing.T) {
	n := Name{ShortToken: "t9Wkyj-_H", Token: "tok", SystemID: "s_1", ProjectID: 42, Slot: 3, ProjectSlot: 0, JobID: 7}
	base := n.base("0123abcd")
	if base != "runner-t9wkyj--h-project-42-concurrent-3-0123abcd" {
		t.Errorf("got %s", base)
	}
	n.ShortToken = strings.Repeat("X", 80)
	if base := n.base("0123abcd"); len(base) > 63 || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`).MatchString(base) {
		t.Errorf("%q is no host name", base)
	}
	// SHA-256 of tok-s_1-42-0 and MD5 of /cache, worked out with coreutils.
	if stem := n.cacheStem(); stem != "runner-3cb7f1c2c51e9be4a420039f13a57f71" {
		t.Errorf("stem %s", stem)
	}
	if got := cacheName("/cache", true); got != "3c3f060a0374fc8bc39395164f415a70-protected" {
		t.Errorf("name %s", got)
	}
}

func TestPullClasses(t *testing.T) {
	for text, want := range map[string]executor.Kind{
		"Get https://x/v2/: dial tcp: lookup x: no such host":    executor.External,
		"manifest for x:y not found: manifest unknown":           executor.Configuration,
		"pull access denied for x, repository does not exist":    executor.Configuration,
		"toomanyrequests: You have reached your pull rate limit": executor.ImagePull,
		"net/http: TLS handshake timeout":                        executor.External,
		"unauthorized: authentication required":                  executor.Configuration,
		"failed to register layer: no space left on device":      executor.Engine,
	} {
		var kind *executor.Error
		if err := classifyPull(errors.New(text)); !errors.As(err, &kind) || kind.Kind != want || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want kind %s with the text", text, err, want)
		}
	}
}
