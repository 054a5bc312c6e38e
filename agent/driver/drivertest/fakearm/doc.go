// Package fakearm lets tests use clouds that speak Azure Resource Manager: the fake servers of Azure's own Go SDK, behind HTTP, with machines and
// networks of their own. Every request is read into the SDK's types; what those do not know, and any version of the API but the SDK's, is refused
// and noted.
//
// The clouds run in a process of their own, since the SDK takes minutes to compile: its Go module is in the folder server.
//
//	s := fakearm.Start(t)
//	c := s.Cloud(t, fakearm.Settings{})
//	... MachineOptions = ["azure-endpoint=" + c.URL] ...
//	c.Wrong() // what Azure would not have taken
package fakearm
