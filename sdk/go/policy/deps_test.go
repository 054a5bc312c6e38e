package policy

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestGuestsStaySmall checks what a guest links of the SDK: no reflection and what is built on it, and no library. TinyGo users want it
// so, and each of these costs every guest some hundred kilobytes.
func TestGuestsStaySmall(t *testing.T) {
	for _, name := range []string{"policy", "driver", "host"} {
		cmd := exec.Command("go", "list", "-deps", "github.com/millwright-ci/millwright/sdk/go/"+name)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		for _, unwanted := range []string{"fmt", "reflect", "encoding/json", "encoding/binary", "os", "net/http", "time"} {
			if slices.Contains(deps, unwanted) {
				t.Errorf("sdk/go/%s links %s", name, unwanted)
			}
		}
		for _, dep := range deps {
			if strings.Contains(dep, ".") && !strings.HasPrefix(dep, "github.com/millwright-ci/millwright/sdk/go/") {
				t.Errorf("sdk/go/%s links the library %s", name, dep)
			}
		}
	}
}
