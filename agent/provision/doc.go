// Package provision turns a fresh machine into one with an engine that answers: it makes the machine's keys before the provider
// is called, logs in over SSH (strictly checked), configures and starts the Docker engine with mutual TLS, and loads the helper
// image. It serves the pool.
//
// Everything secret lives in the store, in docker-machine's layout: certs/ holds one CA and one client certificate, machines/NAME/
// the machine's own keys and certificates. See store.go.
//
// A machine passes three phases: ssh, engine, image; one with GPUs a fourth after the first, gpu. One that does all at its first boot passes the last
// two only (firstboot.go). All commands of a machine share one SSH connection (session.go); each is a
// script of scripts/ that travels with its files in a tar stream over stdin, so that nothing secret stands on a command line.
package provision
