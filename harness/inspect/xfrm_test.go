package inspect

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// The first that is for a packet decides, unless one before it asks what is not known.
func TestXfrmPolicyThatDecides(t *testing.T) {
	t.Parallel()
	all4, site := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.9.0/24")
	q := Question{From: netip.MustParseAddr("10.0.1.1"), To: netip.MustParseAddr("10.0.9.1"), Protocol: unix.IPPROTO_TCP, SourcePort: 4000, Port: 80}
	blocks := XfrmPolicy{Direction: XfrmFwd, From: all4, To: site, Blocks: true}
	with := func(change func(*XfrmPolicy)) XfrmPolicy {
		p := blocks
		change(&p)
		return p
	}
	ping := q
	ping.Protocol, ping.SourcePort, ping.Port = unix.IPPROTO_ICMP, 0, 0
	for what, c := range map[string]struct {
		asked    Question
		policies []XfrmPolicy
		want     string // "" for none
	}{
		"none":                  {q, nil, ""},
		"one for all":           {q, []XfrmPolicy{blocks}, "src 0.0.0.0/0 dst 10.0.9.0/24 dir fwd action block"},
		"of another direction":  {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Direction = XfrmOut })}, ""},
		"for another address":   {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.To = netip.MustParsePrefix("10.0.8.0/24") })}, ""},
		"for another source":    {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.From = site })}, ""},
		"of the other family":   {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.From, p.To = netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::/0") })}, ""},
		"for another protocol":  {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Protocol = unix.IPPROTO_UDP })}, ""},
		"for another port":      {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Port = 22 })}, ""},
		"for the port":          {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Protocol, p.Port, p.Priority = unix.IPPROTO_TCP, 80, 7 })}, "src 0.0.0.0/0 dst 10.0.9.0/24 proto tcp dport 80 dir fwd priority 7 action block"},
		"at another interface":  {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Index = 3 })}, ""},
		"the first of two":      {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Blocks = false }), blocks}, "src 0.0.0.0/0 dst 10.0.9.0/24 dir fwd"},
		"after one for a mark":  {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Asks = true }), blocks}, ""},
		"after one for a type":  {ping, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Protocol, p.SourcePort = unix.IPPROTO_ICMP, 8 }), blocks}, ""},
		"after one of no match": {q, []XfrmPolicy{with(func(p *XfrmPolicy) { p.Port = 22 }), blocks}, "src 0.0.0.0/0 dst 10.0.9.0/24 dir fwd action block"},
	} {
		s := &State{XfrmPolicies: c.policies}
		got, ok := s.Xfrm(XfrmFwd, c.asked, 2)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s: %v %s", what, ok, got)
		}
	}
}
