package policy

import (
	"slices"

	"github.com/nstest/nstest/probes/internal/rules"
)

// statuses are all that is known of conntrack's: which addresses were translated.
var statuses = []uint64{0, rules.StatusSourceNAT, rules.StatusDestinationNAT, rules.StatusSourceNAT | rules.StatusDestinationNAT}

// tracked are the states of packets that have a connection.
var tracked = just(stateEstablished, stateRelated, stateNew)

// withStatus are the statuses that have one of some bits.
func withStatus(bits uint32) set {
	return just(slices.DeleteFunc(slices.Clone(statuses), func(n uint64) bool { return uint32(n)&bits == 0 })...)
}

// begin are packets at the beginning of their way: no address of a connection that they open was translated yet.
func (w *walking) begin(t trail) []trail {
	t.over[fieldStatus] = override{is: true}
	connected, some := t.ofState(stateEstablished, stateRelated)
	if !some || len(w.nat) == 0 {
		return []trail{t}
	}
	connected.over[fieldStatus] = override{unknown: true}
	trails := []trail{connected}
	if others, some := t.ofState(stateInvalid, stateNew, stateUntracked); some {
		trails = append(trails, others)
	}
	return trails
}

// restated are packets that a rule gives another destination, with the status of their connection: where they have that destination
// already nothing is translated (nf_nat_setup_info).
func (w *walking) restated(t trail, to target) []trail {
	if !to.addr.IsValid() || t.over[fieldDst] != (override{}) || t.over[fieldDport] != (override{}) || t.over[fieldStatus].unknown {
		t.over[fieldStatus] = override{unknown: true}
		return []trail{t}
	}
	addr := addrNumber(to.addr)
	same := box{fieldDst: {{addr, addr}}}
	if to.port != 0 {
		same[fieldDport] = just(uint64(to.port))
	}
	var trails []trail
	if both, some := t.box.and(&same); some {
		has := t
		has.box = both
		if to.port == 0 && !to.keeps {
			has.over[fieldStatus] = override{unknown: true}
		}
		trails = append(trails, has)
	}
	t.over[fieldStatus].value.lo |= rules.StatusDestinationNAT
	for _, b := range t.box.without(&same, &w.hull) {
		t.box = b
		trails = append(trails, t)
	}
	return trails
}
