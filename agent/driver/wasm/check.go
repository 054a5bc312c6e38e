package wasm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Limits of what a driver may return. hostfuncs/ABI.md states them.
const (
	maxName    = 63       // bytes of a machine's name
	maxText    = 2 << 10  // bytes of a message, cut; of an id or an address, refused
	maxState   = 16 << 10 // bytes of a driver's state for one machine
	maxRetryS  = 3600     // seconds; larger counts as this
	maxPortNum = 65535
	maxGPUs    = 1024
)

// checkInstance refuses an instance that the host could not use and cuts what is merely too long. A status that the ABI does not have
// counts as unknown, which is never gone.
func checkInstance(i *abi.Instance) error {
	switch {
	case i.Name == "" || len(i.Name) > maxName || strings.ContainsFunc(i.Name, notInName):
		return fmt.Errorf("it returned an instance with the name %.80q", i.Name)
	case len(i.ID) > maxText || !printable(i.ID):
		return errors.New("it returned an instance with an id that is too long or has control characters")
	case len(i.Owner) > maxName || strings.ContainsFunc(i.Owner, notInName):
		return fmt.Errorf("it returned an instance with the owner %.80q", i.Owner)
	case len(i.Address) > maxText || strings.ContainsFunc(i.Address, notInAddress):
		return fmt.Errorf("it returned an instance with the address %.80q; an IP address or a hostname is needed", i.Address)
	case i.SSHPort < 0 || i.SSHPort > maxPortNum || i.EnginePort < 0 || i.EnginePort > maxPortNum:
		return fmt.Errorf("it returned an instance with the ports %d and %d", i.SSHPort, i.EnginePort)
	case i.GPUs < 0 || i.GPUs > maxGPUs:
		return fmt.Errorf("it returned an instance with %d GPUs", i.GPUs)
	case len(i.State) > maxState:
		return fmt.Errorf("it returned an instance with a state of %d bytes; at most %d are kept", len(i.State), maxState)
	}
	switch i.Status {
	case abi.StatusCreating, abi.StatusRunning, abi.StatusStopped, abi.StatusGone, abi.StatusInterrupted:
	default:
		i.Status = abi.StatusUnknown
	}
	i.Message = short(i.Message)
	switch {
	case i.Status != abi.StatusGone:
		i.Error = nil // what is there needs no excuse
	case i.Error != nil:
		e := checkError(*i.Error)
		i.Error = &e
	}
	return nil
}

// checkError makes an error of a guest's fit to be shown and acted on.
func checkError(e abi.Error) abi.Error {
	switch e.Kind {
	case abi.NotFound, abi.Conflict, abi.Quota, abi.Capacity, abi.Auth, abi.RateLimited, abi.Invalid, abi.Transient:
	default:
		e.Kind = abi.Transient
	}
	e.Message, e.Code = short(e.Message), short(e.Code)
	if e.Message == "" {
		e.Message = "the driver gave no reason"
	}
	e.RetryAfterS = min(max(e.RetryAfterS, 0), maxRetryS)
	return e
}

// short cuts s and drops its control characters.
func short(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// notInName finds what RFC 1123 does not allow in a name; upper case and dots are left to the machine's owner.
func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
}

// notInAddress allows hostnames, IPv4 and IPv6 with a zone.
func notInAddress(r rune) bool { return notInName(r) && r != ':' && r != '%' }
