package abi

// HostModule is the import module of the host functions, and their names.
const (
	HostModule   = "millwright"
	FuncLog      = "log"
	FuncHTTPSend = "http_send"
)

// LogRecord is the input of the log host function.
type LogRecord struct {
	Level   string            `json:"level"` // debug, info, warn, error
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields,omitempty"`
}

// HTTPRequest is the input of http_send.
type HTTPRequest struct {
	Method string `json:"method"`
	// URL is http://, https:// or http+unix://<socket path, percent-encoded>/<path>.
	URL        string              `json:"url"`
	Headers    map[string][]string `json:"headers,omitempty"`
	Body       []byte              `json:"body,omitempty"` // base64 on the wire
	DeadlineMS int                 `json:"deadline_ms,omitempty"`
	// Sign names how the host attaches the operator's credentials; nil sends none.
	Sign *Sign `json:"sign,omitempty"`
}

// Sign names a signing scheme and the credential that it uses; the credential itself never enters the guest.
type Sign struct {
	Scheme     string            `json:"scheme"`
	Credential string            `json:"credential"`
	Params     map[string]string `json:"params,omitempty"`
}

// HTTPResponse is the output of http_send. Exactly one of Status and Error is set: every failure is data.
type HTTPResponse struct {
	Status  int                 `json:"status,omitempty"`
	Headers map[string][]string `json:"headers,omitempty"`
	Body    []byte              `json:"body,omitempty"` // base64 on the wire
	Error   *HTTPError          `json:"error,omitempty"`
}

// HTTPError is a request that got no answer.
type HTTPError struct {
	Kind    string `json:"kind"` // denied, dns, connect, tls, timeout, too_large, invalid, closed
	Message string `json:"message"`
}
