//go:build vm

package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// TestVM has a virtual machine of QEMU, with a kernel of its own, systemd and cloud-init, for the driver generic: the agent provisions it, its
// host key known beforehand, and a job of the embedded coordinator runs on it. Its network leads nowhere, so that the job's image is preloaded.
func TestVM(t *testing.T) {
	base := filepath.Join(repository, ".cache", "vm")
	need.File(t, filepath.Join(base, "base.qcow2"), "`go tool task e2e:vm` builds it")
	binary := millwright(t)
	start := time.Now()
	dir := t.TempDir()
	user, host := newSSHKey(t, filepath.Join(dir, "id_ed25519")), newSSHKey(t, filepath.Join(dir, "host_ed25519"))
	sshPort, enginePort := freePort(t), freePort(t)
	v := boot(t, base, dir, userData(user, host), sshPort, enginePort)

	image := dockertest.Busybox(t)
	w := newAgentWorld(t)
	w.binary = binary
	store := filepath.Join(w.state, "store")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	known := fmt.Sprintf("[127.0.0.1]:%d %s\n", sshPort, host.public)
	writeText(t, filepath.Join(store, "known_hosts"), known)
	writeText(t, filepath.Join(filepath.Dir(w.config), "millwright.toml"), fmt.Sprintf("[runners.vm]\npreload = [%q]\n", saveImage(t, image, dir)))
	w.write(fmt.Sprintf(`concurrent = 1
check_interval = 1
[[runners]]
  name = "vm"
  url = %q
  token = %q
  executor = "docker+machine"
  limit = 1
  [runners.docker]
    image = %q
    pull_policy = "if-not-present"
    wait_for_services_timeout = 300
  [runners.machine]
    IdleCount = 1
    IdleTime = 3600
    MachineDriver = "generic"
    MachineName = "vm-%%s"
    MachineOptions = ["generic-ip-address=127.0.0.1", "generic-ssh-port=%d", "generic-ssh-key=%s", "generic-engine-port=%d"]
`, w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), image, sshPort, user.path, enginePort))
	id := w.coordinator.Enqueue(coordinator.Job{
		Info:      coordinator.JobInfo{Name: "on a real kernel", Stage: "test", ProjectID: 3, PipelineID: 5},
		Image:     &coordinator.Image{Name: image},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
		Steps:     []coordinator.Step{{Name: "script", Script: []string{"echo the kernel is $(uname -r)"}}},
	})
	p := w.run()
	r := w.ended(p, id)
	t.Logf("%s: from power-on to the job's end %v", v.accel, time.Since(start).Round(time.Second))
	for line := range strings.Lines(p.text()) {
		if strings.Contains(line, "machine provisioned") || strings.Contains(line, "Machine created") {
			t.Log(strings.TrimSpace(line))
		}
	}
	trace, err := w.coordinator.Trace(id)
	if err != nil || r.State != embedded.Success || !strings.Contains(string(trace), "cloud-amd64") {
		t.Errorf("%s %s, %v\n%s\n%s", r.State, r.FailureReason, err, trace, p.text())
	}
}

// sshKey is one that lies in a file.
type sshKey struct {
	path, public, private string
}

func newSSHKey(t *testing.T, path string) sshKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k := sshKey{path: path, public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), private: string(pem.EncodeToMemory(block))}
	writeText(t, path, k.private)
	return k
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// userData is an operator's, for cloud-init.
func userData(user, host sshKey) string {
	return "#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n    " + strings.ReplaceAll(strings.TrimSpace(host.private), "\n", "\n    ") +
		"\n  ed25519_public: " + host.public + "\ndisable_root: false\nusers:\n  - name: root\n    ssh_authorized_keys:\n      - " + user.public + "\n"
}

// saveImage writes an image of the local engine into a file.
func saveImage(t *testing.T, image, dir string) string {
	t.Helper()
	saved, err := dockertest.Engine(t).ImageSave(t.Context(), []string{image})
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	path := filepath.Join(dir, "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, saved); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// vm is a virtual machine that runs until the test ends.
type vm struct {
	accel string // kvm or tcg
}

// probeTime is how long a kernel under KVM gets to say its first word. One that hangs, as it does where virtualisation is nested without the
// processor's help, never says one, though /dev/kvm opens.
const probeTime = 20 * time.Second

// boot starts a machine on a fresh copy of the base image: under KVM if a kernel gets anywhere there, and else emulated.
func boot(t *testing.T, base, dir, userData string, sshPort, enginePort int) vm {
	t.Helper()
	qemu := need.Command(t, "qemu-system-x86_64")
	seed := filepath.Join(dir, "seed")
	if err := os.Mkdir(seed, 0o700); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(seed, "user-data"), userData)
	writeText(t, filepath.Join(seed, "meta-data"), "instance-id: vm-1\nlocal-hostname: vm\n")
	absolute, err := filepath.Abs(base)
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk.qcow2")
	if out, err := exec.Command(need.Command(t, "qemu-img"), "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", filepath.Join(absolute, "base.qcow2"), disk).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	serial := filepath.Join(dir, "serial")
	power := func(accel ...string) (stop func(), ended <-chan struct{}) {
		cmd := exec.Command(qemu, append(accel, "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:"+serial,
			"-kernel", filepath.Join(absolute, "vmlinuz"), "-initrd", filepath.Join(absolute, "initrd"),
			"-append", "root=/dev/vda rw console=ttyS0 loglevel=4 net.ifnames=0 apparmor=0 ds=nocloud",
			"-drive", "file="+disk+",format=qcow2,if=virtio,cache=unsafe",
			"-drive", "driver=vvfat,dir="+seed+",label=cidata,if=virtio,read-only=on",
			"-netdev", fmt.Sprintf("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22,hostfwd=tcp:127.0.0.1:%d-:%d", sshPort, enginePort, enginePort),
			"-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci")...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive the test, however that ends
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = cmd.Wait() // the console tells why
		}()
		return func() {
			_ = cmd.Process.Kill() // it may have ended
			<-done
			t.Logf("its processor time was %v", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Second))
			if said.Len() > 0 {
				t.Log(said.String())
			}
		}, done
	}
	t.Cleanup(func() {
		if text, err := os.ReadFile(serial); err == nil && t.Failed() {
			t.Logf("the console:\n%s", text[max(0, len(text)-8000):])
		}
	})
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
		f.Close()
		stop, ended := power("-accel", "kvm", "-cpu", "host")
		limit, look := time.After(probeTime), time.NewTicker(200*time.Millisecond)
		defer look.Stop()
	probe:
		for {
			select {
			case <-ended:
				break probe
			case <-limit:
				break probe
			case <-look.C:
			}
			if text, err := os.ReadFile(serial); err == nil && strings.Contains(string(text), "Loading, please wait") {
				t.Cleanup(stop)
				return vm{"kvm"}
			}
		}
		stop()
		t.Logf("no kernel starts under KVM within %s", probeTime)
	}
	stop, _ := power("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max")
	t.Cleanup(stop)
	return vm{"tcg"}
}
