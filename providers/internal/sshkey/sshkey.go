// Package sshkey names public keys as clouds do.
package sshkey

import (
	"crypto/md5" //nolint:gosec // by which clouds name keys; nothing is trusted for it
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Fingerprint is the MD5 of a public key, which is one line for authorized_keys: 16 pairs of digits with colons between; "" when it is none.
func Fingerprint(authorized string) string {
	fields := strings.Fields(authorized)
	if len(fields) < 2 {
		return ""
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return ""
	}
	sum := md5.Sum(blob) //nolint:gosec // as above
	pairs := make([]string, 0, len(sum))
	for _, c := range sum {
		pairs = append(pairs, hex.EncodeToString([]byte{c}))
	}
	return strings.Join(pairs, ":")
}
