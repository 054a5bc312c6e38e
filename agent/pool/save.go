package pool

import "github.com/millwright-ci/millwright/agent/fleet"

// writes keeps a machine's journal writes in order: one at a time, and what changed meanwhile goes into the next one.
type writes struct {
	busy  bool
	again bool
	then  []func(error) // of the write under way
	next  []func(error) // of the one after it
}

// save writes m down as it is now, or as it is when its turn comes, and then calls then (which may be nil) on the loop.
func (p *Pool) save(m *machine, then func(error)) {
	w := &m.writes
	if w.busy {
		w.again = true
		w.next = append(w.next, then)
		return
	}
	w.busy = true
	w.then = append(w.then[:0], then)
	p.write(m)
}

func (p *Pool) write(m *machine) {
	record := m.Machine
	p.call(func() func() {
		err := p.opts.Journal.Save(record)
		return func() { p.written(m, record, err) }
	})
}

func (p *Pool) written(m *machine, record fleet.Machine, err error) {
	if err != nil {
		p.log.Error("Machine is not written to the journal; it goes on in memory", "name", m.Name, "state", record.State, "error", err)
	}
	w := &m.writes
	then := w.then
	w.then, w.next = w.next, nil
	w.busy = w.again
	if w.again {
		w.again = false
		p.write(m)
	}
	for _, f := range then {
		if f != nil {
			f(err)
		}
	}
}
