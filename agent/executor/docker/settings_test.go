package docker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// sleeper is a service that does nothing, and goes as soon as it is told.
var sleeper = []string{"sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"}

// inspected are the containers of a job by their label type: build, predefined, service.
func (j *job) inspected(t *testing.T) map[string]container.InspectResponse {
	t.Helper()
	api := dockertest.Engine(t)
	list, err := api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", j.label))})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]container.InspectResponse{}
	for _, c := range list {
		info, err := api.ContainerInspect(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		out[c.Labels["com.gitlab.gitlab-runner.type"]] = info
	}
	return out
}

// says runs a script and wants what it prints, blanks aside.
func (j *job) says(t *testing.T, place executor.Place, script, want string) {
	t.Helper()
	stdout, stderr, err := j.script(t.Context(), place, script)
	if got := strings.Join(strings.Fields(stdout), " "); got != want || err != nil {
		t.Errorf("%s: %s: got %q %q, %v; want %q", place, script, got, stderr, err, want)
	}
}

// The keys of [runners.docker], as a script meets them in its container.
func TestSettings(t *testing.T) {
	j := start(t, func(o *docker.Options) {
		c := o.Config
		c.Memory, c.MemorySwap, c.CPUS, c.CPUSetCPUs, c.CPUShares = "96m", "96m", "0.5", "0", 512
		c.ShmSize, c.OomScoreAdjust, c.Ulimit = 16<<20, 300, map[string]string{"nofile": "1000:2000"}
		c.Tmpfs, c.ServicesTmpfs = map[string]string{"/scratch": "rw,size=1m"}, map[string]string{"/theirs": "rw"}
		c.Sysctls = map[string]string{"net.ipv4.ip_default_ttl": "42"}
		c.DNS, c.DNSSearch, c.ExtraHosts = []string{"192.0.2.53"}, []string{"example.test"}, []string{"extra.test:192.0.2.1"}
		c.CapDrop, c.GroupAdd, c.SecurityOpt = []string{"CHOWN"}, []string{"4242"}, []string{"no-new-privileges"}
		c.Devices, c.DeviceCgroupRules = []string{"/dev/null:/dev/nothing:rw"}, []string{"c 1:3 rw"}
		c.ServicesDevices = map[string][]string{"millwright-test/**": {"/dev/null:/dev/theirs"}, "other": {"/dev/nowhere"}}
		c.Hostname, c.MacAddress, c.ContainerLabels = "named", "02:42:ac:11:ff:07", map[string]string{"team": "$NOBODY-x"}
		c.ServiceMemory, c.ServiceCPUS, c.ServiceCPUShares, c.ServiceCPUSetCPUs = "80m", "0.25", 256, "0"
		c.WaitForServicesTimeout = -1
		o.UserOverAny = "1000"
		o.Services = []docker.Service{{Image: docker.Image{Name: o.Image.Name}, Command: sleeper, User: "1000", Env: []string{"OWN=1"}}}
		o.ServiceEnv = []string{"PUBLIC=1"}
	})
	for _, tt := range []struct{ script, want string }{
		{"ulimit -n", "1000"},
		{"ulimit -H -n", "2000"},
		{"df -m /dev/shm | awk 'NR==2{print $2}'", "16"},
		{"df -m /scratch | awk 'NR==2{print $2}'", "1"},
		{"cat /proc/sys/net/ipv4/ip_default_ttl", "42"},
		{"cat /proc/self/oom_score_adj", "300"},
		{"grep -v ^# /etc/resolv.conf", "search example.test nameserver 192.0.2.53"},
		{"awk '$2==\"extra.test\"{print $1}' /etc/hosts", "192.0.2.1"},
		{"cat /sys/class/net/eth0/address", "02:42:ac:11:ff:07"},
		{"hostname", "named"},
		{"grep NoNewPrivs /proc/self/status", "NoNewPrivs: 1"},
		{"echo x >/dev/nothing && test -c /dev/nothing && echo device", "device"},
		{"id -G | tr ' ' '\\n' | grep 4242", "4242"},
		{"grep Cpus_allowed_list /proc/self/status", "Cpus_allowed_list: 0"},
	} {
		j.says(t, executor.Build, tt.script, tt.want)
	}
	j.says(t, executor.Build, "id -u", "1000")
	j.says(t, executor.Helper, "id -u; hostname; ulimit -n", "0 named 1000")
	j.says(t, executor.Helper, "touch /tmp/f; chown 5 /tmp/f 2>/dev/null || echo refused", "refused")
	all := j.inspected(t)
	for _, kind := range []string{"build", "predefined"} {
		h := all[kind].HostConfig
		if h.Memory != 96<<20 || h.MemorySwap != 96<<20 || h.NanoCPUs != 5e8 || h.CPUShares != 512 || len(h.DeviceCgroupRules) != 1 || all[kind].Config.Labels["team"] != "-x" {
			t.Errorf("%s: %+v %v", kind, h.Resources, all[kind].Config.Labels)
		}
		if h.RestartPolicy.Name != "no" || h.LogConfig.Type != "local" {
			t.Errorf("%s: restart %q, log %q", kind, h.RestartPolicy.Name, h.LogConfig.Type)
		}
	}
	s := all["service"]
	if h := s.HostConfig; h.Memory != 80<<20 || h.NanoCPUs != 25e7 || h.CPUShares != 256 || h.CpusetCpus != "0" || len(h.CapDrop) > 0 || len(h.Sysctls) > 0 || h.OomScoreAdj != 0 {
		t.Errorf("service: %+v", h)
	}
	if len(s.HostConfig.Devices) != 1 || s.HostConfig.Devices[0].PathInContainer != "/dev/theirs" || s.HostConfig.Tmpfs["/theirs"] != "rw" || s.HostConfig.Tmpfs["/scratch"] != "" {
		t.Errorf("service: devices %v, tmpfs %v", s.HostConfig.Devices, s.HostConfig.Tmpfs)
	}
	if env := strings.Join(s.Config.Env, " "); !strings.HasPrefix(env, "PUBLIC=1 OWN=1") || strings.Contains(env, "FROM_ENGINE") || s.Config.User != "1000" {
		t.Errorf("service: environment %q, user %q", env, s.Config.User)
	}
	labels := s.Config.Labels
	const prefix = "com.gitlab.gitlab-runner."
	if labels["team"] != "-x" || labels[prefix+"team"] != "-x" || labels[prefix+"service"] != "millwright-test/busybox" || labels[prefix+"managed"] != "true" {
		t.Errorf("service: labels %v", labels)
	}
}

// What no container on a machine without GPUs can show, and what the test's own engine may lack: the engine is told all the same.
func TestSettingsTold(t *testing.T) {
	t.Parallel()
	j := start(t, func(o *docker.Options) {
		c := o.Config
		c.Gpus, c.Runtime, c.UsernsMode, c.Isolation, c.IpcMode = `"device=0,1"`, "runc", "host", "default", "private"
		c.LogOptions = map[string]string{"labels": "team"}
	})
	if _, _, err := j.script(t.Context(), executor.Build, "true"); err != nil {
		t.Logf("without such GPUs: %v", err)
	}
	built, ok := j.inspected(t)["build"]
	if !ok {
		t.Fatal("there is no build container")
	}
	h := built.HostConfig
	if len(h.DeviceRequests) != 1 || strings.Join(h.DeviceRequests[0].DeviceIDs, ",") != "0,1" || len(h.DeviceRequests[0].Capabilities) != 1 || h.DeviceRequests[0].Capabilities[0][0] != "gpu" {
		t.Errorf("GPUs: %+v", h.DeviceRequests)
	}
	if h.Runtime != "runc" || h.UsernsMode != "host" || h.Isolation != "default" || h.IpcMode != "private" || h.LogConfig.Config["labels"] != "team" {
		t.Errorf("%+v", h)
	}
}

// The ways of entrypoints: an empty list is none, [""] clears the image's, and an operator may forbid them.
func TestEntrypoint(t *testing.T) {
	for _, tt := range []struct {
		name       string
		entrypoint []string
		forbidden  bool
		want       string
	}{
		{name: "the image's", want: "E"},
		{name: "an empty list", entrypoint: []string{}, want: "E"},
		{name: "cleared", entrypoint: []string{""}, want: ""},
		{name: "the job's", entrypoint: []string{"/bin/sh", "-c", `echo J; exec "$0" "$@"`}, want: "J"},
		{name: "forbidden", entrypoint: []string{""}, forbidden: true, want: "E"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			image := dockertest.Busybox(t, `ENTRYPOINT ["/bin/sh", "-c", "echo E; exec \"$0\" \"$@\""]`)
			j := start(t, func(o *docker.Options) {
				o.Image = docker.Image{Name: image, Entrypoint: tt.entrypoint}
				o.Config.DisableEntrypointOverwrite = tt.forbidden
			})
			for range 2 { // it runs for each stage
				j.says(t, executor.Build, "echo script", strings.TrimSpace(tt.want+" script"))
			}
			if got := strings.Contains(j.console.String(), "WARNING: Entrypoint override disabled"); got != tt.forbidden {
				t.Errorf("warned: %v\n%s", got, j.console)
			}
		})
	}
}

func TestNetworks(t *testing.T) {
	port := strconv.Itoa(20000 + rand.N(10000)) // on this host, for the service that shares its network
	talk := []string{"sh", "-c", "trap 'exit 0' TERM; while :; do echo hello | nc -l -p " + port + " & wait; done"}
	ask := "for i in 1 2 3 4 5 6 7 8 9; do nc -w 5 db " + port + " && break; sleep 1; done"
	for _, tt := range []struct {
		name   string
		ipv6   bool // the kernel must have it
		change func(*docker.Options)
		script string
		want   string
	}{
		{name: "host", change: func(o *docker.Options) { o.Config.NetworkMode = "host" }, script: ask, want: "hello"},
		{name: "per build", change: func(o *docker.Options) { o.Flags.NetworkPerBuild, o.Config.NetworkMTU = true, 1380 },
			script: ask + "; cat /sys/class/net/eth0/mtu", want: "hello 1380"},
		{name: "per build, with IPv6", ipv6: true, change: func(o *docker.Options) { o.Flags.NetworkPerBuild, o.Config.EnableIPv6 = true, true },
			script: ask + "; grep -v '^fe80' /proc/net/if_inet6 | grep -c eth0", want: "hello 1"},
		{name: "none", change: func(o *docker.Options) { o.Config.NetworkMode = "none"; o.Services = nil }, script: "ls /sys/class/net", want: "lo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6"); tt.ipv6 && (err != nil || string(off) != "0\n") {
				t.Skip("the kernel has no IPv6")
			}
			j := start(t, func(o *docker.Options) {
				o.Config.WaitForServicesTimeout = -1
				o.Services = []docker.Service{{Image: docker.Image{Name: o.Image.Name}, Alias: "db", Command: talk}}
				tt.change(o)
			})
			j.says(t, executor.Build, tt.script, tt.want)
		})
	}
}

// The containers of a job, and of its services, are in the groups that are configured for them.
func TestCgroupParent(t *testing.T) {
	info, err := dockertest.Engine(t).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if name, err := os.Hostname(); err != nil || info.Name != name {
		t.Skip("the engine's processes are not this host's")
	}
	stem, end := "millwrighttest"+dockertest.Random(), ""
	if info.CgroupDriver == "systemd" {
		end = ".slice"
	}
	group := func(of string) string { return stem + of + end }
	t.Cleanup(func() { // the engine leaves them behind
		for _, pattern := range []string{"/sys/fs/cgroup/" + stem + "*", "/sys/fs/cgroup/*/" + stem + "*"} {
			left, _ := filepath.Glob(pattern)
			for _, dir := range left {
				_ = os.Remove(dir)
			}
		}
	})
	j := ahead(t, func(o *docker.Options) {
		o.Config.WaitForServicesTimeout = -1
		o.Config.CgroupParent, o.Config.ServiceCgroupParent = group("jobs"), group("services")
		o.Services = []docker.Service{{Image: docker.Image{Name: o.Image.Name}, Command: sleeper}}
	})
	if out, errs, err := j.script(t.Context(), executor.Helper, firstHelper); err != nil { // the build container has been started by then
		t.Fatalf("%q %q, %v", out, errs, err)
	}
	c := j.containers(t)
	for kind, of := range map[string]string{"build": "jobs", "service": "services"} {
		groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c[kind].State.Pid))
		if err != nil || !strings.Contains(string(groups), "/"+group(of)+"/") {
			t.Errorf("the %s container is in %q, %v; want one below %s", kind, groups, err, group(of))
		}
	}
}

// Volumes of every kind, and other containers' ones.
func TestVolumes(t *testing.T) {
	api, image, folder := dockertest.Engine(t), dockertest.Busybox(t), t.TempDir()
	other := "millwright-test-" + dockertest.Random()
	made, err := api.ContainerCreate(t.Context(), &container.Config{Image: image, Cmd: sleeper, Volumes: map[string]struct{}{"/given": {}}}, nil, nil, nil, other)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.ContainerRemove(contextOf(t), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Error(err)
		}
	})
	if err := api.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	j := start(t, func(o *docker.Options) {
		c := o.Config
		c.VolumesFrom, c.Links = []string{other}, []string{other + ":friend"}
		c.Volumes = []string{folder + ":/bound:ro", "/kept", "relative/cache"}
		c.CacheDir = filepath.Join(folder, "caches")
	})
	j.says(t, executor.Build, "for d in /given /bound /kept /builds/group/project/relative/cache /builds; do grep -q \" $d \" /proc/mounts && echo $d; done",
		"/given /bound /kept /builds/group/project/relative/cache /builds")
	j.says(t, executor.Build, "touch /bound/x 2>/dev/null || echo read-only; ping -c1 -W5 friend >/dev/null && echo linked", "read-only linked")
	j.says(t, executor.Helper, "echo shared >/kept/f", "")
	j.says(t, executor.Build, "cat /kept/f", "shared")
	if found, _ := filepath.Glob(folder + "/caches/runner-*/*/f"); len(found) != 1 {
		t.Errorf("the cache directory of the host holds %v", found)
	}
	// A driver of volumes, with options: tmpfs shows that both arrived.
	j = start(t, func(o *docker.Options) {
		o.Config.Volumes, o.Config.DisableCache = []string{"/fast"}, true
		o.Config.VolumeDriver, o.Config.VolumeDriverOps = "local", map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=2m"}
	})
	j.says(t, executor.Build, "df -m /fast | awk 'NR==2{print $1, $2}'", "tmpfs 2")
}

// A service that is configured may say which port tells that it is up; the checking container bears the service's name.
func TestHealthOnNetwork(t *testing.T) {
	j := start(t, func(o *docker.Options) {
		o.Flags.NetworkPerBuild = true
		o.Config.WaitForServicesTimeout = 2
		o.Config.HelperImage = helperImage(t)
		o.Services = []docker.Service{{Image: docker.Image{Name: o.Image.Name}, Alias: "db", Command: sleeper, HealthPort: "8080"}}
	})
	names := fmt.Sprint(j.inspected(t)["wait"].Name)
	if !strings.HasSuffix(names, "-millwright-test__busybox-0-wait-for-service") {
		t.Errorf("the check ran in %s", names)
	}
	if !strings.Contains(j.console.String(), "waiting for TCP connection to millwright-test__busybox on [8080]") {
		t.Errorf("the check did not look at the service by its name:\n%s", j.console)
	}
}

// contextOf is a context for what a test clears when its own is over.
func contextOf(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}

// helperImage makes a helper image of the one program that a check needs.
func helperImage(t *testing.T) string {
	t.Helper()
	return dockertest.Busybox(t, `ENTRYPOINT ["/bin/sh", "-c", "echo \"waiting for TCP connection to $WAIT_FOR_SERVICE_TCP_ADDR on [$WAIT_FOR_SERVICE_8080_TCP_PORT]\"; sleep 100"]`)
}
