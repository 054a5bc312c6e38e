package meter

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// specScript is a script of the specification's test suite, as wast2json writes it.
type specScript struct {
	Commands []struct {
		Type     string
		Filename string
		Line     int
		Action   struct {
			Type, Module, Field string
			Args                []specValue
		}
	}
}

// specValue is a number in decimal, as text, or a vector as a list of them.
type specValue struct {
	Value json.RawMessage
}

// TestSpecification runs the specification's own test suite, of version 2.0, which comes with the engine's source: each call that it
// makes must give the same with the meter as without, bit by bit. Whether that is what the suite expects is the engine's affair.
func TestSpecification(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some ten seconds")
	}
	need.Command(t, "go")
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	suite := filepath.Join(strings.TrimSpace(string(dir)), "internal", "integration_test", "spectest", "v2", "testdata")
	need.File(t, filepath.Join(suite, "br_table.json"), "it comes with wazero's source; run `go mod download` without vendoring")
	scripts, err := filepath.Glob(filepath.Join(suite, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	modules, calls, traps := 0, 0, 0
	for _, path := range scripts {
		rt := specRuntime(t)
		var pair []api.Module // the module at hand, plain and metered; none when it needs more than functions
		for _, c := range readScript(t, path).Commands {
			switch {
			case c.Type == "module":
				if pair = startPair(t, rt, filepath.Join(suite, c.Filename)); pair != nil {
					modules++
				}
			case pair == nil || c.Action.Type != "invoke" || c.Action.Module != "" || pair[0].ExportedFunction(c.Action.Field) == nil:
			default:
				calls++
				if !sameCall(t, pair, filepath.Base(path)+":"+strconv.Itoa(c.Line), c.Action.Field, specArgs(t, c.Action.Args)) {
					traps++
				}
			}
		}
		if err := rt.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d modules, %d calls, of which %d trapped", modules, calls, traps)
	if modules < 1000 || calls < 40_000 || traps < 1000 {
		t.Error("that is not the whole suite")
	}
}

func readScript(t *testing.T, path string) specScript {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var s specScript
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// startPair instantiates a module twice, or returns nil when this package does not know what it imports.
func startPair(t *testing.T, rt wazero.Runtime, path string) []api.Module {
	t.Helper()
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil // modules in text form have no file
	}
	metered, err := Rewrite(wasm, Options{})
	if err != nil {
		if !strings.Contains(err.Error(), "is no function") {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
		return nil
	}
	start := func(code []byte) (api.Module, error) {
		return rt.InstantiateWithConfig(With(t.Context(), &Meter{}), code, wazero.NewModuleConfig().WithName(""))
	}
	plain, plainErr := start(wasm)
	mod, err := start(metered)
	if (err == nil) != (plainErr == nil) {
		t.Errorf("%s: plain it starts with %v, metered with %v", filepath.Base(path), plainErr, err)
	}
	if err != nil || plainErr != nil {
		return nil
	}
	return []api.Module{plain, mod}
}

// specRuntime offers the functions that the suite's modules import; they do nothing.
func specRuntime(t *testing.T) wazero.Runtime {
	t.Helper()
	rt := newRuntime(t, t.Context())
	builder := rt.NewHostModuleBuilder("spectest").
		NewFunctionBuilder().WithFunc(func() {}).Export("print").
		NewFunctionBuilder().WithFunc(func(uint32) {}).Export("print_i32").
		NewFunctionBuilder().WithFunc(func(uint64) {}).Export("print_i64").
		NewFunctionBuilder().WithFunc(func(float32) {}).Export("print_f32").
		NewFunctionBuilder().WithFunc(func(float64) {}).Export("print_f64").
		NewFunctionBuilder().WithFunc(func(uint32, float32) {}).Export("print_i32_f32").
		NewFunctionBuilder().WithFunc(func(float64, float64) {}).Export("print_f64_f64")
	if _, err := builder.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rt
}

// sameCall calls both and returns whether the plain one returned.
func sameCall(t *testing.T, pair []api.Module, where, export string, args []uint64) bool {
	t.Helper()
	want, wantErr := pair[0].ExportedFunction(export).Call(t.Context(), args...)
	got, err := pair[1].ExportedFunction(export).Call(With(t.Context(), &Meter{}), args...)
	deep := strings.Contains(trapOf(wantErr), "stack overflow") && strings.Contains(trapOf(err), ErrStack.Error())
	if !slices.Equal(got, want) || trapOf(err) != trapOf(wantErr) && !deep {
		t.Errorf("%s: %s%v: plain %v %v, metered %v %v", where, export, args, want, wantErr, got, err)
	}
	return wantErr == nil
}

// specArgs turns values into the engine's: each a word, a vector two of them.
func specArgs(t *testing.T, values []specValue) []uint64 {
	t.Helper()
	var args []uint64
	for _, v := range values {
		var one string
		if json.Unmarshal(v.Value, &one) == nil {
			args = append(args, specNumber(t, one))
			continue
		}
		var lanes []string
		if err := json.Unmarshal(v.Value, &lanes); err != nil {
			t.Fatal(err)
		}
		var vector [16]byte
		for i, lane := range lanes {
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], specNumber(t, lane))
			copy(vector[i*16/len(lanes):], word[:16/len(lanes)])
		}
		args = append(args, binary.LittleEndian.Uint64(vector[:]), binary.LittleEndian.Uint64(vector[8:]))
	}
	return args
}

// specNumber reads the bits of a number, as the suite writes them.
func specNumber(t *testing.T, text string) uint64 {
	t.Helper()
	if text == "null" {
		return 0
	}
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return uint64(v)
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
