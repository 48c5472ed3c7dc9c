package truth_test

import (
	"slices"
	"strings"
)

// answer is what is true about whether the target was reached.
type answer int

const (
	unknown answer = iota
	yes
	no
)

// reached says whether Reach is to hold at a fact's address: the target's own
// service exchanged data; of TCP without a signature it had the connection.
func (r *round) reached(f fact) answer {
	connected := slices.Contains(f.connected, r.to)
	switch {
	case f.kind != tcp && f.answered && f.by == r.to:
		return yes
	case f.kind != tcp && f.answered && slices.Contains(strings.Fields(f.by), r.to):
		return unknown // an echo that was delivered at several
	case f.kind != tcp || !f.opened:
		return no
	case f.answered && f.by == r.to && (r.signs(r.to) || len(f.connected) == 1):
		return yes
	case f.answered && f.by == r.to:
		return unknown // through somebody who handed it on
	case f.answered && r.signs(f.by) && connected && !r.due():
		return unknown // a proxy: it is the connection's, or the one's whose signature could be had
	case f.answered && r.signs(f.by):
		return no // it is that one's signature
	case !connected || r.due():
		return no
	case slices.ContainsFunc(r.w.services, func(s service) bool { return s.network == tcp && s.signed }):
		return unknown // whether a signature is waited for is the library's business
	}
	return yes
}

// signs says whether some service of the kind that is asked signs at a node.
func (r *round) signs(node string) bool {
	return slices.ContainsFunc(r.w.services, func(s service) bool {
		return s.node == node && s.network == r.kind && s.signed
	})
}

// due says whether the target signs at the port that is asked.
func (r *round) due() bool {
	return slices.ContainsFunc(r.w.services, func(s service) bool {
		return s.node == r.to && s.network == r.kind && s.port == r.port && s.signed
	})
}
