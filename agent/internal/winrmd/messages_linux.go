package winrmd

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const spaceShell = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"

// request is a message as WinRM reads it: by the names' spaces, too.
type request struct {
	XMLName xml.Name `xml:"http://www.w3.org/2003/05/soap-envelope Envelope"`
	Header  struct {
		To       string  `xml:"http://schemas.xmlsoap.org/ws/2004/08/addressing To"`
		ReplyTo  string  `xml:"http://schemas.xmlsoap.org/ws/2004/08/addressing ReplyTo>Address"`
		Action   string  `xml:"http://schemas.xmlsoap.org/ws/2004/08/addressing Action"`
		ID       string  `xml:"http://schemas.xmlsoap.org/ws/2004/08/addressing MessageID"`
		Size     string  `xml:"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd MaxEnvelopeSize"`
		Timeout  string  `xml:"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd OperationTimeout"`
		Resource string  `xml:"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd ResourceURI"`
		Selector []named `xml:"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd SelectorSet>Selector"`
		Options  []named `xml:"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd OptionSet>Option"`
	} `xml:"http://www.w3.org/2003/05/soap-envelope Header"`
	Body struct {
		Identify *struct{} `xml:"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd Identify"`
		Shell    struct {
			Input  string `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell InputStreams"`
			Output string `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell OutputStreams"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Shell"`
		Command struct {
			Command string   `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Command"`
			Args    []string `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Arguments"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell CommandLine"`
		Send struct {
			Streams []stream `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Stream"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Send"`
		Receive struct {
			Desired stream `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell DesiredStream"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Receive"`
		Signal struct {
			ID   string `xml:"CommandId,attr"`
			Code string `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Code"`
		} `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell Signal"`
	} `xml:"http://www.w3.org/2003/05/soap-envelope Body"`
}

type named struct {
	Name  string `xml:"Name,attr"`
	Value string `xml:",chardata"`
}

type stream struct {
	Name string `xml:"Name,attr"`
	ID   string `xml:"CommandId,attr"`
	End  string `xml:"End,attr"`
	Text string `xml:",chardata"`
}

// maxEnvelope is what the host reads: its default, in bytes.
const maxEnvelope = 512_000

func read(body io.Reader) (*request, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxEnvelope+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxEnvelope {
		return nil, errors.New("the message is larger than MaxEnvelopeSizekb allows")
	}
	var m request
	return &m, xml.Unmarshal(data, &m)
}

// check refuses what WinRM refuses.
func (m *request) check() error {
	h := m.Header
	if m.Body.Identify != nil {
		return nil
	}
	switch {
	case !strings.HasSuffix(h.To, "/wsman"), h.ReplyTo != "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous", !strings.HasPrefix(h.ID, "uuid:"):
		return errors.New("the addressing headers are not right")
	case h.Resource != spaceShell+"/cmd":
		return fmt.Errorf("the resource %q is not there", h.Resource)
	}
	if n, err := strconv.Atoi(h.Size); err != nil || n < 8192 {
		return fmt.Errorf("MaxEnvelopeSize %q", h.Size)
	}
	_, err := m.hold()
	return err
}

// hold is OperationTimeout.
func (m *request) hold() (time.Duration, error) {
	seconds, ok := strings.CutPrefix(m.Header.Timeout, "PT")
	d, err := time.ParseDuration(strings.ToLower(seconds))
	if !ok || err != nil || d <= 0 || d > holdLimit {
		return 0, fmt.Errorf("OperationTimeout %q", m.Header.Timeout)
	}
	return d, nil
}

func (m *request) selector(name string) string { return find(m.Header.Selector, name) }
func (m *request) option(name string) string   { return find(m.Header.Options, name) }

func find(list []named, name string) string {
	for _, n := range list {
		if n.Name == name {
			return n.Value
		}
	}
	return ""
}

// timedOut is the fault of a call that has been held back for as long as it may.
type timedOut struct{}

func (timedOut) Error() string {
	return "The WS-Management service cannot complete the operation within the time specified in OperationTimeout."
}

func faultOf(err error) string {
	code, sub := "2150858843", "w:InvalidSelectors"
	if errors.As(err, &timedOut{}) {
		code, sub = "2150858793", "w:TimedOut"
	}
	text := escape(err.Error())
	return fmt.Sprintf(`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>%s</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason>`+
		`<s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%s" Machine="127.0.0.1"><f:Message>%[2]s</f:Message></f:WSManFault></s:Detail></s:Fault>`, sub, text, code)
}

func envelope(body string) string {
	return `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"` +
		` xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="` + spaceShell + `">` +
		`<s:Header/><s:Body>` + body + `</s:Body></s:Envelope>`
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

// answer does what a message asks for.
func (h *Host) answer(r *http.Request, m *request) (string, error) {
	if m.Body.Identify != nil {
		return `<wsmid:IdentifyResponse xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor></wsmid:IdentifyResponse>`, nil
	}
	if m.Header.Action == "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create" {
		if m.Body.Shell.Input != "stdin" || m.Body.Shell.Output != "stdout stderr" {
			return "", errors.New("the shell has not the streams that commands need")
		}
		id := h.open()
		return `<x:ResourceCreated><a:ReferenceParameters><w:ResourceURI>` + spaceShell + `/cmd</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">` + id +
			`</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated><rsp:Shell><rsp:ShellId>` + id + `</rsp:ShellId></rsp:Shell>`, nil
	}
	id := m.selector("ShellId")
	h.mu.Lock()
	s := h.shells[id]
	h.mu.Unlock()
	if s == nil {
		return "", fmt.Errorf("the shell %q was not found on the server", id)
	}
	switch m.Header.Action {
	case "http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete":
		h.mu.Lock()
		delete(h.shells, id)
		h.mu.Unlock()
		s.end()
		return "", nil
	case spaceShell + "/Command":
		c, err := s.start(h.Home, m.Body.Command.Command, m.Body.Command.Args, m.option("WINRS_SKIP_CMD_SHELL") == "TRUE")
		if err != nil {
			return "", err
		}
		return `<rsp:CommandResponse><rsp:CommandId>` + c + `</rsp:CommandId></rsp:CommandResponse>`, nil
	case spaceShell + "/Send":
		for _, in := range m.Body.Send.Streams {
			c, err := s.command(in.ID)
			if err != nil {
				return "", err
			}
			data, err := base64.StdEncoding.DecodeString(in.Text)
			if err == nil {
				err = c.write(data, in.End == "true")
			}
			if err != nil {
				return "", err
			}
		}
		return `<rsp:SendResponse/>`, nil
	case spaceShell + "/Receive":
		c, err := s.command(m.Body.Receive.Desired.ID)
		if err != nil {
			return "", err
		}
		hold, _ := m.hold() // it has been checked
		return c.receive(r.Context(), m.Body.Receive.Desired.ID, hold)
	case spaceShell + "/Signal":
		c, err := s.command(m.Body.Signal.ID)
		if err != nil {
			return "", err
		}
		if m.Body.Signal.Code != spaceShell+"/signal/terminate" {
			return "", fmt.Errorf("the signal %q is not known", m.Body.Signal.Code)
		}
		c.kill()
		return `<rsp:SignalResponse/>`, nil
	}
	return "", fmt.Errorf("the action %q is not supported", m.Header.Action)
}
