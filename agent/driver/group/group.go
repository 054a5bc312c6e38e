// Package group is what the agent asks of a group of instances that its provider keeps together, such as an auto scaling group: a
// group grows by a number and picks the names itself. A fleeting plug-in is one, and a driver with the group verbs is another.
package group

import (
	"context"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
)

// Group is a group of instances. Its calls are short; whoever calls waits and retries. It is safe for concurrent use.
//
// A failure with a kind is a *driver.Error; anything else counts as transient.
type Group interface {
	// Info tells what group it is. It begins to serve when Info has succeeded once.
	Info(ctx context.Context) (Info, error)
	// List returns every instance of the group as its provider sees it now.
	List(ctx context.Context) ([]Instance, error)
	// Increase asks for n more instances, n ≥ 1, and returns how many were granted. They show up in List later, with ids of their own.
	Increase(ctx context.Context, n int) (int, error)
	// Decrease asks for the removal of instances, and returns those whose removal was taken on; some may fail while others succeed.
	// An instance that is gone already counts as taken on.
	Decrease(ctx context.Context, ids []string) ([]string, error)
	// Connect tells how a running instance is reached.
	Connect(ctx context.Context, id string) (Connection, error)
	// Heartbeat asks whether an instance is fit for a job. Groups that can't tell return nil.
	Heartbeat(ctx context.Context, id string) error
	// Close ends what serves the group. The instances stay.
	Close(ctx context.Context) error
}

// Info describes a group.
type Info struct {
	ID      string // unique among the groups of the world, such as aws/eu-west-1/builders
	MaxSize int    // instances that the group may have at most; 0: it sets no bound
	Version string // of what serves it
}

// State is an instance's state.
type State string

// The states of an instance.
const (
	Creating State = "creating"
	Running  State = "running"
	Deleting State = "deleting"
	Deleted  State = "deleted" // gone, as one that is not listed any more
)

// Instance is one of a group.
type Instance struct {
	ID    string // the provider's
	State State
}

// Connection is how an instance is reached. What connector_config says wins over what a group says.
type Connection struct {
	OS, Arch     string // in Go's words; "" when unknown
	Protocol     string // ssh, winrm, winrm+https; "" is ssh
	Port         int    // 0: the protocol's own
	Username     string
	Password     config.Secret
	Key          config.Secret // a private key as PEM
	InternalAddr string
	ExternalAddr string
	Keepalive    time.Duration
	Timeout      time.Duration // of connecting, tries included
	Expires      time.Time     // when the credentials end; zero: never
}
