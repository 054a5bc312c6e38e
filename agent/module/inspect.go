package module

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Sections of a core module and kinds of what it imports and exports, as the binary format numbers them.
// Source: WebAssembly Core Specification 2.0, "Modules" of the binary format.
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionExport   = 7

	externFunc = 0
)

// contents is what a module's bytes say of it before it is compiled.
type contents struct {
	imports   []string // module.name of each imported function
	others    []string // imports that are no functions
	functions map[string]signature
	minPages  uint32 // of its memory
}

// signature counts the parameters and results of a function.
type signature struct{ params, results int }

// inspect reads the sections of a core module that tell what it needs and offers.
func inspect(wasm []byte) (contents, error) {
	c := contents{functions: map[string]signature{}}
	switch {
	case !bytes.HasPrefix(wasm, []byte("\x00asm")) || len(wasm) < 8:
		return c, errors.New("is not WebAssembly; give a .wasm file, not its text form and not compressed")
	case wasm[6] != 0:
		return c, errors.New("is a WebAssembly component, not a core module; build it as a core module " +
			"(Rust: the target wasm32-unknown-unknown or wasm32-wasip1, Go: GOOS=wasip1), without the step that wraps it")
	case !bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}):
		return c, fmt.Errorf("is WebAssembly of version %d; build it as version 1", wasm[4])
	}
	var types []signature
	var funcs []int // the type of each function, imported ones first
	r := &reader{data: wasm[8:]}
	for len(r.data) > 0 && r.err == nil {
		id := r.byte()
		section := &reader{data: r.bytes(r.u32())}
		switch id {
		case sectionType:
			types = readTypes(section)
		case sectionImport:
			funcs = readImports(section, &c)
		case sectionFunction:
			for n := section.u32(); n > 0 && section.err == nil; n-- {
				funcs = append(funcs, int(section.u32()))
			}
		case sectionMemory:
			if section.u32() > 0 {
				section.byte()
				c.minPages = section.u32()
			}
		case sectionExport:
			readExports(section, &c, types, funcs)
		}
		if section.err != nil {
			r.err = section.err
		}
	}
	if r.err != nil {
		return c, fmt.Errorf("is broken WebAssembly: %w", r.err)
	}
	return c, nil
}

func readTypes(r *reader) []signature {
	var types []signature
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		if form := r.byte(); form != 0x60 {
			r.fail(fmt.Errorf("the type form %#x is not known to this agent", form))
			break
		}
		var s signature
		s.params = len(r.bytes(r.u32()))
		s.results = len(r.bytes(r.u32()))
		types = append(types, s)
	}
	return types
}

func readImports(r *reader, c *contents) []int {
	var funcs []int
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		name := string(r.bytes(r.u32())) + "." + string(r.bytes(r.u32()))
		if kind := r.byte(); kind != externFunc {
			c.others = append(c.others, name)
			return funcs // refused anyway; its description is of no interest
		}
		c.imports = append(c.imports, name)
		funcs = append(funcs, int(r.u32()))
	}
	return funcs
}

func readExports(r *reader, c *contents, types []signature, funcs []int) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		name := string(r.bytes(r.u32()))
		kind, index := r.byte(), int(r.u32())
		if kind != externFunc || r.err != nil {
			continue
		}
		if index >= len(funcs) || funcs[index] >= len(types) {
			r.fail(fmt.Errorf("the export %s has no function", name))
			return
		}
		c.functions[name] = types[funcs[index]]
	}
}

// check holds the contents to the ABI for a kind of module; it returns a refusal that says how to mend it.
func (c contents) check(kind string, maxPages uint32) error {
	for _, name := range c.others {
		return fmt.Errorf("imports %s, which is no function; the host offers functions only, so build it with its own memory and table", name)
	}
	for _, name := range c.imports {
		if !offered(name) {
			return fmt.Errorf("imports %s, which the host does not offer; it offers %s.%s, %s.%s, Extism's functions and WASI preview 1",
				name, abi.HostModule, abi.FuncLog, abi.HostModule, abi.FuncHTTPSend)
		}
	}
	var missing []string
	for _, name := range c.required(kind) {
		sig, ok := c.functions[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		if sig.params != 0 || sig.results > 1 {
			return fmt.Errorf("exports %s with %d parameters and %d results; an export takes none and returns an i32, "+
				"its input and output go through Extism", name, sig.params, sig.results)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("does not export %s, which a %s must; see hostfuncs/ABI.md", strings.Join(missing, ", "), kind)
	}
	if c.minPages > maxPages {
		return fmt.Errorf("wants %d KB of memory from the start and may have %d KB; build it with a smaller memory", c.minPages*64, maxPages*64)
	}
	return nil
}

// The exports that a kind of module must have. A driver has those for single machines, or those for groups; some SDKs give it both, and its
// description says which it serves: see wantsOf.
var (
	ofPolicy = []string{abi.ExportDescribe, abi.ExportDecide}
	ofDriver = []string{abi.ExportDescribe, abi.ExportValidate, abi.ExportCreate, abi.ExportList, abi.ExportRemove}
	ofGroup  = []string{abi.ExportDescribe, abi.ExportValidate, abi.ExportGroupInfo, abi.ExportList, abi.ExportIncrease, abi.ExportDecrease, abi.ExportConnectInfo}
)

// required names the exports that a module with these contents must have to be of that kind.
func (c contents) required(kind string) []string {
	switch {
	case kind != abi.KindDriver:
		return ofPolicy
	case c.has(abi.ExportCreate):
		return ofDriver
	}
	return ofGroup
}

// kind tells by its exports what the module is; one that has neither decide nor what makes machines counts as a policy that lacks one.
func (c contents) kind() string {
	if (c.has(abi.ExportCreate) || c.has(abi.ExportGroupInfo)) && !c.has(abi.ExportDecide) {
		return abi.KindDriver
	}
	return abi.KindPolicy
}

func (c contents) has(export string) bool {
	_, ok := c.functions[export]
	return ok
}

// wantsOf names what a driver lacks of the exports that its description promises.
func (c contents) wantsOf(d abi.Describe) error {
	wanted := ofDriver
	if d.Group {
		wanted = ofGroup
	}
	if d.Kind != abi.KindDriver {
		return nil
	}
	for _, name := range wanted {
		if !c.has(name) {
			return fmt.Errorf("does not export %s, which a driver with \"group\": %v in its description must; see hostfuncs/ABI.md", name, d.Group)
		}
	}
	return nil
}

func offered(name string) bool {
	own, isOwn := strings.CutPrefix(name, abi.HostModule+".")
	block, ofExtism := strings.CutPrefix(name, kernel.Guest+".")
	return isOwn && slices.Contains([]string{abi.FuncLog, abi.FuncHTTPSend, abi.FuncBlockRead, abi.FuncBlockWrite}, own) ||
		ofExtism && kernel.Offers(block) || strings.HasPrefix(name, "wasi_snapshot_preview1.")
}

// reader reads the binary format and keeps its first error, after which it gives zeros.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail(errors.New("it ends too early"))
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)) {
		r.fail(errors.New("it ends too early"))
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.fail(errors.New("it holds a number that is too large"))
	return 0
}
