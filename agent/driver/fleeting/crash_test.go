package fleeting

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
)

// asAgent is the variable that makes the test binary a small agent over the plug-in at its value; asAgent+"_CONFIG" is its plugin_config.
const asAgent = "MILLWRIGHT_TEST_FLEETING_AGENT"

// agentMain keeps a plug-in until it is killed.
func agentMain(path string) {
	var conf map[string]any
	if err := json.Unmarshal([]byte(os.Getenv(asAgent+"_CONFIG")), &conf); err != nil {
		panic(err)
	}
	g := New(Options{Plugin: "mwtest", Find: func() (string, error) { return path, nil }, Config: conf})
	if _, err := g.Info(context.Background()); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	select {}
}

// running tells whether a process runs; one that ended and was not waited for does not.
func running(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if runtime.GOOS == "linux" {
			return false
		}
		return exec.Command("kill", "-0", strconv.Itoa(pid)).Run() == nil
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// However the agent dies, its plug-ins do too.
func TestAgentDies(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	c := fleetingtest.Start(t)
	conf, err := json.Marshal(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asAgent+"="+fleetingtest.Binary(t), asAgent+"_CONFIG="+string(conf))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if n, err := out.Read(make([]byte, 16)); n == 0 {
		t.Fatal(err)
	}
	plugin := pid(t, c)
	if !running(plugin) {
		t.Fatal("it does not run")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the plug-in's end", func() bool { return !running(plugin) })
}
