package abi

import "strings"

// unixScheme starts the URL of an HTTP server behind a unix socket.
const unixScheme = "http+unix://"

// UnixURL returns the URL, for HTTPRequest, of pathAndQuery on the HTTP server behind the unix socket at path socket:
// UnixURL("/var/run/docker.sock", "/v1.41/info") is http+unix://%2Fvar%2Frun%2Fdocker.sock/v1.41/info.
func UnixURL(socket, pathAndQuery string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString(unixScheme)
	for i := range len(socket) {
		if c := socket[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	if !strings.HasPrefix(pathAndQuery, "/") {
		b.WriteByte('/')
	}
	b.WriteString(pathAndQuery)
	return b.String()
}

// SplitUnixURL is the opposite of UnixURL. It returns false when url is not http+unix:// or names its socket badly.
func SplitUnixURL(url string) (socket, pathAndQuery string, ok bool) {
	rest, found := strings.CutPrefix(url, unixScheme)
	if !found {
		return "", "", false
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, pathAndQuery := rest[:end], rest[end:]
	if !strings.HasPrefix(pathAndQuery, "/") {
		pathAndQuery = "/" + pathAndQuery
	}
	path := make([]byte, 0, len(host))
	for i := 0; i < len(host); i++ {
		c := host[i]
		if c == '%' {
			if i+2 >= len(host) {
				return "", "", false
			}
			high, low := nibble(host[i+1]), nibble(host[i+2])
			if high < 0 || low < 0 {
				return "", "", false
			}
			c, i = byte(high<<4|low), i+2
		}
		if c == 0 {
			return "", "", false
		}
		path = append(path, c)
	}
	return string(path), pathAndQuery, len(path) > 0
}

// plain tells whether c needs no encoding (RFC 3986, unreserved).
func plain(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '~'
}

func nibble(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
