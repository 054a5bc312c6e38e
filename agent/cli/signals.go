package cli

// signalMeaning is what a signal asks of the agent.
type signalMeaning int

const (
	stopSignal   signalMeaning = iota // SIGTERM, SIGINT: stop running jobs and end
	drainSignal                       // SIGQUIT: let running jobs end, take no new ones
	reloadSignal                      // SIGHUP
)
