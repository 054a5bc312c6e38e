package fakecloud

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	docker "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// TestJobEngine has a container get its script with its environment and wait at its gate, as the agent's build containers do: it plays
// nothing before the word, and whoever waits for its end learns of it afterwards and not before.
func TestJobEngine(t *testing.T) {
	server := httptest.NewServer((&machine{name: "m"}).docker(Jobs()))
	defer server.Close()
	api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().(*net.TCPAddr).String()), client.WithHTTPClient(&http.Client{}))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	ctx := t.Context()
	made, err := api.ContainerCreate(ctx, &docker.Config{OpenStdin: true, Env: []string{"SCRIPT=#!/bin/sh\n" + Script(300, 1000)}}, nil, nil, nil, "held")
	if err != nil {
		t.Fatal(err)
	}
	next, failed := api.ContainerWait(ctx, made.ID, docker.WaitConditionNextExit)
	if err := api.ContainerStart(ctx, made.ID, docker.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	stream, err := api.ContainerAttach(ctx, made.ID, docker.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	select {
	case <-next:
		t.Fatal("it has ended before the word")
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(500 * time.Millisecond): // longer than the script
	}
	began := time.Now()
	if _, err := stream.Conn.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-next:
	case err := <-failed:
		t.Fatal(err)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("it ended after %v; its script lasts 300 ms", took)
	}
	var out [4096]byte
	if n, err := stream.Reader.Read(out[:]); n <= 8 {
		t.Errorf("%d bytes of output, %v", n, err)
	}
	ended, failed := api.ContainerWait(ctx, made.ID, docker.WaitConditionNotRunning)
	select {
	case <-ended:
	case err := <-failed:
		t.Fatal(err)
	}
}
