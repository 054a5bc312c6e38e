package remotecache

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
)

func TestName(t *testing.T) {
	const sum = "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a" // of "k", by sha256sum
	for _, tt := range []struct {
		name   string
		cache  config.Cache
		key    string
		hashed bool
		want   string
	}{
		{name: "vector 97", key: "k", want: "runner/abcdefghi/project/7/k"},
		{name: "shared", cache: config.Cache{Shared: true}, key: "k", want: "project/7/k"},
		{name: "path", cache: config.Cache{Path: "a/b"}, key: "k", want: "a/b/runner/abcdefghi/project/7/k"},
		{name: "path and shared", cache: config.Cache{Path: "/a/", Shared: true}, key: "k", want: "a/project/7/k"},
		{name: "folders in the key", key: "x/y-1-protected", want: "runner/abcdefghi/project/7/x/y-1-protected"},
		{name: "hashed", key: "k", hashed: true, want: "runner/abcdefghi/project/7/82/" + sum},
		{name: "hashed, whatever it holds", cache: config.Cache{Shared: true}, key: "../../k", hashed: true, want: "project/7/" + Hash("../../k")[:2] + "/" + Hash("../../k")},
		{name: "out of the project", key: "../8/k"},
		{name: "beside the project", key: "../70/k"},
		{name: "the project itself", key: "."},
		{name: "no key", key: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Name(&tt.cache, "glrt-abcdefghijklmnopqrst", 7, tt.key, tt.hashed)
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	for key, want := range map[string]string{
		"plain key": "plain key", "grün": "=?utf-8?q?gr=C3=BCn?=", "a\nb: c": "=?utf-8?q?a=0Ab:_c?=",
	} {
		if got := metadata(key); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
	if got := metadata(strings.Repeat("é", 2000)); strings.ContainsAny(got, "\r\n") {
		t.Errorf("a long key has lines: %q", got)
	}
}

func TestEscape(t *testing.T) {
	if got := escape("/a b/c+d=e@~.-_%é"); got != "/a%20b/c%2Bd%3De%40~.-_%25%C3%A9" {
		t.Errorf("got %s", got)
	}
}
