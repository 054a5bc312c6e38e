package legacy

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	legacytest.Clean()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}
