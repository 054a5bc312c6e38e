package coordinator

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReply reads bodies that a coordinator might send: a job, and the words of a refusal, which must fit one line of a log.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"id": 1, "token": "t", "git_info": {"repo_url": "https://u:p@host/a.git"}, "steps": null}`))
	f.Add([]byte(`{"message": {"a": ["b", {"c": null}]}}`))
	f.Add([]byte(`<Error><Message>text</Message></Error>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if m := message(body); len(m) > maxMessage+len("...") || strings.ContainsAny(m, "\n\r\x1b") || !utf8.ValidString(m) {
			t.Errorf("message %q", m)
		}
		var job Job
		if json.Unmarshal(body, &job) == nil {
			_ = job.RepoCleanURL()
		}
	})
}
