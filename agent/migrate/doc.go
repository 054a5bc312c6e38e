// Package migrate moves machines between docker-machine's store and the agent's, while no agent runs.
//
// Import takes over machines that docker-machine made. They stay its plug-ins': the driver's part of config.json is kept to the byte, and what
// made a machine removes it. So no tag has to be set at a provider: the folder in the store says whose the machine is. A machine with a job of
// gitlab-runner's is left alone. Export is the way back: it writes config.json as docker-machine's drivers have it, for machines that its plug-ins
// made and for those that our own drivers made, as far as docker-machine has a driver of the name.
//
// Both move a folder in three steps, each of which is whole on disk before the next: the copy is staged where nobody sees it, the original is put
// aside where its program does not see it, the copy is put in place. So no two programs ever hold one machine, and whatever was cut off, the
// next run goes on with.
//
//	store.go   docker-machine's store
//	files.go   copying them, and the paths in config.json
//	importer.go, take.go   import: what would be taken, and taking it
//	exporter.go   export
//	native.go  the driver's part of config.json for machines of our own drivers
package migrate
