//go:build amd64 || arm64

package module

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"syscall"

	extism "github.com/extism/go-sdk"
)

// leastNative is below how many bytes native code stays where it is.
const leastNative = 1 << 20

// Flags of mremap that package syscall doesn't name. Source: Linux, include/uapi/linux/mman.h.
const (
	mremapMayMove = 1
	mremapFixed   = 2
)

// native is the machine code of a module, in memory that wazero mapped.
type native struct {
	code []byte
	at   uintptr
}

// nativeCode finds the machine code of a module that was compiled by an engine of its own. wazero tells nobody where it lies, so this
// looks into its values; should a newer wazero keep it elsewhere, nothing is found and the code stays where it is.
func nativeCode(compiled *extism.CompiledPlugin) (found []native) {
	engine := within(reflect.ValueOf(compiled), "main", "compiledEngine")
	modules := within(engine, "compiledModules")
	if modules.Kind() != reflect.Map {
		return nil
	}
	for each := modules.MapRange(); each.Next(); {
		code := within(each.Value(), "compiledModule", "executables", "executable")
		if code.IsValid() && code.Type() == reflect.TypeFor[[]byte]() && code.Len() >= leastNative {
			found = append(found, native{code.Bytes(), code.Pointer()})
		}
	}
	return found
}

// within follows fields through pointers and interfaces; the zero Value says that one of them isn't there.
func within(v reflect.Value, fields ...string) reflect.Value {
	for i := 0; ; {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			v = v.Elem()
		case reflect.Struct:
			if i == len(fields) {
				return v
			}
			v = v.FieldByName(fields[i])
			i++
		default:
			if i < len(fields) {
				return reflect.Value{}
			}
			return v
		}
	}
}

// toFile puts a file below the code, in dir and without a name, so that of the megabytes of a module only those pages take memory which it
// runs, as with any program. The code stays at its address and may be running meanwhile. Nothing has changed when it fails: some systems run
// nothing from the file system that dir lies on.
func (n native) toFile(dir string) error {
	f, err := os.CreateTemp(dir, codePrefix)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) { // see removeLeftCode
		return err
	}
	if _, err := f.Write(n.code); err != nil {
		return err
	}
	// A page that was not written yet could be lost with its disk, and the code with it.
	if err := f.Sync(); err != nil {
		return err
	}
	size := uintptr(len(n.code))
	mapped, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, size, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE, f.Fd(), 0)
	if errno != 0 {
		return fmt.Errorf("map code from %s: %w", dir, errno)
	}
	if _, _, errno = syscall.Syscall6(syscall.SYS_MREMAP, mapped, size, size, mremapMayMove|mremapFixed, n.at, 0); errno != 0 {
		_, _, _ = syscall.Syscall(syscall.SYS_MUNMAP, mapped, size, 0)
		return fmt.Errorf("put code from %s in place: %w", dir, errno)
	}
	return nil
}
