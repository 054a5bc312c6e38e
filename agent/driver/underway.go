package driver

import (
	"fmt"
	"time"
)

// UnderWay is what Remove returns when the removal was taken on and the instance is not gone yet. That is no failure: whoever asked asks
// again after a while, with the same request, until the error is another one or none.
type UnderWay struct {
	Name  string // the machine's
	Again time.Duration
}

func (e *UnderWay) Error() string {
	return fmt.Sprintf("machine %s: its removal is under way; ask again in %s", e.Name, e.Again)
}

// SelfPaced is a Driver whose calls cost its provider nothing by themselves: it gathers them, and paces what it asks for. No budget of
// calls is needed for it.
type SelfPaced interface{ PacesItself() }

// Doubtful is a Driver whose lists may be as old as its own pace makes them. Whoever has reason to think that a machine is gone tells it, before a
// list: then that is asked for, and the machine needs fewer lists without it to count as gone.
type Doubtful interface{ Doubt(name string) }
