package main

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Bounds of a list: entries of a page, the most that Hetzner gives, and pages.
const (
	perPage  = 50
	maxPages = 200
)

// page is one page of a list, whose entries lie under a name of their own: servers.
type page[T any] struct {
	what    string
	entries *[]T
	meta    *struct {
		Pagination struct {
			Next  int `json:"next_page"` // null at the end
			Total int `json:"total_entries"`
		} `json:"pagination"`
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *page[T]) UnmarshalJSON(data []byte) error {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	if raw, ok := body["meta"]; ok {
		if err := json.Unmarshal(raw, &p.meta); err != nil {
			return err
		}
	}
	if raw, ok := body[p.what]; ok {
		return json.Unmarshal(raw, &p.entries)
	}
	return nil
}

// Whole implements rest.Answer.
func (p *page[T]) Whole() bool { return p.entries != nil && p.meta != nil }

// pages reads all pages of a list: what is servers, ssh_keys and so on. It is not complete when there is less in them than Hetzner counts, or a page
// more than are wanted.
func pages[T any](a rest.API, what string, query url.Values) (all []T, complete bool, err error) {
	query.Set("per_page", strconv.Itoa(perPage))
	for n := 1; n <= maxPages; n++ {
		query.Set("page", strconv.Itoa(n))
		p := page[T]{what: what}
		if _, err := a.Call("GET", "/"+what, query, nil, &p); err != nil {
			return nil, false, err
		}
		all = append(all, *p.entries...)
		if p.meta.Pagination.Next == 0 {
			return all, len(all) >= p.meta.Pagination.Total, nil
		}
	}
	return all, false, nil
}

// entry is what has a number and a name.
type entry struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// lookUp returns the number of what an option names: networks, firewalls, volumes, primary_ips, images. more are parameters beside the name.
func lookUp(a rest.API, option, what, item string, more url.Values) (int64, error) {
	if n := number(item); n != 0 {
		return n, nil
	}
	query := url.Values{"name": {item}}
	for name, values := range more {
		query[name] = values
	}
	found, _, err := pages[entry](a, what, query)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, &abi.Error{Kind: abi.Invalid, Message: option + ": there is none of the name " + strconv.Quote(item)}
	}
	return found[0].ID, nil
}
