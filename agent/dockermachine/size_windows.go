package dockermachine

import (
	"os"

	"golang.org/x/crypto/ssh"
)

// followSize does nothing: Windows has no signal for it.
func followSize(*os.File, *ssh.Session) (stop func()) { return func() {} }
