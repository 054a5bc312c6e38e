package main

import (
	"fmt"
	"sort"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
)

// changed is the SDK's answer to a change; how it goes on is said by the headers that serve adds.
func changed[T any](status int, v T, no *refusal) (resp azfake.PollerResponder[T], failed azfake.ErrorResponder) {
	if no != nil {
		failed.SetError(no)
		return resp, failed
	}
	resp.SetTerminalResponse(status, v, nil)
	return resp, failed
}

// told is the SDK's answer to a question.
func told[T any](status int, v T, no *refusal) (resp azfake.Responder[T], failed azfake.ErrorResponder) {
	if no != nil {
		failed.SetError(no)
		return resp, failed
	}
	resp.SetResponse(status, v, nil)
	return resp, failed
}

// onePage is the SDK's answer to a list, of the page that was asked for.
func onePage[T any](v T) (resp azfake.PagerResponder[T]) {
	resp.AddPage(200, v, nil)
	return resp
}

// paged returns the part of a list that a request asks for, and the link to the next; nil is the end. A partial list has its first entries on a page
// that never comes.
func paged[T any](c *cloud, r *request, all []T) ([]T, *string) {
	from := min(r.skip(), len(all))
	to1 := len(all)
	if c.settings.PageSize > 0 {
		to1 = min(from+c.settings.PageSize, len(all))
	}
	if c.fault == "partial list" {
		to1 = from
	} else if to1 == len(all) {
		return all[from:], nil
	}
	query := r.URL.Query()
	query.Set("$skiptoken", fmt.Sprint(to1))
	return all[from:to1], to.Ptr(c.url + r.URL.Path + "?" + query.Encode())
}

// sorted returns the values of a map that are wanted, by key.
func sorted[T any](m map[string]T, wanted func(key string) bool) []T {
	var keys []string
	for key := range m {
		if wanted(key) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	out := make([]T, 0, len(keys))
	for _, key := range keys {
		out = append(out, m[key])
	}
	return out
}

func missing(id string) *refusal {
	return refuse(404, "ResourceNotFound", "The Resource '%s' was not found.", id)
}

// text is a value, "" for none.
func text[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}
