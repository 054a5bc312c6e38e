package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/scale"
)

// keep fetches profiles from the agent's socket. What fails is told and no reason to end.
func keep(dir, what string, at scale.Look) {
	if dir == "" {
		return
	}
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(at.Dir, "state", "agent.sock"))
		},
	}}
	defer client.CloseIdleConnections()
	for name, query := range map[string]string{"heap": "heap?gc=1", "allocs": "allocs", "goroutine": "goroutine", "cpu": "profile?seconds=30"} {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.pprof", what, at.Figures.Machines, name))
		if err := fetch(client, "http://agent/debug/pprof/"+query, path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func fetch(client *http.Client, url, path string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
