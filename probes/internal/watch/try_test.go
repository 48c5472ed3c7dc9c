package watch

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// Tries that may move the same counters for other reasons are not made at once, nor one that
// was not shown among others.
func TestTriesThatAreMadeAtOnce(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("fd00:2::1")
	fw, site := &point{label: "fw"}, &point{label: "site"}
	waits := func(at *point, kind evidence.Kind, addr netip.Addr, change ...func(*try)) *try {
		u := &try{at: at, first: evidence.Cause{Kind: kind, Node: at.label}, trail: &Trail{Flow: wire.Flow{Protocol: wire.UDP, Addr: addr}}}
		for _, f := range change {
			f(u)
		}
		return u
	}
	apart := func(u *try) { u.trail.apart = true }
	first := waits(fw, evidence.Blackhole, four)
	for what, c := range map[string]struct {
		first *try
		other *try
		with  bool
	}{
		"the same cause":                  {first, waits(fw, evidence.Blackhole, four), true},
		"another at the same node":        {first, waits(fw, evidence.NoForward, four), false},
		"the same of another family":      {first, waits(fw, evidence.Blackhole, six), false},
		"another at another node":         {first, waits(site, evidence.RPFilter, six), true},
		"the same of an answer":           {first, waits(fw, evidence.Blackhole, four, func(u *try) { u.first.Leg = evidence.Answer }), false},
		"the same of another protocol":    {first, waits(fw, evidence.Blackhole, four, func(u *try) { u.trail.Flow.Protocol = wire.TCP }), false},
		"of what a program reads":         {first, waits(fw, evidence.Blackhole, four, func(u *try) { u.heard.Read = true }), false},
		"the same, to be made alone":      {first, waits(fw, evidence.Blackhole, four, apart), false},
		"the same, where the first is so": {waits(fw, evidence.Blackhole, four, apart), waits(fw, evidence.Blackhole, four), false},
	} {
		q := tries{waiting: []*try{c.other, c.first}}
		batch := q.take(c.first, 2)
		if batch[0] != c.first || len(batch) == 2 != c.with || len(q.waiting) == 1 == c.with {
			t.Errorf("%s: %d at once, %d wait", what, len(batch), len(q.waiting))
		}
	}
	q := tries{waiting: []*try{first, waits(fw, evidence.Blackhole, four)}}
	if batch := q.take(first, 1); len(batch) != 1 || len(q.waiting) != 1 {
		t.Errorf("where there is room for one: %d at once", len(batch))
	}
}

// One counter for many tries shows all of them only where it moved for each.
func TestMovesOfManyTries(t *testing.T) {
	t.Parallel()
	udp := wire.Flow{Protocol: wire.UDP, Addr: netip.MustParseAddr("10.0.2.1")}
	ping := wire.Flow{Protocol: wire.ICMP, Addr: udp.Addr, To: "site"}
	answers := evidence.Cause{Kind: evidence.Blackhole, Node: "site", Leg: evidence.Answer}
	for what, c := range map[string]struct {
		moved  moves
		by     map[string]uint64
		tries  uint64
		wanted bool
	}{
		"each":                          {confirming(evidence.Cause{Kind: evidence.RPFilter}, udp), map[string]uint64{"TcpExt.IPReversePathFilter": 3}, 3, true},
		"all but one":                   {confirming(evidence.Cause{Kind: evidence.RPFilter}, udp), map[string]uint64{"TcpExt.IPReversePathFilter": 2}, 3, false},
		"what came in went nowhere":     {confirming(evidence.Cause{Kind: evidence.Blackhole}, udp), map[string]uint64{"Ip.InReceives": 3}, 3, true},
		"one of them went on":           {confirming(evidence.Cause{Kind: evidence.Blackhole}, udp), map[string]uint64{"Ip.InReceives": 3, "Ip.ForwDatagrams": 1}, 3, false},
		"echoes, none of them answered": {confirming(answers, ping), map[string]uint64{"Icmp.InEchos": 2}, 2, true},
		"echoes, one of them answered":  {confirming(answers, ping), map[string]uint64{"Icmp.InEchos": 2, "Icmp.OutEchoReps": 1}, 2, false},
	} {
		if got := c.moved(func(name string) uint64 { return c.by[name] }, c.tries); got != c.wanted {
			t.Errorf("%s: %v", what, got)
		}
	}
}
