package connect

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/agent/executor/process"
	"github.com/millwright-ci/millwright/agent/executor/winrm"
)

// Windows tells whether the instance is reached over WinRM.
func (t *Target) Windows() bool { return t.Protocol == WinRM || t.Protocol == WinRMHTTPS }

// Windows is a Windows host over WinRM, with the bash of Git for Windows for scripts. There is no connection that could be lost: each message is one
// of its own. It is safe for concurrent use; Close it.
type Windows struct {
	client *winrm.Client
	bash   string // the path of bash.exe
	done   chan struct{}
	close  func()
}

// client makes what speaks to the host.
func (t *Target) client() (*winrm.Client, error) {
	if t.options.Connector.Password == "" && t.options.Connection.Password == "" {
		return nil, errors.New("winrm: there is no password for the instance: its group gives none; set password in connector_config")
	}
	password := t.options.Connector.Password
	if password == "" {
		password = t.options.Connection.Password
	}
	o := winrm.Options{Address: t.Address, HTTPS: t.Protocol == WinRMHTTPS, User: t.User, Password: password, Dial: t.options.Through}
	if o.HTTPS {
		var err error
		if o.TLS, err = pinCertificate(t.options.PinFile); err != nil {
			return nil, err
		}
	}
	return winrm.New(o), nil
}

// DialWindows logs in over WinRM, once, and finds bash there.
func (t *Target) DialWindows(ctx context.Context) (*Windows, error) {
	t, err := t.renewed(ctx)
	if err != nil {
		return nil, err
	}
	client, err := t.client()
	if err != nil {
		return nil, err
	}
	w := &Windows{client: client, done: make(chan struct{})}
	w.close = sync.OnceFunc(func() {
		client.Close()
		close(w.done)
	})
	ctx, cancel := context.WithTimeoutCause(ctx, tryTime, fmt.Errorf("no login within %s", tryTime))
	defer cancel()
	if w.bash, err = findBash(ctx, client); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// pingWindows asks the host for a sign of life.
func (t *Target) pingWindows(ctx context.Context) error {
	t, err := t.renewed(ctx)
	if err != nil {
		return err
	}
	client, err := t.client()
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// AwaitWindows is Await over WinRM; there is nothing to be closed.
func (t *Target) AwaitWindows(ctx context.Context) error { return t.await(ctx, t.pingWindows) }

// Command runs a command line on the instance, which cmd.exe reads, and returns its exit code.
func (t *Target) Command(ctx context.Context, line string, output io.Writer) (code int, err error) {
	t, err = t.renewed(ctx)
	if err != nil {
		return 0, err
	}
	client, err := t.client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.Run(ctx, winrm.Command{Program: line, Stdout: output, Stderr: output})
}

// findScript prints the path of the bash that belongs to git, rather than that of the Subsystem for Linux, which is a host of its own.
const findScript = `$ProgressPreference = 'SilentlyContinue'
$git = Get-Command git.exe -ErrorAction SilentlyContinue | Select-Object -First 1
$places = @()
if ($git) { $dir = Split-Path (Split-Path $git.Source); $places += "$dir\bin\bash.exe"; $places += "$(Split-Path $dir)\bin\bash.exe" }
$places += "$env:ProgramFiles\Git\bin\bash.exe"
foreach ($at in $places) { if (Test-Path -LiteralPath $at) { [Console]::Out.Write($at); exit 0 } }
exit 3`

func findBash(ctx context.Context, client *winrm.Client) (string, error) {
	var out, said bytes.Buffer
	code, err := client.Run(ctx, winrm.Command{
		Program: "powershell.exe", Args: []string{"-NoProfile", "-NonInteractive", "-EncodedCommand", process.PowerShell(findScript)}, Stdout: &out, Stderr: &said,
	})
	switch {
	case err != nil:
		return "", err
	case code == 3:
		return "", errors.New("winrm: Git for Windows is not there: scripts are run by its bash; install it on the instance's image")
	case code != 0 || out.Len() == 0:
		return "", fmt.Errorf("winrm: powershell.exe ended with exit code %d: %.500s", code, said.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Run has bash run a script, which it reads from its input, so that no command line has to carry it: one line, and behind it what the script reads.
// Both travel as base64, which no console changes.
func (w *Windows) Run(ctx context.Context, script string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	behind := ""
	if stdin == nil {
		script = "exec </dev/null\n" + script
	} else {
		data, err := io.ReadAll(stdin)
		if err != nil {
			return 0, err
		}
		script = "base64 -di | (\n" + script + "\n)"
		behind = lines(base64.StdEncoding.EncodeToString(data))
	}
	input := `eval "$(echo ` + base64.StdEncoding.EncodeToString([]byte(script)) + ` | base64 -d)"; exit $?` + "\n" + behind
	return w.client.Run(ctx, winrm.Command{Program: `"` + w.bash + `"`, Args: []string{"-s"}, Stdin: strings.NewReader(input), Stdout: stdout, Stderr: stderr})
}

// lines breaks a long text into lines.
func lines(text string) string {
	const width = 76
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + "\n")
		text = text[width:]
	}
	return b.String() + text + "\n"
}

// Alive asks the host for a sign of life.
func (w *Windows) Alive(ctx context.Context) error { return w.client.Ping(ctx) }

// Done is closed by Close.
func (w *Windows) Done() <-chan struct{} { return w.done }

// Close ends the connections that are kept for the next message.
func (w *Windows) Close() error {
	w.close()
	return nil
}
