package signin

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The environment is read once in a process, so each of its values has a process of its own.
const asked = "MILLWRIGHT_TEST_ASK"

func TestMain(m *testing.M) {
	url := os.Getenv(asked)
	if url == "" {
		os.Exit(m.Run())
	}
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	proxy, err := Proxy(r)
	switch {
	case err != nil:
		os.Stdout.WriteString(err.Error())
	case proxy == nil:
		os.Stdout.WriteString("direct")
	default:
		os.Stdout.WriteString(proxy.Host)
	}
	os.Exit(0)
}

func TestProxy(t *testing.T) {
	for _, tt := range []struct{ proxy, url, want string }{
		{"http://proxy.example:3128", "https://sts.example/", "proxy.example:3128"},
		{"http://proxy.example:3128", "http://169.254.169.254/latest", "direct"},
		{"http://proxy.example:3128", "http://[fd00:ec2::254]/latest", "direct"},
		{"http://proxy.example:3128", "http://[fd00:ec2::255]/latest", "proxy.example:3128"},
		{"http://proxy.example:3128", "http://127.0.0.1:4000/", "direct"},
		{"", "https://sts.example/", "direct"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{asked + "=" + tt.url, "HTTP_PROXY=" + tt.proxy, "HTTPS_PROXY=" + tt.proxy}
		out, err := cmd.Output()
		if err != nil || string(out) != tt.want {
			t.Errorf("%s with the proxy %s: %q, %v; want %q", tt.url, tt.proxy, out, err, tt.want)
		}
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/elsewhere") {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	}))
	defer server.Close()
	c := Client(time.Minute)
	defer c.CloseIdleConnections()
	resp, err := c.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		t.Errorf("got %s", resp.Status)
	}
}
