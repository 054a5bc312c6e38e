// Package host is what a guest can ask of its host: to write a line to the agent's log, and to send an HTTP request to a hostname
// that it was granted. There is nothing else: a guest has no files, no environment, no sockets and a clock that stands still.
//
// In a module the calls go to the host functions of hostfuncs/ABI.md. On any other target they are done natively, so that a guest's
// code can be tested against a real server: the log goes to log/slog, and requests are sent without asking for a grant.
package host

import "github.com/millwright-ci/millwright/sdk/go/abi"

// Levels of a log record.
const (
	LevelDebug = "debug"
	LevelInfo  = "info"
	LevelWarn  = "warn"
	LevelError = "error"
)

// Log writes one record to the agent's log, which adds the module's name. fields may be nil. The host shortens what is too long.
func Log(level, message string, fields map[string]string) {
	log(abi.LogRecord{Level: level, Message: message, Fields: fields})
}

// HTTPSend sends one request and returns the whole answer. Every failure is in the answer's Error: a refused hostname, a timeout, an
// answer that is too large. An answer with a status of 400 or more is no failure. It blocks until then.
func HTTPSend(req abi.HTTPRequest) abi.HTTPResponse { return httpSend(req) }

// failed is the answer to a request that could not be sent.
func failed(kind string, err error) abi.HTTPResponse {
	return abi.HTTPResponse{Error: &abi.HTTPError{Kind: kind, Message: err.Error()}}
}
