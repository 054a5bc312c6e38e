package fleeting

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(asAgent); path != "" {
		agentMain(path)
		return
	}
	code := m.Run()
	fleetingtest.Clean()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}
