package docker

import "testing"

// An image of a local name may have digests of repositories that someone else's job pulled: they go as that job's name goes.
func TestOwnDigest(t *testing.T) {
	const sum = "@sha256:93586377b314ac9e44857c57ba2759d6211d590ee762328d00f107871015fc66"
	hub := "127.0.0.1:42141/team/a" + sum
	cases := []struct {
		name, image string
		digests     []string
		want        string
	}{
		{"none", "alpine:3", nil, ""},
		{"only another's", "alpine:3", []string{hub}, ""},
		{"another's first", "alpine:3", []string{hub, "alpine" + sum}, "alpine" + sum},
		{"a short name and its whole one", "docker.io/library/alpine", []string{"alpine" + sum}, "alpine" + sum},
		{"a registry with a port", "127.0.0.1:42141/team/a:1", []string{"alpine" + sum, hub}, hub},
		{"asked for by digest", "alpine" + sum, []string{hub, "alpine" + sum}, "alpine" + sum},
		{"asked for by id", sum[1:], []string{hub}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := ownDigest(c.image, c.digests); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
