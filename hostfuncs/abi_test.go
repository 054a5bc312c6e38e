package hostfuncs_test

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/hostfuncs"
	"github.com/millwright-ci/millwright/hostfuncs/httpsend"
	"github.com/millwright-ci/millwright/hostfuncs/logs"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestABINamesEverything checks that ABI.md tells of each field of each payload, each kind and each function.
func TestABINamesEverything(t *testing.T) {
	data, err := os.ReadFile("ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	names := map[string]string{}
	for _, payload := range []any{
		abi.Describe{}, abi.Snapshot{}, abi.Proposal{}, abi.ObserveRequest{}, abi.ValidateRequest{}, abi.ValidateResult{}, abi.Result{},
		abi.Error{}, abi.CreateRequest{}, abi.ListRequest{}, abi.ListResult{}, abi.RemoveRequest{}, abi.CheckRequest{}, abi.CheckResult{}, abi.Instance{},
		abi.LogRecord{}, abi.HTTPRequest{}, abi.HTTPResponse{},
	} {
		fields(reflect.TypeOf(payload), names)
	}
	for _, f := range hostfuncs.Table() {
		names[f.Name] = "the table of host functions"
	}
	for _, kind := range []abi.ErrorKind{abi.NotFound, abi.Conflict, abi.Quota, abi.Capacity, abi.Auth, abi.RateLimited, abi.Invalid, abi.Transient} {
		names[string(kind)] = "the kinds of error"
	}
	for name, where := range names {
		if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+"(") && !strings.Contains(text, `"`+name+`"`) {
			t.Errorf("ABI.md does not name %s, which is in %s", name, where)
		}
	}
	for what, number := range map[string]string{
		"request":  strconv.Itoa(httpsend.MaxRequest>>20) + " MB",
		"answer":   strconv.Itoa(httpsend.MaxResponse>>20) + " MB",
		"records":  strconv.Itoa(logs.MaxRecords),
		"deadline": strconv.Itoa(int(httpsend.MaxDeadline.Seconds())) + ",000",
	} {
		if !strings.Contains(text, number) {
			t.Errorf("ABI.md does not give the limit of the %s as %s", what, number)
		}
	}
}

// fields collects the wire names of a struct and of all that it holds.
func fields(typ reflect.Type, into map[string]string) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		into[name] = typ.String()
		fields(f.Type, into)
	}
}
