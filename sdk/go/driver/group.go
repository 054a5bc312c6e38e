package driver

import (
	"errors"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Group speaks to groups of instances that their provider keeps together: such a group grows by a number, and the provider picks the names. Its
// calls are short. It never sleeps, waits or retries: it asks once and says what became of it, and the host does the rest.
//
// The options say which group; nobody else's instances are in it, so that no owner's tag is needed. An *abi.Error, wrapped or not, keeps its
// kind; any other error is transient.
type Group interface {
	// Describe says who the driver is and which options it has: the keys of plugin_config. Its ABI, Kind and Group are filled in by this package.
	Describe() abi.Describe
	// Validate lists what is wrong with the options as far as it can be known without asking the provider.
	Validate(abi.ValidateRequest) []abi.Problem
	// Info tells which group it is, and what of it would fight with the agent. A group that is not there is an error of the kind not_found.
	Info(abi.GroupRequest) (abi.GroupInfo, error)
	// List returns every instance of the group, by the names that the provider gives. One that is being deleted is gone; one that is deleted
	// is not listed. When a part could not be read the result is not Complete.
	List(abi.ListRequest) (abi.ListResult, error)
	// Increase asks for that many instances more, and returns how many were granted.
	Increase(abi.IncreaseRequest) (abi.IncreaseResult, error)
	// Decrease asks for the removal of instances, so that the group shrinks by them. Some may be refused while others go; one that is gone
	// already goes.
	Decrease(abi.DecreaseRequest) (abi.DecreaseResult, error)
	// Connect tells how a running instance is reached.
	Connect(abi.ConnectRequest) (abi.ConnectInfo, error)
}

// Heart is a Group that can tell whether an instance is fit for a job. It is optional.
type Heart interface {
	// Heartbeat returns why the instance is not fit.
	Heartbeat(abi.HeartbeatRequest) error
}

// RegisterGroup makes g the driver of this module. Call it once, in an init function.
func RegisterGroup(g Group) { registered = g }

// RegisteredGroup returns what an init function registered, nil when none did, for native tests of a package main.
func RegisteredGroup() Group {
	g, _ := registered.(Group)
	return g
}

// CallGroup is Call for a Group.
func CallGroup(g Group, export string, input []byte) ([]byte, error) {
	if g == nil {
		return call(nil, export, string(input))
	}
	return call(g, export, string(input))
}

// callGroup runs an export that drivers of groups have alone.
func callGroup(g Group, export, input string) ([]byte, error) {
	switch export {
	case abi.ExportGroupInfo:
		var req abi.GroupRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := g.Info(req)
			return res.AppendJSON, err
		})
	case abi.ExportIncrease:
		var req abi.IncreaseRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := g.Increase(req)
			return res.AppendJSON, err
		})
	case abi.ExportDecrease:
		var req abi.DecreaseRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := g.Decrease(req)
			return res.AppendJSON, err
		})
	case abi.ExportConnectInfo:
		var req abi.ConnectRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) {
			res, err := g.Connect(req)
			return res.AppendJSON, err
		})
	case abi.ExportHeartbeat:
		var req abi.HeartbeatRequest
		return answer(export, req.DecodeJSON(input), func() (appender, error) { return emptyObject, heartbeat(g, req) })
	}
	return nil, errors.New("a driver of groups has no export " + export)
}

// heartbeat is Heartbeat of a group that may not have it: then each instance is fit.
func heartbeat(g Group, req abi.HeartbeatRequest) error {
	if h, ok := g.(Heart); ok {
		return h.Heartbeat(req)
	}
	return nil
}
