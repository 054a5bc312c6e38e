package provision

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// plainCurl fetches a file over HTTP without TLS, called as install.sh calls curl, which the machine image has not.
const plainCurl = `#!/bin/bash
while [ $# -gt 1 ]; do
	if [ "$1" = -o ]; then file=$2; fi
	shift
done
rest=${1#http://} host=${rest%%/*}
exec 3<>"/dev/tcp/${host%:*}/${host#*:}" || exit 7
printf 'GET /%s HTTP/1.0\r\n\r\n' "${rest#*/}" >&3
read -r _ code _ <&3
if [ "$code" != 200 ]; then
	echo "the server answers $code" >&2
	exit 22
fi
while read -r line <&3 && [ "$line" != $'\r' ]; do :; done
cat <&3 >"$file"
`

// TestRealInstallScript has a machine whose engine is put aside, and the script of an engine-install-url that brings it back.
func TestRealInstallScript(t *testing.T) {
	local := localEngine(t)
	p := newTest(t, Options{Debug: testLog{t}})
	m := startMachine(t, local, p, "root")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	site := serveOnGateway(t, local, m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/get" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "set -e\necho putting the engine back\nmv /aside/dockerd /usr/sbin/dockerd\n")
	}))
	if err := local.CopyToContainer(ctx, m.Name, "/usr/local/bin", tarOf(t, "curl", []byte(plainCurl)), container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	if out, err := sayIn(ctx, local, m.Name, "mkdir /aside && mv $(command -v dockerd) /aside/ && ! command -v dockerd"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.Options = abi.Options{"engine-install-url": {site + "/nowhere"}}
	if _, err := p.Provision(ctx, m, nil); err == nil || !strings.Contains(err.Error(), "error installing docker: on Debian") || !strings.Contains(err.Error(), "the server answers 404") {
		t.Errorf("a script that is not there: %v", err)
	}
	m.Options = abi.Options{"engine-install-url": {site + "/get"}}
	if _, err := p.Provision(ctx, m, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(ctx, m); err != nil {
		t.Error(err)
	}
}

// serveOnGateway serves where machines on the network of reachedBy have their gateway, and returns the server's URL.
func serveOnGateway(t *testing.T, local *client.Client, reachedBy fleet.Machine, h http.Handler) string {
	t.Helper()
	info, err := local.ContainerInspect(t.Context(), reachedBy.Name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(info.NetworkSettings.Gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}
