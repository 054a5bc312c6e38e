package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// answers is an engine that gives the same answers to the same calls: path (or method and path) without the version, status and body.
type answers map[string]struct {
	status int
	body   string
}

// engineSaying serves a over HTTP and returns options that lead to it. Calls without an answer are what an empty engine says.
func engineSaying(t *testing.T, a answers) abi.Options {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if rest, found := strings.CutPrefix(path, "/v1."); found {
			_, path, _ = strings.Cut(rest, "/")
			path = "/" + path
		}
		answer, ok := a[r.Method+" "+path]
		switch {
		case ok:
		case path == "/version":
			answer.body = `{"ApiVersion":"1.41","MinAPIVersion":"1.12"}`
		case path == "/containers/json":
			answer.body = `[]`
		case path == "/networks":
			answer.body = `[{"Id":"n1","Name":"millwright"},{"Id":"n0","Name":"millwright-2"}]`
		case path == "/volumes":
			answer.body = `{"Volumes":[]}`
		case path == "/volumes/create":
			answer.body = `{"Labels":{"io.millwright.owner":"owner1","io.millwright.machine":"m1"}}`
		case r.Method == http.MethodGet:
			answer.status, answer.body = http.StatusNotFound, `{"message":"not found"}`
		default:
			answer.status = http.StatusNoContent
		}
		if answer.status != 0 {
			w.WriteHeader(answer.status)
		}
		io.WriteString(w, answer.body)
	}))
	t.Cleanup(srv.Close)
	return abi.Options{optHost: {srv.URL}}
}

var testOwner = abi.Owner{ID: "owner1", Runner: "r"}

func TestErrorKinds(t *testing.T) {
	const volumes = `{"Volumes":[{"Name":"m1-docker","Labels":{"io.millwright.machine":"m1"}}]}`
	for name, c := range map[string]struct {
		call    string // create, list or remove
		answers answers
		kind    abi.ErrorKind
		text    string
	}{
		"an engine of 2018": {"list", answers{"GET /version": {200, `{"ApiVersion":"1.39","MinAPIVersion":"1.12"}`}}, abi.Invalid, "upgrade it"},
		"no engine at all":  {"list", answers{"GET /version": {200, `<html>`}}, abi.Transient, "no proper JSON"},
		"a broken engine":   {"list", answers{"GET /containers/json": {500, `{"message":"database is locked"}`}}, abi.Transient, "list the containers: database is locked"},
		"not allowed":       {"list", answers{"GET /volumes": {403, `{"message":"authorization denied by plugin"}`}}, abi.Auth, "denied by plugin"},
		"too many calls":    {"list", answers{"GET /volumes": {429, `slow down`}}, abi.RateLimited, "slow down"},
		"no such image": {"create", answers{"POST /containers/create": {404, `{"message":"No such image: x:latest"}`}},
			abi.Invalid, "go tool task machine-image"},
		"no space": {"create", answers{"POST /containers/create": {500, `{"message":"write /var/lib/docker/x: no space left on device"}`}},
			abi.Capacity, "free disk space"},
		"no subnet left": {"create", answers{"GET /networks": {200, `[]`}, "POST /networks/create": {400, `{"message":"could not find an available, non-overlapping IPv4 address pool"}`}},
			abi.Quota, "remove unused networks"},
		"too many CPUs": {"create", answers{"POST /containers/create": {400, `{"message":"Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"}`}},
			abi.Invalid, "only 2 CPUs available"},
		"somebody's container": {"create", answers{"GET /containers/m1/json": {200, `{"Id":"0123456789abcdef","Config":{"Labels":{}}}`}},
			abi.Conflict, "0123456789ab"},
		"somebody's volume": {"create", answers{"POST /volumes/create": {200, `{"Labels":null}`}}, abi.Conflict, "volume m1-docker that this agent did not make"},
		"volume in use":     {"remove", answers{"GET /volumes": {200, volumes}, "DELETE /volumes/m1-docker": {409, `{"message":"volume is in use"}`}}, abi.Conflict, "remove the volume m1-docker"},
		"a container that stays": {"remove", answers{"GET /containers/json": {200, `[{"Id":"0123456789abcdef"}]`}, "DELETE /containers/0123456789abcdef": {500, `{"message":"device or resource busy"}`}},
			abi.Transient, "remove the container 0123456789ab: device or resource busy"},
		"a container that is going, with a volume in use": {"remove", answers{
			"GET /containers/json":                {200, `[{"Id":"0123456789abcdef"}]`},
			"DELETE /containers/0123456789abcdef": {409, `{"message":"removal of container 0123456789abcdef is already in progress"}`},
			"GET /volumes":                        {200, volumes}, "DELETE /volumes/m1-docker": {409, `{"message":"volume is in use"}`},
		}, abi.Conflict, "volume is in use"},
		"gone in between": {"remove", answers{
			"GET /containers/json":                {200, `[{"Id":"0123456789abcdef"}]`},
			"DELETE /containers/0123456789abcdef": {404, `{"message":"No such container"}`},
			"GET /volumes":                        {200, volumes}, "DELETE /volumes/m1-docker": {404, `{"message":"no such volume"}`},
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			checkKind(t, call(c.call, engineSaying(t, c.answers)), c.kind, c.text)
		})
	}
}

func TestUnreachable(t *testing.T) {
	checkKind(t, call("list", abi.Options{optHost: {"unix:///no/such/docker.sock"}}), abi.Transient, "start the engine or correct docker-host")
	checkKind(t, call("list", abi.Options{optHost: {"http://127.0.0.1:1"}}), abi.Transient, "http://127.0.0.1:1")
	denied := engine{}.unreachable(&abi.HTTPError{Kind: "denied", Message: "unix:///x"})
	checkKind(t, denied, abi.Auth, "grant this hostname to the driver in millwright.toml")
	checkKind(t, engine{}.unreachable(&abi.HTTPError{Kind: "connect", Message: "dial unix /x: connect: permission denied"}), abi.Auth, "group docker")
}

func TestBadKeys(t *testing.T) {
	_, err := dockerDriver{}.Create(abi.CreateRequest{Owner: testOwner, Name: "../m1"})
	checkKind(t, err, abi.Invalid, "the machine name `../m1`")
	_, err = dockerDriver{}.List(abi.ListRequest{})
	checkKind(t, err, abi.Invalid, "the owner id ``")
	checkKind(t, dockerDriver{}.Remove(abi.RemoveRequest{Owner: testOwner}), abi.Invalid, "no machine is named")
}

func TestVersions(t *testing.T) {
	for answer, want := range map[string]string{
		`{"ApiVersion":"1.40","MinAPIVersion":"1.12"}`: "/v1.40",
		`{"ApiVersion":"1.51","MinAPIVersion":"1.24"}`: "/v1.45",
		`{"ApiVersion":"1.99","MinAPIVersion":"1.60"}`: "/v1.60",
	} {
		s, err := usable(engineSaying(t, answers{"GET /version": {200, answer}}))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := connect(s); err != nil || e.prefix != want {
			t.Errorf("%s: %q, %v; want %s", answer, e.prefix, err, want)
		}
	}
}

func call(what string, o abi.Options) error {
	var err error
	switch what {
	case "create":
		_, err = dockerDriver{}.Create(abi.CreateRequest{Owner: testOwner, Name: "m1", Options: o})
	case "list":
		_, err = dockerDriver{}.List(abi.ListRequest{Owner: testOwner, Options: o})
	case "remove":
		err = dockerDriver{}.Remove(abi.RemoveRequest{Owner: testOwner, Name: "m1", Options: o})
	}
	return err
}

func checkKind(t *testing.T, err error, kind abi.ErrorKind, text string) {
	t.Helper()
	if kind == "" {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
		return
	}
	var e *abi.Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, text) {
		t.Errorf("got %v, want the kind %s and %q", err, kind, text)
	}
}
