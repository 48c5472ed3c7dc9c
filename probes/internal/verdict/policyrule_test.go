package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// ruled gives a node policy routing rules before those that it has anyway, the
// lookup's error, and routes.
func (s *scene) ruled(node string, errno unix.Errno, rules []inspect.PolicyRule, routes ...inspect.Route) {
	for _, r := range append(rules, inspect.PolicyRule{Priority: 32766, Action: unix.FR_ACT_TO_TBL, Table: unix.RT_TABLE_MAIN}) {
		r.SuppressBits = -1
		s.States[node].PolicyRules = append(s.States[node].PolicyRules, r)
	}
	s.States[node].Routes = routes
	s.answers(node, s.Flow.Addr, inspect.Lookup{Errno: errno, From: s.own(node).Prefix.Addr()})
}

var (
	one4      = netip.PrefixFrom(server4, 32)
	byDNS     = inspect.PolicyRule{Priority: 1000, Protocol: unix.IPPROTO_UDP, Ports: inspect.Range{First: 53, Last: 53}}
	byWeb     = inspect.PolicyRule{Priority: 1000, Protocol: unix.IPPROTO_TCP, Ports: inspect.Range{First: 80, Last: 80}, Action: unix.FR_ACT_BLACKHOLE}
	byAddress = inspect.PolicyRule{Priority: 1000, From: netip.PrefixFrom(client4, 32), Action: unix.FR_ACT_PROHIBIT}
)

// does is a rule with an action, or that looks into a table.
func does(r inspect.PolicyRule, action, table int) []inspect.PolicyRule {
	r.Action, r.Table = action, table
	return []inspect.PolicyRule{r}
}

// What is named is what the lookup of this very packet came to, and nothing that
// happens to be in a table besides.
func TestExplainPolicyRouting(t *testing.T) {
	t.Parallel()
	way := inspect.Route{Table: 100, Type: unix.RTN_UNICAST, To: one4, Index: 3}
	rest := inspect.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_BLACKHOLE, To: netip.MustParsePrefix("0.0.0.0/0")}
	elsewhere := rest
	elsewhere.Table = 100
	closed := inspect.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_BLACKHOLE, To: one4}
	explained(t, map[string]example{
		"a rule that drops": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EINVAL, does(byDNS, unix.FR_ACT_BLACKHOLE, 0))
		}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true,
			text: "the request was dropped at fw/lan: policy routing rule 1000: from all ipproto udp dport 53 blackhole"},
		"a rule that drops, and a route in a table that nobody asks": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EINVAL, does(byDNS, unix.FR_ACT_BLACKHOLE, 0), closed, inspect.Route{Table: 100, Type: unix.RTN_BLACKHOLE, To: one4})
		}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true,
			text: "the request was dropped at fw/lan: policy routing rule 1000: from all ipproto udp dport 53 blackhole"},
		"a rule that says that there is no route": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.ENETUNREACH, does(byDNS, unix.FR_ACT_UNREACHABLE, 0))
		}, kind: evidence.Unreachable, word: "unreachable@fw", policy: true,
			text: "the request was rejected at fw/lan: policy routing rule 1000: from all ipproto udp dport 53 unreachable"},
		"a rule that prohibits": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EACCES, does(byDNS, unix.FR_ACT_PROHIBIT, 0))
		}, kind: evidence.Prohibit, word: "prohibit@fw", policy: true,
			text: "the request was rejected at fw/lan: policy routing rule 1000: from all ipproto udp dport 53 prohibit"},
		"a rule that leads to a table": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EACCES, does(byDNS, unix.FR_ACT_TO_TBL, 100), closed, inspect.Route{Table: 100, Type: unix.RTN_PROHIBIT, To: one4})
		}, kind: evidence.Prohibit, word: "prohibit@fw", policy: true,
			text: "the request was rejected at fw/lan: prohibit route 10.0.2.1/32 in table 100, by policy routing rule 1000: from all ipproto udp dport 53 lookup 100"},
		"a rule for others, and a route": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EINVAL, does(byWeb, unix.FR_ACT_TO_TBL, 100), closed, way)
		}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true, text: "the request was dropped at fw/lan: blackhole route 10.0.2.1/32"},
		"a rule that leads past the route": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", 0, does(byDNS, unix.FR_ACT_TO_TBL, 100), closed, way)
			s.answers("fw", server4, inspect.Lookup{Type: unix.RTN_UNICAST, Out: 3})
		}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
		"a rule for others that drops, and an error": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EINVAL, []inspect.PolicyRule{byWeb})
		}, kind: evidence.Unknown, word: "unknown@fw", text: `inconclusive: the request was last seen at fw/lan: the route lookup of 10.0.2.1 says "invalid argument"`},
		"a blackhole for the rest, where an address and its route are gone": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Addrs = s.States["fw"].Addrs[:1]
			s.ruled("fw", unix.EINVAL, nil, rest)
		}, kind: evidence.NoAddress, word: "noaddress@fw", text: "the request was not delivered at fw/dmz: it does not have 10.0.2.2/24"},
		"a blackhole for the rest of another table, which comes after those with an address": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Addrs = s.States["fw"].Addrs[:1]
			s.ruled("fw", unix.EINVAL, nil, elsewhere)
			s.States["fw"].PolicyRules = append(s.States["fw"].PolicyRules, does(inspect.PolicyRule{Priority: 32767, SuppressBits: -1}, unix.FR_ACT_TO_TBL, 100)...)
		}, kind: evidence.NoAddress, word: "noaddress@fw", text: "the request was not delivered at fw/dmz: it does not have 10.0.2.2/24"},
		"a blackhole that would come first all the same": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Addrs = s.States["fw"].Addrs[:1]
			s.ruled("fw", unix.EINVAL, nil, closed)
		}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true, text: "the request was dropped at fw/lan: blackhole route 10.0.2.1/32"},
		"a blackhole in a table that comes first": {happen: func(s *scene) {
			s.arrived("fw")
			s.States["fw"].Addrs = s.States["fw"].Addrs[:1]
			s.ruled("fw", unix.EINVAL, does(byDNS, unix.FR_ACT_TO_TBL, 100), elsewhere)
		}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true,
			text: "the request was dropped at fw/lan: blackhole route 0.0.0.0/0 in table 100, by policy routing rule 1000: from all ipproto udp dport 53 lookup 100"},
		"a blackhole for the rest, and no address that is gone": {happen: func(s *scene) {
			s.arrived("fw")
			s.ruled("fw", unix.EINVAL, nil, rest)
		}, kind: evidence.Blackhole, word: "blackhole@fw", policy: true, text: "the request was dropped at fw/lan: blackhole route 0.0.0.0/0"},
		"a rule by the address that the asker connects from": {protocol: wire.UDP, happen: func(s *scene) {
			s.ruled("client", unix.EACCES, []inspect.PolicyRule{byAddress})
		}, kind: evidence.Prohibit, word: "prohibit@client", policy: true,
			text: "the request was rejected at client: policy routing rule 1000: from 10.0.1.1 prohibit"},
	})
	s := newScene(wire.UDP, false)
	s.arrived("fw")
	s.ruled("fw", unix.EACCES, does(byDNS, unix.FR_ACT_PROHIBIT, 0))
	c := Explain(s.Observation)
	if deed, err := LiftOf(c); err != nil || deed != (DeletePolicyRule{c.PolicyRule}) || c.PolicyRule == nil {
		t.Errorf("lifted by %+v, %v", deed, err)
	}
	s.States["fw"].PolicyRules, s.States["fw"].Routes = nil, []inspect.Route{{Table: 254, Type: unix.RTN_PROHIBIT, To: one4}}
	c = Explain(s.Observation)
	if deed, err := LiftOf(c); err != nil || deed != (DeleteRoute{c.Route}) || c.Route == nil {
		t.Errorf("lifted by %+v, %v", deed, err)
	}
}
