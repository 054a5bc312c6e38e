// Package httpsend is the host function http_send: it sends a guest's HTTP request to a hostname that was granted to the module, and
// gives every outcome back as data. ABI.md, "http_send", is its contract.
//
// A Client belongs to one module and owns its connections. The grants come with each call, since those of a driver follow the
// options of the machine that the call is for.
package httpsend
