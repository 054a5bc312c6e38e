package gce

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Operation is what a change is answered with: it goes on when we have the answer.
// Source: Compute Engine API, "ZoneOperations".
type Operation struct {
	Kinded
	Name              string   `json:"name"`
	ClientOperationID string   `json:"clientOperationId"` // the requestId
	OperationType     string   `json:"operationType"`
	Status            string   `json:"status"` // PENDING, RUNNING or DONE
	TargetID          string   `json:"targetId"`
	TargetLink        string   `json:"targetLink"`
	Zone              string   `json:"zone"`
	InsertTime        string   `json:"insertTime"`
	HTTPStatus        int      `json:"httpErrorStatusCode"`
	Error             Problems `json:"error"`
}

// Problems is why something failed, in the cloud's words.
type Problems struct {
	Errors []Problem `json:"errors"`
}

// Problem is one error of an operation, or of what a group tried.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// KindOperation is the kind of an Operation.
const KindOperation = "compute#operation"

// Change sends a request that changes something. An operation that failed at once is an error.
func (a API) Change(method, path string, query url.Values, body any) (Operation, error) {
	var op Operation
	if err := a.Call(method, path, query, body, KindOperation, &op); err != nil {
		return op, err
	}
	return op, a.Failure(op)
}

// Failure is why an operation failed; nil when it did not, or not yet.
func (a API) Failure(op Operation) error {
	if why := a.Texts.explain(op.Error.Errors, op.HTTPStatus); why != nil {
		return why
	}
	if op.HTTPStatus >= 400 {
		status := strconv.Itoa(op.HTTPStatus)
		return &abi.Error{Kind: kindOf(op.HTTPStatus), Code: status, Message: "the operation failed with status " + status}
	}
	return nil
}

// Explain is what the problems come to; nil when there are none.
func (a API) Explain(problems []Problem) *abi.Error { return a.Texts.explain(problems, 0) }

// explain tells of several problems the one that says most. status is that of the whole, 0 where there is none.
func (t *Texts) explain(problems []Problem, status int) *abi.Error {
	if len(problems) == 0 {
		return nil
	}
	if len(problems) > 1 && problems[0].Code == "VM_MIN_COUNT_NOT_REACHED" {
		problems = problems[1:] // a bulk insert's summary, before its reason
	}
	first := problems[0]
	for _, p := range problems { // one that we know says more
		if _, ok := meaningOf(p.Code); ok {
			first = p
			break
		}
	}
	m, ok := meaningOf(first.Code)
	if !ok {
		m.kind = abi.Transient
		if status != 0 {
			m.kind = kindOf(status)
		}
	}
	return t.told(m, first.Code, first.Message)
}

// RequestID makes a UUID of texts. The same texts give the same one, by which the cloud knows a request that it has had.
func RequestID(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562, version 8: of one's own making
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
