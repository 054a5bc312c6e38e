package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// credential is what the host signs with, by this name and scheme.
var credential = abi.Sign{Scheme: "google-oauth2", Credential: "google"}

// resourcePrefix begins the URLs by which bodies name resources, whatever the endpoint is.
const resourcePrefix = "https://www.googleapis.com/compute/v1/"

// answer is what each of the API's answers begins with; kind tells an answer from what a proxy made up.
type answer interface{ kind() string }

// kinded is embedded in answers.
type kinded struct {
	Kind string `json:"kind"`
}

func (k kinded) kind() string { return k.Kind }

// expected is an answer that must be of a kind.
type expected struct {
	answer
	want string
}

// UnmarshalJSON reads the answer itself.
func (e expected) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, e.answer) }

// Whole implements rest.Answer.
func (e expected) Whole() bool { return e.kind() == e.want }

// call sends one request and reads the answer into out, which must be of the kind given (compute#instance). path is below the API's
// version. Every failure, a status of 400 and more included, is an *abi.Error.
func (p place) call(method, path string, query url.Values, body any, kind string, out answer) error {
	a := rest.API{Endpoint: p.endpoint, Sign: credential, Token: "see " + todoCredential, Refused: refused}
	_, err := a.Call(method, "/compute/v1/"+path, query, body, &expected{out, kind})
	return err
}

// of joins parts of a path below the project.
func (p place) of(parts ...string) string { return inProject(p.project, parts...) }

// inZone joins parts of a path below the zone.
func (p place) inZone(parts ...string) string {
	return p.of(append([]string{"zones", p.zone}, parts...)...)
}

func inProject(project string, parts ...string) string {
	path := "projects/" + url.PathEscape(project)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// operation is what a change is answered with: it goes on when we have the answer.
// Source: Compute Engine API, "ZoneOperations".
type operation struct {
	kinded
	Name              string `json:"name"`
	ClientOperationID string `json:"clientOperationId"` // the requestId
	OperationType     string `json:"operationType"`
	Status            string `json:"status"` // PENDING, RUNNING or DONE
	TargetID          string `json:"targetId"`
	TargetLink        string `json:"targetLink"`
	Zone              string `json:"zone"`
	InsertTime        string `json:"insertTime"`
	HTTPStatus        int    `json:"httpErrorStatusCode"`
	Error             struct {
		Errors []problem `json:"errors"`
	} `json:"error"`
}

// problem is one error of an operation.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

const kindOperation = "compute#operation"

// change sends a request that changes something. An operation that failed at once is an error.
func (p place) change(method, path string, query url.Values, body any) (operation, error) {
	var op operation
	if err := p.call(method, path, query, body, kindOperation, &op); err != nil {
		return op, err
	}
	return op, op.failure()
}

// requestID makes a UUID of texts. The same texts give the same one, by which the cloud knows a request that it has had.
func requestID(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562, version 8: of one's own making
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// lastPart is a resource's name of its URL.
func lastPart(link string) string { return link[strings.LastIndexByte(link, '/')+1:] }
