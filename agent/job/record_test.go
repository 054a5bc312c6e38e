package job_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/job"
)

// fill gives every field of a value something that is not zero.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 8, 22, 10, 11, 12, 13, time.UTC)
		return
	case *json.RawMessage:
		*x = json.RawMessage(`{"a":1}`)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Elem().Kind() == reflect.Struct { // false and 0 behind a pointer are not the same as none
			fill(v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		v.Set(reflect.ValueOf("any"))
	default:
		if v.CanInt() {
			v.SetInt(7)
		}
		if v.CanFloat() {
			v.SetFloat(1.5)
		}
	}
}

// A record keeps all that the payload and the runner's configuration hold, secrets too, for this user alone; but not the credentials of the
// cache, which outlive the job.
func TestRecord(t *testing.T) {
	var want job.Record
	fill(reflect.ValueOf(&want).Elem())
	dir := filepath.Join(t.TempDir(), "7")
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := job.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &want.Runner.Cache
	c.S3.SecretKey, c.S3.SessionToken, c.GCS.PrivateKey, c.Azure.AccountKey = "", "", "", ""
	want.Version, want.CorrelationID, want.TLS = got.Version, want.Job.CorrelationID, want.Job.TLS
	if diff := cmp.Diff(want, got.Record); diff != "" {
		t.Error(diff)
	}
	if got.Job.Token.Reveal() != "text" || got.Runner.Token.Reveal() != "text" {
		t.Error("a secret is lost")
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "job.json"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// A folder tells what can't be taken up, and what can at least be reported.
func TestLoadDamaged(t *testing.T) {
	const record = `{"Version":1,"Job":{"id":7,"token":"t"},"Runner":{"url":"http://gitlab.test"}}`
	for _, tt := range []struct {
		name               string
		record, checkpoint string
		unread             bool   // nobody can be told
		lost               string // in the reason; "" takes the job up
	}{
		{name: "begun", record: record},
		{name: "accepted", record: record, checkpoint: `{"version":1,"state":{"version":1,"accepted":true}}`},
		{name: "record half-written", record: record[:40], unread: true},
		{name: "no record", unread: true},
		{name: "record of nothing", record: `{"Version":1}`, unread: true},
		{name: "record of another release", record: strings.Replace(record, "1", "9", 1), lost: "version 9, this agent reads 1"},
		{name: "checkpoint spoilt", record: record, checkpoint: `{"version":1,`, lost: "checkpoint: unexpected end"},
		{name: "checkpoint of another release", record: record, checkpoint: `{"version":9}`, lost: "version 9"},
		{name: "state of another release", record: record, checkpoint: `{"version":1,"state":{"version":9}}`, lost: "version 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"job.json": tt.record, "checkpoint": tt.checkpoint} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			k, err := job.Load(dir)
			if (err != nil) != tt.unread {
				t.Fatalf("error %v", err)
			}
			if (k.Lost != nil) != (tt.lost != "") || k.Lost != nil && !strings.Contains(k.Lost.Error(), tt.lost) {
				t.Errorf("lost: %v, want %q", k.Lost, tt.lost)
			}
			if !tt.unread && k.Job.ID != 7 {
				t.Errorf("job %d", k.Job.ID)
			}
		})
	}
}
