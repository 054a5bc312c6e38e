package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/trace"
)

// recordFile is the record's name in a job's folder.
const recordFile = "job.json"

// recordVersion is the version of the record; see progressVersion.
const recordVersion = 1

// Record is what a job was begun with. It holds the job's tokens, so its folder belongs on a tmpfs and to the agent's user alone.
type Record struct {
	Version           int
	Job               *coordinator.Job
	CorrelationID     string              // of Job, which leaves it out of JSON
	TLS               coordinator.TLSData // of Job too
	RunnerKey         string
	Runner            *config.Runner // as it was when the job began; without the credentials of its cache
	SystemID          string
	Slot, ProjectSlot int
	Began             time.Time
}

// Save writes the record into a new folder, which is made readable for this user alone.
func (r *Record) Save(dir string) error {
	written, runner := *r, *r.Runner
	written.Version, written.Runner = recordVersion, &runner
	written.CorrelationID, written.TLS = r.Job.CorrelationID, r.Job.TLS
	c := &runner.Cache // whoever takes the job up has its own, perhaps newer ones
	c.S3.SecretKey, c.S3.SessionToken, c.GCS.PrivateKey, c.Azure.AccountKey = "", "", "", ""
	data, err := json.Marshal(revealed(reflect.ValueOf(written)))
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, recordFile), data, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("record of job %d: %w", r.Job.ID, err), os.RemoveAll(dir))
	}
	return nil
}

// Kept is a job that an agent before has begun.
type Kept struct {
	Record
	Dir      string
	Machine  string // where it is prepared; "" when it is not, or on no machine
	Seat     int    // its number there
	Prepared bool
	Lost     error // why it can't be taken up, though it can be reported; nil when it can
}

// Load reads the folder of a job. The error tells what can't be taken up and of which nobody can be told, as the record is not there.
func Load(dir string) (Kept, error) {
	k := Kept{Dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err == nil {
		err = json.Unmarshal(data, &k.Record)
	}
	if err == nil && (k.Job == nil || k.Runner == nil || k.Job.ID <= 0 || k.Job.Token == "" || k.Runner.URL == "") {
		err = errors.New("it names no job or no runner")
	}
	if err != nil {
		return k, fmt.Errorf("record of a job in %s: %w", dir, err)
	}
	k.Job.CorrelationID, k.Job.TLS = k.CorrelationID, k.TLS
	if k.Version != recordVersion { // of another release: what every release writes is enough to report the job
		k.Lost = fmt.Errorf("its record has version %d, this agent reads %d", k.Version, recordVersion)
		return k, nil
	}
	state, err := trace.State(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil // the job has not been accepted
	}
	var p progress
	if err == nil {
		p, err = readProgress(state)
	}
	if err != nil {
		k.Lost = err
		return k, nil
	}
	r := run{}
	r.progress = p
	if k.Prepared = r.isPrepared(); k.Prepared {
		k.Machine, k.Seat = p.Machine, p.Seat
	}
	return k, nil
}

// revealed is a value as encoding/json takes it, with secrets as they are: those of the configuration hide themselves from it.
func revealed(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case config.Secret:
		return x.Reveal()
	case json.Marshaler: // times, and JSON as it came
		if v.Kind() == reflect.Slice && v.Len() == 0 {
			return nil
		}
		return x
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return revealed(v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = revealed(v.Index(i))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[key.String()] = revealed(v.MapIndex(key))
		}
		return out
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !field.IsExported() || name == "-" {
				continue
			}
			if name == "" {
				name = field.Name
			}
			out[name] = revealed(v.Field(i))
		}
		return out
	}
	return v.Interface()
}
