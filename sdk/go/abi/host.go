package abi

// HostModule is the import module of the host functions, and their names.
const (
	HostModule   = "millwright"
	FuncLog      = "log"
	FuncHTTPSend = "http_send"

	FuncBlockRead  = "block_read"
	FuncBlockWrite = "block_write"
)

// LogRecord is the input of the log host function.
type LogRecord struct {
	Level   string            `json:"level"`            // debug, info, warn or error; any other counts as info
	Message string            `json:"message"`          // what happens now; what is longer is cut, control characters are left out
	Fields  map[string]string `json:"fields,omitempty"` // what it happens to; each value 1 KB at most
}

// HTTPRequest is the input of http_send.
type HTTPRequest struct {
	Method string `json:"method"` // any but CONNECT; empty means GET
	// https://, http://, or http+unix:// with the socket's path percent-encoded as the host:
	// http+unix://%2Fvar%2Frun%2Fdocker.sock/v1.41/info. No user in it.
	URL        string              `json:"url"`
	Headers    map[string][]string `json:"headers,omitempty"`     // Host is always that of the URL
	Body       []byte              `json:"body,omitempty"`        // base64 on the wire
	DeadlineMS int                 `json:"deadline_ms,omitempty"` // 0 means 10,000; never beyond the call's own
	Sign       *Sign               `json:"sign,omitempty"`        // how the host attaches the operator's credential; absent sends none
}

// Sign names a signing scheme and the credential that it uses; the credential itself never enters the guest.
type Sign struct {
	Scheme     string            `json:"scheme"`           // bearer, basic, header, aws4, google-oauth2, azure-ad, keystone or client-tls
	Credential string            `json:"credential"`       // the name of the credential, as it is granted
	Params     map[string]string `json:"params,omitempty"` // what the scheme wants beside
}

// HTTPResponse is the output of http_send. Exactly one of Status and Error is set: every failure is data.
type HTTPResponse struct {
	Status  int                 `json:"status,omitempty"`  // any status is an answer, 400 and more too
	Headers map[string][]string `json:"headers,omitempty"` // Retry-After among them
	Body    []byte              `json:"body,omitempty"`    // base64 on the wire, not decompressed
	Error   *HTTPError          `json:"error,omitempty"`   // why there is no answer
}

// HTTPError is a request that got no answer.
type HTTPError struct {
	Kind    string `json:"kind"`    // denied, credential, dns, connect, tls, timeout, too_large, invalid, closed
	Message string `json:"message"` // what failed, for people
}
