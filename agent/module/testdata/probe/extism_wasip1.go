package main

import "github.com/extism/go-pdk"

// extismHTTP sends a request by Extism's own function, which the host must not serve.
func extismHTTP(url string) { pdk.NewHTTPRequest(pdk.MethodGet, url).Send() }
