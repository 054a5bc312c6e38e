//go:build unix

package dockermachine

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// followSize tells the session when the terminal's size changes, until stop is called.
func followSize(in *os.File, session *ssh.Session) (stop func()) {
	changed, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-over:
				return
			case <-changed:
				if width, height, err := term.GetSize(int(in.Fd())); err == nil {
					_ = session.WindowChange(height, width)
				}
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(over)
	}
}
