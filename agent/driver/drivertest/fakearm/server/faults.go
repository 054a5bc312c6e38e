package main

import (
	"fmt"
	"net/http"
	"time"
)

// faults are the ways to fail: those of the suite of drivers, and Azure's own.
var faults = []string{
	"", "stock-out", "quota", "rate limit", "auth", "trouble", "lost answer", "partial list", "lost removal", "half-made", "junk", "silent",
	"SkuNotAvailable", "ZonalAllocationFailed", "OverconstrainedAllocationRequest", "QuotaExceeded", "no right", "not registered", "no subscription",
	"policy", "proxy page", "empty object", "retryable", "set is full",
}

// retryAfterS is what callers are told who called too often, as the suite of drivers has it.
const retryAfterS = 7

// silence is how long a silent cloud takes at most.
const silence = time.Minute

// refusal is an answer of 400 or more.
type refusal struct {
	status  int
	code    string
	message string
	detail  *refusal
	retry   int // seconds
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// admit refuses a request that a fault, a missing token or a missing right forbids. The caller holds mu.
func (c *cloud) admit(r *request) *refusal {
	if t := c.settings.Token; t != "" && r.Header.Get("Authorization") != "Bearer "+t {
		return refuse(http.StatusUnauthorized, "InvalidAuthenticationToken", "The access token is invalid.")
	}
	for _, a := range r.route.actions {
		if c.denied[a] || c.fault == "no right" {
			return refuse(http.StatusForbidden, "AuthorizationFailed", "The client '1' with object id '1' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid.", a, r.URL.Path)
		}
	}
	switch c.fault {
	case "rate limit":
		return &refusal{status: http.StatusTooManyRequests, code: "TooManyRequests", message: "The request is being throttled as the limit has been reached for operation type.", retry: retryAfterS}
	case "auth":
		return refuse(http.StatusUnauthorized, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.")
	case "trouble":
		return refuse(http.StatusServiceUnavailable, "ServerTimeout", "The request timed out. Diagnostic information: none.")
	case "no subscription":
		return refuse(http.StatusNotFound, "SubscriptionNotFound", "The subscription could not be found.")
	case "partial list":
		if r.query.Get("$skiptoken") != "" {
			return refuse(http.StatusServiceUnavailable, "ServerTimeout", "The request timed out.")
		}
	}
	if !r.creates() {
		return nil
	}
	switch c.fault {
	case "SkuNotAvailable":
		return refuse(http.StatusConflict, "SkuNotAvailable", "The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: Standard_D2s_v5' is currently not available in location 'westus'.")
	case "quota":
		return refuse(http.StatusConflict, "OperationNotAllowed", "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.")
	case "QuotaExceeded":
		return refuse(http.StatusConflict, "QuotaExceeded", "Operation results in exceeding quota limits of Core. Maximum allowed: 4, Current in use: 4, Additional requested: 2.")
	case "not registered":
		return refuse(http.StatusConflict, "MissingSubscriptionRegistration", "The subscription is not registered to use namespace 'Microsoft.Compute'.")
	case "policy":
		return refuse(http.StatusForbidden, "RequestDisallowedByPolicy", "Resource 'm1' was disallowed by policy.")
	case "set is full":
		return refuse(http.StatusConflict, "AvailabilitySetMaximumVirtualMachinesCountExceeded", "The maximum number of virtual machines in the availability set is reached.")
	case "retryable":
		return &refusal{status: http.StatusTooManyRequests, code: "RetryableError", message: "A retryable error occurred.", retry: 3,
			detail: refuse(0, "ReferencedResourceNotProvisioned", "Cannot proceed with operation because resource is not in Succeeded state.")}
	}
	return nil
}

// doom is why a machine that was taken on fails later.
func (c *cloud) doom() *refusal {
	switch c.fault {
	case "stock-out":
		return refuse(0, "AllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this region.")
	case "ZonalAllocationFailed":
		return refuse(0, "ZonalAllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this zone.")
	case "OverconstrainedAllocationRequest":
		return refuse(0, "OverconstrainedAllocationRequest", "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive.")
	}
	return nil
}
