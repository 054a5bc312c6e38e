package moduletest

// The probe in agent/module/testdata, which no pattern matches, is built on it: named here, `go mod tidy` keeps it.
import _ "github.com/extism/go-pdk"
