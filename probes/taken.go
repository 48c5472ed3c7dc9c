package probes

import "github.com/nstest/nstest/probes/internal/watch"

// tookIt says, of a request that nobody accounts for the silence of, whether the target's socket
// took it, or dropped it, and puts that into what was heard. It asks once or twice more.
func (a *asking) tookIt(trail *watch.Trail, heard *watch.Heard) bool {
	w := a.watched.watch
	if heard.Read = w.Reads(trail, a.again); !heard.Read {
		heard.Untaken = w.Untaken(trail, a.again)
	}
	return heard.Read || heard.Untaken != ""
}
