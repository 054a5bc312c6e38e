package abi

import "testing"

func TestUnixURL(t *testing.T) {
	const want = "http+unix://%2Fvar%2Frun%2Fdocker.sock/v1.41/info?x=%2F"
	got := UnixURL("/var/run/docker.sock", "/v1.41/info?x=%2F")
	if got != want {
		t.Fatalf("UnixURL = %s, want %s", got, want)
	}
	socket, path, ok := SplitUnixURL(got)
	if !ok || socket != "/var/run/docker.sock" || path != "/v1.41/info?x=%2F" {
		t.Fatalf("SplitUnixURL = %q, %q, %v", socket, path, ok)
	}
}

func TestSplitUnixURLRefuses(t *testing.T) {
	for name, url := range map[string]string{
		"another scheme":  "http://%2Fvar/x",
		"no socket":       "http+unix:///v1/info",
		"cut escape":      "http+unix://%2/v1",
		"bad escape":      "http+unix://%zz/v1",
		"a NUL in a path": "http+unix://%2Fa%00b/v1",
	} {
		t.Run(name, func(t *testing.T) {
			if socket, _, ok := SplitUnixURL(url); ok {
				t.Errorf("SplitUnixURL(%q) gave socket %q, want a refusal", url, socket)
			}
		})
	}
}
