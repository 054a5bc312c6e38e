package main

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestHooks has machines behind the fake's instances: one that fails to start is replaced, and one that is ended is stopped.
func TestHooks(t *testing.T) {
	var mu sync.Mutex // guards what follows
	started, stopped := 0, 0
	c := fakeasg.Start(t, fakeasg.Settings{Hooks: fakeasg.Hooks{
		Start: func(string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if started++; started == 1 {
				return "", errors.New("no host is free")
			}
			return "127.0.0.1:2222", nil
		},
		Stop: func(string) {
			mu.Lock()
			defer mu.Unlock()
			stopped++
		},
	}})
	if _, err := increase(t, c, 1); err != nil {
		t.Fatal(err)
	}
	id := ""
	for deadline := time.Now().Add(time.Minute); id == ""; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no instance is in service")
		}
		got, err := list(t, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range got.Instances {
			if i.Status == abi.StatusRunning {
				id = i.Name
			}
		}
	}
	got, err := call[abi.ConnectInfo](t, abi.ExportConnectInfo, abi.ConnectRequest{ABI: abi.Version, Options: options(c), Instance: id})
	if err != nil || got.InternalAddr != "127.0.0.1:2222" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := decrease(t, c, id); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		mu.Lock()
		done := stopped == 1 && started == 2
		mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d machines were started and %d stopped", started, stopped)
		}
	}
}
