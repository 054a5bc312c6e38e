package module

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/agent/garbage"
	"github.com/millwright-ci/millwright/agent/module/configschema"
	"github.com/millwright-ci/millwright/agent/module/meter"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
	"github.com/millwright-ci/millwright/hostfuncs"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
)

// maxWasm is how large a module's file may be, in bytes.
const maxWasm = 64 << 20

// Source is a module to load.
type Source struct {
	Name string // for messages: a file name, or the name of a built-in module
	// Alias is the name that the module goes by, whatever it calls itself; "" leaves it its own.
	Alias string
	Wasm  []byte
	// Hostnames are granted to the module, as httpsend.ParseGrants reads them; none grants nothing.
	Hostnames []string
	Limits    Limits // where they are not the host's: memory and times; a zero field means the host's
	// Private are the ranges of private and loopback addresses that the hostnames may lead to.
	Private []netip.Prefix
	// Credentials are what the module may have its requests signed with, by the names in millwright.toml.
	Credentials map[string]httpsend.CredentialGrant
	// Builtin modules came with the binary and so what they ask for in describe is granted. Never set it for a file.
	Builtin bool
}

// Load compiles a module, starts one instance and asks it to describe itself. A module that can't be used is refused in one
// sentence, which says how to mend it. The caller closes it, or the host does in the end.
func (h *Host) Load(ctx context.Context, src Source) (*Module, error) {
	defer garbage.Frugal()()
	m, err := h.compile(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", src.Name, err)
	}
	if err := m.introduce(ctx); err != nil {
		return nil, fmt.Errorf("module %s: %w", src.Name, errors.Join(err, m.Close(context.WithoutCancel(ctx))))
	}
	h.settleLater()
	return m, nil
}

// compile checks the module's bytes and turns them into native code.
func (h *Host) compile(ctx context.Context, src Source) (*Module, error) {
	if len(src.Wasm) > maxWasm {
		return nil, fmt.Errorf("has %d MB and may have %d", len(src.Wasm)>>20, maxWasm>>20)
	}
	c, err := inspect(src.Wasm)
	if err != nil {
		return nil, err
	}
	limits := src.Limits.over(h.limits)
	kind := c.kind()
	pages := limits.pages(kind)
	if err := c.check(kind, pages); err != nil {
		return nil, err
	}
	grants, err := httpsend.ParseGrants(src.Hostnames)
	if err != nil {
		return nil, err
	}
	grants = grants.WithPrivate(src.Private...).WithCredentials(cmp.Or(src.Alias, src.Name), src.Credentials)
	metered, err := meter.Rewrite(src.Wasm, meter.Options{Rename: map[string]string{kernel.Guest: kernel.Namespace}})
	if err != nil {
		return nil, err
	}
	manifest := extism.Manifest{
		Wasm:         []extism.Wasm{extism.WasmData{Data: metered}},
		Memory:       &extism.ManifestMemory{MaxPages: pages}, // and no Extism variables: state goes through the proposal
		AllowedHosts: []string{},                              // Extism's own HTTP reaches nothing; http_send is ours
	}
	cache, err := h.newCache()
	if err != nil {
		return nil, err
	}
	config := extism.PluginConfig{
		// The meter ends calls. The engine's own way, which looks at the context in loops, would cost half the speed for nothing.
		RuntimeConfig: wazero.NewRuntimeConfig().WithCompilationCache(cache),
		EnableWasi:    true, // clock, randomness and stderr; without files, arguments or environment
	}
	functions := slices.Concat(hostfuncs.Table(), kernel.Functions(), []extism.HostFunction{meter.HostFunction()})
	compiled, err := extism.NewCompiledPlugin(ctx, manifest, config, functions)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("does not compile: %s", firstLine(err.Error())), cache.Close(ctx))
	}
	client := httpsend.NewClient()
	client.Trust(h.roots.Load())
	sum := sha256.Sum256(src.Wasm)
	m := &Module{
		host: h, source: src, limits: limits, contents: c, compiled: compiled, cache: cache, client: client, grants: grants,
		hash: hex.EncodeToString(sum[:]), logger: h.logger.With("module", src.Name),
		slots: make(chan struct{}, h.limits.Instances),
	}
	m.source.Wasm = nil
	m.native = nativeCode(compiled)
	m.describe.Kind = kind
	if !h.adopt(m) {
		return nil, errors.Join(ErrClosed, m.Close(ctx))
	}
	return m, nil
}

// introduce asks the module who it is and holds it to the answer.
func (m *Module) introduce(ctx context.Context) error {
	kind := m.describe.Kind
	out, err := m.Call(ctx, abi.ExportDescribe, nil)
	if err != nil {
		return err
	}
	var d abi.Describe
	if err := json.Unmarshal(out, &d); err != nil {
		return fmt.Errorf("describe returned no JSON of the ABI: %w", err)
	}
	switch {
	case d.ABI != abi.Version:
		return fmt.Errorf("speaks version %d of the ABI and this agent speaks version %d; build it with an SDK for version %d", d.ABI, abi.Version, abi.Version)
	case d.Kind != kind:
		return fmt.Errorf("describes itself as a %q and exports the functions of a %s; see hostfuncs/ABI.md", d.Kind, kind)
	case !rules.Name(d.Name):
		return fmt.Errorf("has the name %q; use %s", d.Name, rules.NameForm)
	}
	if err := m.contents.wantsOf(d); err != nil {
		return err
	}
	if w := d.WantHistory; w != nil {
		if err := rules.Wish(*w); err != nil {
			return err
		}
	}
	schema, err := configschema.Parse(d.ConfigSchema)
	if err != nil {
		return fmt.Errorf("config_schema in describe: %w", err)
	}
	m.describe, m.schema = d, schema
	return nil
}
