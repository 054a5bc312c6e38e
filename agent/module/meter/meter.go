package meter

import (
	"context"
	"errors"
	"fmt"

	extism "github.com/extism/go-sdk"
)

// Slice is how much fuel a guest gets at a time. A guest runs for a few microseconds on it.
const Slice = 10_000

// DefaultStackBytes bounds the engine's stack; see Meter.StackBytes.
const DefaultStackBytes = 8 << 20

// ErrFuel and ErrStack are how a call ends that has used up what it was given.
var (
	ErrFuel  = errors.New("out of fuel")
	ErrStack = errors.New("calls nest too deeply")
)

// Meter is the fuel of one call into a metered module. It serves one call and one goroutine.
type Meter struct {
	// Budget is what the call may use, in fuel. 0 means without limit; the deadline holds all the same.
	Budget int64
	// StackBytes bounds how deeply the guest's functions may call each other, by an estimate of what their frames take on the engine's
	// stack, which lies in the host's memory and else grows to 80 MB, copied twice. 0 means DefaultStackBytes.
	StackBytes int64

	used    int64 // by exports that have returned
	last    int64 // by the last of them
	granted int64 // to the one that runs
	deepest int64 // the most of the stack that a look has found, in bytes
}

type contextKey struct{}

// With returns a context for a call whose fuel m counts. A metered module traps when it is called without.
func With(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, contextKey{}, m)
}

// Used returns the fuel that the call has used, its module's start and initialization included. After a call that returned, it is
// exact and the same in every run from the same state. After one that trapped it is what the guest was given, which is off by what
// was left of a slice, and as reproducible unless it was the clock that ended it.
func (m *Meter) Used() int64 { return m.used + m.granted }

// Last returns the fuel that the export that ran last has used, without what ran before it to initialize the instance.
func (m *Meter) Last() int64 {
	if m.granted > 0 {
		return m.granted
	}
	return m.last
}

// Deepest returns how deep the stack has been when the fuel was looked at, in bytes, by the estimate that StackBytes bounds.
func (m *Meter) Deepest() int64 { return m.deepest }

// Refill is the host function that metered modules import: it takes the state of the global (i64) and whether an export has just
// ended (i32), and returns the new state (i64). It panics, which the engine turns into a trap, when ctx is done, the budget is used up
// or the stack too deep; errors.Is finds the context's error, ErrFuel or ErrStack in what the call returns.
func Refill(ctx context.Context, stack []uint64) {
	m, ok := ctx.Value(contextKey{}).(*Meter)
	if !ok {
		panic(errors.New("a metered module was called without a meter"))
	}
	left, frames := int64(int32(stack[0])), int64(stack[0])
	frames = (frames - left) >> frameShift
	if uint32(stack[1]) != 0 {
		m.settle(left)
		stack[0] = 0
		return
	}
	if err := m.refill(ctx, &left, frames); err != nil {
		panic(err)
	}
	stack[0] = uint64(frames<<frameShift + left)
}

// HostFunction is Refill as Extism takes it.
func HostFunction() extism.HostFunction {
	f := extism.NewHostFunctionWithStack(Name, func(ctx context.Context, _ *extism.CurrentPlugin, stack []uint64) { Refill(ctx, stack) },
		[]extism.ValueType{extism.ValueTypeI64, extism.ValueTypeI32}, []extism.ValueType{extism.ValueTypeI64})
	f.SetNamespace(Module)
	return f
}

// refill brings left up to a slice, or to what the budget still gives.
func (m *Meter) refill(ctx context.Context, left *int64, frames int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	m.deepest = max(m.deepest, frames)
	most := m.StackBytes
	if most == 0 {
		most = DefaultStackBytes
	}
	if frames > most {
		return fmt.Errorf("%w: about %d KB of stack and at most %d are allowed", ErrStack, frames>>10, most>>10)
	}
	more := Slice - *left
	if m.Budget > 0 {
		more = min(more, m.Budget-m.used-m.granted)
	}
	if *left+more < 0 {
		return fmt.Errorf("%w: all of its %d are used", ErrFuel, m.Budget)
	}
	m.granted += more
	*left += more
	return nil
}

// settle takes back what an export has left.
func (m *Meter) settle(left int64) {
	m.last = m.granted - left
	m.used += m.last
	m.granted = 0
}
