// Package credentials is who the operator is towards a cloud: it turns the name of a credential in millwright.toml into something that
// signs the requests of modules, so that what the operator holds never enters a guest.
//
// A Store owns the credentials and fetches tokens for them, with the clouds' own libraries; hostfuncs/httpsend decides whether a
// request may be signed, and keeps what was attached out of the answer. README.md lists the kinds.
package credentials
