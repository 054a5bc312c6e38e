package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// ask runs one export of the driver on the bytes that the host would send, in this process.
func ask[Res any](t *testing.T, export string, req any) (Res, *abi.Error) {
	t.Helper()
	in, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := driver.Call(driver.Registered(), export, in)
	if err != nil {
		t.Fatal(err)
	}
	var envelope abi.Result
	if err := json.Unmarshal(out, &envelope); err != nil {
		t.Fatal(err)
	}
	var res Res
	if envelope.Error == nil {
		err = json.Unmarshal(envelope.OK, &res)
	}
	if err != nil {
		t.Fatal(err)
	}
	return res, envelope.Error
}

// provider answers each request, written as METHOD PATH, with what stands there: a status and a body. What is missing is a 404.
func provider(t *testing.T, answers map[string]string) (endpoint string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + r.URL.RequestURI()
		*asked = append(*asked, what)
		status, body, _ := strings.Cut(answers[what], " ")
		switch status {
		case "":
			w.WriteHeader(http.StatusNotFound)
		case "429":
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(http.StatusTooManyRequests)
		case "200", "202":
			io.WriteString(w, body)
		default:
			w.WriteHeader(map[string]int{"400": 400, "401": 401, "403": 403, "409": 409, "500": 500, "503": 503}[status])
			io.WriteString(w, body)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

var me = abi.Owner{ID: "o1", Runner: "r1"}

const mine = `{"id":"i-1","name":"m","status":"running","address":"10.0.0.1","tags":{"millwright-owner":"o1"}}`

func TestCreate(t *testing.T) {
	theirs := strings.Replace(mine, `"o1"`, `"o2"`, 1)
	for name, tc := range map[string]struct {
		answers map[string]string
		kind    abi.ErrorKind // "" is success
		wait    int
	}{
		"made":              {map[string]string{"POST /v1/instances": "200 " + mine}, "", 0},
		"there already":     {map[string]string{"POST /v1/instances": "409", "GET /v1/instances/m": "200 " + mine}, "", 0},
		"somebody else's":   {map[string]string{"POST /v1/instances": "409", "GET /v1/instances/m": "200 " + theirs}, abi.Conflict, 0},
		"being deleted":     {map[string]string{"POST /v1/instances": "409", "GET /v1/instances/m": "200 " + strings.Replace(mine, "running", "deleting", 1)}, abi.Conflict, 0},
		"gone in between":   {map[string]string{"POST /v1/instances": "409"}, abi.Transient, 0},
		"bad zone":          {map[string]string{"POST /v1/instances": `400 {"error":{"code":"INVALID","message":"no zone z"}}`}, abi.Invalid, 0},
		"bad token":         {map[string]string{"POST /v1/instances": `401 {"error":{"code":"UNAUTHENTICATED","message":"who?"}}`}, abi.Auth, 0},
		"over the quota":    {map[string]string{"POST /v1/instances": `403 {"error":{"code":"QUOTA_EXCEEDED","message":"full"}}`}, abi.Quota, 0},
		"no machines left":  {map[string]string{"POST /v1/instances": `503 {"error":{"code":"ZONE_RESOURCE_POOL_EXHAUSTED","message":"none"}}`}, abi.Capacity, 0},
		"too many calls":    {map[string]string{"POST /v1/instances": "429"}, abi.RateLimited, 9},
		"trouble":           {map[string]string{"POST /v1/instances": "500 <html>"}, abi.Transient, 0},
		"an answer of junk": {map[string]string{"POST /v1/instances": "200 <html>"}, abi.Transient, 0},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := provider(t, tc.answers)
			made, err := ask[abi.Instance](t, abi.ExportCreate, abi.CreateRequest{Owner: me, Name: "m", Options: abi.Options{optEndpoint: {endpoint}}})
			switch {
			case tc.kind == "" && (err != nil || made.ID != "i-1" || made.Status != abi.StatusRunning || made.Address != "10.0.0.1"):
				t.Errorf("%+v, %v", made, err)
			case tc.kind != "" && (err == nil || err.Kind != tc.kind || err.Message == "" || err.RetryAfterS != tc.wait):
				t.Errorf("%+v; want the kind %s", err, tc.kind)
			}
		})
	}
}

func TestList(t *testing.T) {
	const first, second = "GET /v1/instances?tag=millwright-owner%3Ao1", "GET /v1/instances?page=m&tag=millwright-owner%3Ao1"
	for name, tc := range map[string]struct {
		answers  map[string]string
		shown    int
		complete bool
		kind     abi.ErrorKind
	}{
		"nothing":         {map[string]string{first: `200 {"instances":[]}`}, 0, true, ""},
		"two pages":       {map[string]string{first: `200 {"instances":[` + mine + `],"next":"m"}`, second: `200 {"instances":[` + mine + `]}`}, 2, true, ""},
		"a page is lost":  {map[string]string{first: `200 {"instances":[` + mine + `],"next":"m"}`, second: "500"}, 1, false, ""},
		"a zone is away":  {map[string]string{first: `200 {"instances":[` + mine + `],"unreachable":["b"]}`}, 1, false, ""},
		"nothing is read": {map[string]string{first: "500"}, 0, false, abi.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := provider(t, tc.answers)
			list, err := ask[abi.ListResult](t, abi.ExportList, abi.ListRequest{Owner: me, Options: abi.Options{optEndpoint: {endpoint}}})
			if err != nil && err.Kind != tc.kind || (err == nil) != (tc.kind == "") || len(list.Instances) != tc.shown || list.Complete != tc.complete {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	const look, remove = "GET /v1/instances/m", "DELETE /v1/instances/m?id=i-1"
	for name, tc := range map[string]struct {
		answers map[string]string
		asked   int
		kind    abi.ErrorKind
	}{
		"removed":         {map[string]string{look: "200 " + mine, remove: "202"}, 2, ""},
		"gone":            {nil, 1, ""},
		"somebody else's": {map[string]string{look: "200 " + strings.Replace(mine, `"o1"`, `"o2"`, 1)}, 1, ""},
		"gone meanwhile":  {map[string]string{look: "200 " + mine}, 2, ""},
		"made anew":       {map[string]string{look: "200 " + mine, remove: "409"}, 2, abi.Conflict},
		"trouble":         {map[string]string{look: "500"}, 1, abi.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, asked := provider(t, tc.answers)
			_, err := ask[struct{}](t, abi.ExportRemove, abi.RemoveRequest{Owner: me, Name: "m", Options: abi.Options{optEndpoint: {endpoint}}})
			if (err == nil) != (tc.kind == "") || err != nil && err.Kind != tc.kind || len(*asked) != tc.asked {
				t.Errorf("%v after %v; want the kind %q", err, *asked, tc.kind)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for value, want := range map[string]int{
		"http://127.0.0.1:7070": 0, "https://cloud.example.com": 0, "": 1, "cloud.example.com": 1, "ftp://x": 1, "http://": 1, "http://x/path": 1,
	} {
		options := abi.Options{optEndpoint: {value}, optZone: {"a"}}
		res, err := ask[abi.ValidateResult](t, abi.ExportValidate, abi.ValidateRequest{Options: options})
		if err != nil || len(res.Problems) != want {
			t.Errorf("%q: %v, %v; want %d problems", value, res.Problems, err, want)
		}
		if _, err := ask[abi.Instance](t, abi.ExportCreate, abi.CreateRequest{Owner: me, Name: "m", Options: options}); want > 0 && (err == nil || err.Kind != abi.Invalid) {
			t.Errorf("%q: create: %v; want invalid", value, err)
		}
	}
}

func TestStatuses(t *testing.T) {
	for provider, want := range map[string]abi.Status{
		"provisioning": abi.StatusCreating, "running": abi.StatusRunning, "stopped": abi.StatusStopped, "preempting": abi.StatusInterrupted,
		"deleting": abi.StatusGone, "repairing": abi.StatusUnknown, "": abi.StatusUnknown,
	} {
		if got := status(provider); got != want {
			t.Errorf("%q is %s, want %s", provider, got, want)
		}
	}
}
