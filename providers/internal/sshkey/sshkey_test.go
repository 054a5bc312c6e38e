package sshkey_test

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/providers/internal/sshkey"
)

func TestFingerprint(t *testing.T) {
	const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPAxNrYMuBGu3rpsVmvAeiNdLhbVAhBpUmDKPChFJmCi comment"
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sshkey.Fingerprint(line), ssh.FingerprintLegacyMD5(public); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, none := range []string{"", "ssh-ed25519", "ssh-ed25519 !!!"} {
		if got := sshkey.Fingerprint(none); got != "" {
			t.Errorf("%q: %s", none, got)
		}
	}
}
