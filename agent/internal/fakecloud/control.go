package fakecloud

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// control adds what tests steer the cloud by.
func (c *Cloud) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /control/settings", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, c.Settings()) })
	mux.HandleFunc("PUT /control/settings", take(func(s Settings) error { c.Configure(s); return nil }))
	mux.HandleFunc("GET /control/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, c.Faults()) })
	mux.HandleFunc("POST /control/faults", take(func(f Fault) error { c.Inject(f); return nil }))
	mux.HandleFunc("DELETE /control/faults", func(w http.ResponseWriter, _ *http.Request) { c.Heal(); reply(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("GET /control/summary", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, c.Summary()) })
	mux.HandleFunc("GET /control/ledger", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		reply(w, http.StatusOK, c.Ledger(after, r.URL.Query()["what"]...))
	})
	mux.HandleFunc("POST /control/instances/{name}/{act}", func(w http.ResponseWriter, r *http.Request) {
		notice, _ := strconv.Atoi(r.URL.Query().Get("notice_ms"))
		done(w, c.Act(r.PathValue("name"), Act(r.PathValue("act")), milliseconds(notice)))
	})
}

// take serves what takes a value.
func take[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields() // a misspelled fault would never hit
		err := d.Decode(&v)
		if err != nil {
			err = refuse(http.StatusBadRequest, CodeInvalid, "the body: "+err.Error())
		} else {
			err = do(v)
		}
		done(w, err)
	}
}

func done(w http.ResponseWriter, err error) {
	var no *refusal
	if errors.As(err, &no) {
		reply(w, no.status, map[string]any{"error": no})
		return
	}
	reply(w, http.StatusOK, struct{}{})
}
