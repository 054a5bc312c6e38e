package winrm

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const soapType = "application/soap+xml"

// Names of WS-Management.
const (
	spaceShell = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	resource   = spaceShell + "/cmd"

	actionCreate  = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"
	actionDelete  = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete"
	actionCommand = spaceShell + "/Command"
	actionSend    = spaceShell + "/Send"
	actionReceive = spaceShell + "/Receive"
	actionSignal  = spaceShell + "/Signal"

	signalTerminate = spaceShell + "/signal/terminate"
	stateDone       = spaceShell + "/CommandState/Done"
)

// identify asks a host what it is.
const identify = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">` +
	`<s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>`

// message is one in the making.
type message struct {
	action, shell string
	options       string // elements of an OptionSet
	hold          time.Duration
	body          string
}

// text is the message, as WinRM wants it.
func (m message) text(url string) string {
	var b strings.Builder
	b.WriteString(`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"` +
		` xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="` + spaceShell + `"><s:Header>`)
	fmt.Fprintf(&b, `<a:To>%s</a:To><a:ReplyTo><a:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>`, escape(url))
	fmt.Fprintf(&b, `<a:Action s:mustUnderstand="true">%s</a:Action><a:MessageID>uuid:%s</a:MessageID>`, m.action, uuid())
	fmt.Fprintf(&b, `<w:MaxEnvelopeSize s:mustUnderstand="true">%d</w:MaxEnvelopeSize><w:OperationTimeout>PT%dS</w:OperationTimeout>`, envelopeSize, max(int(m.hold/time.Second), 1))
	fmt.Fprintf(&b, `<w:Locale xml:lang="en-US" s:mustUnderstand="false"/><w:ResourceURI s:mustUnderstand="true">%s</w:ResourceURI>`, resource)
	if m.shell != "" {
		fmt.Fprintf(&b, `<w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet>`, escape(m.shell))
	}
	if m.options != "" {
		b.WriteString(`<w:OptionSet>` + m.options + `</w:OptionSet>`)
	}
	b.WriteString(`</s:Header><s:Body>` + m.body + `</s:Body></s:Envelope>`)
	return b.String()
}

// option is one of an OptionSet.
func option(name, value string) string {
	return `<w:Option Name="` + name + `">` + value + `</w:Option>`
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // into memory: it cannot fail
	return b.String()
}

// uuid is a random one of version 4.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it cannot fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// idleTime is how long a shell lives on the host that nobody asks for.
const idleTime = "PT600S"

func createMessage() message {
	return message{action: actionCreate, options: option("WINRS_NOPROFILE", "FALSE") + option("WINRS_CODEPAGE", "65001"),
		body: `<rsp:Shell><rsp:IdleTimeOut>` + idleTime + `</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`}
}

// commandMessage starts a program with arguments, or, without arguments, a command line of cmd.exe.
func commandMessage(shell, command string, args []string) message {
	skip := "FALSE"
	var b strings.Builder
	b.WriteString(`<rsp:CommandLine><rsp:Command>` + escape(command) + `</rsp:Command>`)
	for _, a := range args {
		skip = "TRUE"
		b.WriteString(`<rsp:Arguments>` + escape(a) + `</rsp:Arguments>`)
	}
	b.WriteString(`</rsp:CommandLine>`)
	return message{action: actionCommand, shell: shell, options: option("WINRS_CONSOLEMODE_STDIN", "TRUE") + option("WINRS_SKIP_CMD_SHELL", skip), body: b.String()}
}

func sendMessage(shell, command string, data []byte, last bool) message {
	end := ""
	if last {
		end = ` End="true"`
	}
	return message{action: actionSend, shell: shell, body: fmt.Sprintf(`<rsp:Send><rsp:Stream Name="stdin" CommandId="%s"%s>%s</rsp:Stream></rsp:Send>`,
		escape(command), end, base64.StdEncoding.EncodeToString(data))}
}

func receiveMessage(shell, command string, hold time.Duration) message {
	return message{action: actionReceive, shell: shell, hold: hold, options: option("WSMAN_CMDSHELL_OPTION_KEEPALIVE", "TRUE"),
		body: fmt.Sprintf(`<rsp:Receive><rsp:DesiredStream CommandId="%s">stdout stderr</rsp:DesiredStream></rsp:Receive>`, escape(command))}
}

func signalMessage(shell, command string) message {
	return message{action: actionSignal, shell: shell, body: fmt.Sprintf(`<rsp:Signal CommandId="%s"><rsp:Code>%s</rsp:Code></rsp:Signal>`, escape(command), signalTerminate)}
}

// envelope is what we read of an answer. Names are matched without their spaces.
type envelope struct {
	Shell    string `xml:"Body>Shell>ShellId"`
	Selector []struct {
		Name  string `xml:"Name,attr"`
		Value string `xml:",chardata"`
	} `xml:"Body>ResourceCreated>ReferenceParameters>SelectorSet>Selector"`
	Command string `xml:"Body>CommandResponse>CommandId"`
	Streams []struct {
		Name string `xml:"Name,attr"`
		Text string `xml:",chardata"`
	} `xml:"Body>ReceiveResponse>Stream"`
	State struct {
		State string `xml:"State,attr"`
		Code  string `xml:"ExitCode"`
	} `xml:"Body>ReceiveResponse>CommandState"`
	Reasons []string `xml:"Body>Fault>Reason>Text"`
	Detail  struct {
		Code    string `xml:"Code,attr"`
		Message string `xml:"Message"`
	} `xml:"Body>Fault>Detail>WSManFault"`
	Code string `xml:"Body>Fault>Code>Subcode>Value"`
}

func parse(data []byte) (*envelope, error) {
	var e envelope
	if err := xml.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("its answer: %w", err)
	}
	return &e, nil
}

// Fault is a host's refusal.
type Fault struct {
	Code string // of WSMan, a number; or of SOAP
	Text string
}

func (f *Fault) Error() string { return fmt.Sprintf("the host says: %s (%s)", f.Text, f.Code) }

// The fault of a call that was held back for as long as it may: ask again. Source: MS-WSMV, section 3.1.4.14; WSMan's error 0x80338029.
const (
	codeTimeout = "2150858793"
	subTimeout  = "TimedOut"
)

func (f *Fault) timeout() bool {
	return f.Code == codeTimeout || strings.HasSuffix(f.Code, subTimeout)
}

// fault is the answer's, nil when it has none.
func (e *envelope) fault() error {
	if len(e.Reasons) == 0 && e.Code == "" && e.Detail.Code == "" {
		return nil
	}
	f := &Fault{Code: e.Detail.Code, Text: strings.TrimSpace(e.Detail.Message)}
	if f.Code == "" {
		f.Code = e.Code
	}
	if f.Text == "" && len(e.Reasons) > 0 {
		f.Text = strings.TrimSpace(e.Reasons[0])
	}
	return f
}

// shellID is that of a shell that was created.
func (e *envelope) shellID() (string, error) {
	for _, s := range e.Selector {
		if s.Name == "ShellId" && s.Value != "" {
			return s.Value, nil
		}
	}
	if e.Shell == "" {
		return "", errors.New("it names no shell")
	}
	return e.Shell, nil
}

// exit is a command's exit code, once it has ended.
func (e *envelope) exit() (code int, ended bool, err error) {
	if e.State.State != stateDone {
		return 0, false, nil
	}
	if code, err = strconv.Atoi(strings.TrimSpace(e.State.Code)); err != nil {
		return 0, true, fmt.Errorf("its exit code: %w", err)
	}
	return code, true, nil
}
