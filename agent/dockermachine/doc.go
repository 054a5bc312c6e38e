// Package dockermachine is docker-machine's command line over our drivers, our provisioner and our store: what `millwright machine` and the
// binary by the name of docker-machine do. It serves people and gitlab-runner, which starts it as a program.
//
// Its machines are made by hand: they bear an owner tag of their own, and no agent takes, counts or removes them (journal.Hand). An agent's
// machines it shows and reaches; it changes them only through the Agent that it was given. Machines that docker-machine itself made it shows and
// reaches too, and changes none.
//
// What goes to which stream, and the words that scripts look for, are docker-machine's; docs/differences.md names where we differ.
package dockermachine
