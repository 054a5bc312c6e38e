// Package journal is the durable record of intent and state: which machines there are, and what was about to happen to them. It is
// written before the provider is called, so that no crash loses a machine. It serves the pool and the command line.
//
// The state directory holds
//
//	lock                              held while an agent runs; its content is the holder's process id
//	owner                             the owner id that tags everything we create, made at the first start
//	setbacks.json                     what failed creations hold back, by runner
//	places.json                       where machines were removed within the last hours
//	store/certs/                      CA and client certificate; the provisioner's
//	store/machines/NAME/config.json   what docker-machine and gitlab-runner read; derived, never read back but for unknown keys
//	store/machines/NAME/millwright.json   the machine as we know it: the truth
//	store/machines/NAME/by-hand.json   in its place, of a machine that somebody made with the command line: his, not the agent's
//	store/owner-by-hand               the owner id that tags such machines
//	store/machines/NAME/driver.json   of drivers that run in the agent: what no provider remembers
//	store/machines/NAME/id_ed25519 …  the machine's keys; the provisioner's
//
// so the store is docker-machine's (MACHINE_STORAGE_PATH may point at it). Folders are 0700 and files 0600, because a machine's
// options may hold secrets. A file is replaced as a whole: written beside, synced, renamed, and the folder synced. A removed
// machine's folder is renamed to .removed-NAME first, so that it is there as a whole or not at all.
package journal
