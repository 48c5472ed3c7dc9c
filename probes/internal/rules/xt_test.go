package rules_test

import (
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// Rules of iptables say the same by iptables-nft, as the kernel has them, and by
// iptables-legacy, as its text has them.
func TestMatchIptables(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	established := with(tcp(22), func(p *rules.Packet) { p.State = new(expr.CtStateBitESTABLISHED) })
	marked := with(tcp(22), func(p *rules.Packet) { p.Mark = new(uint32(5)) })
	for _, r := range []struct {
		rule      string
		packet    rules.Packet
		want      rules.Answer
		forLegacy string // where it is another, since its text is read and no more
	}{
		{"-p tcp --dport 22", tcp(22), yes, ""}, {"-p tcp --dport 22", tcp(23), no, ""}, {"-p tcp --dport 22", udp(22), no, ""}, {"-p tcp ! --dport 22", tcp(22), no, ""}, {"! -p tcp", tcp(22), no, ""}, {"! -p tcp", ping(), yes, ""},
		{"-p tcp --dport 20:30", tcp(30), yes, ""}, {"-p tcp --dport 20:", tcp(30), yes, ""}, {"-p tcp --dport :20", tcp(30), no, ""}, {"-p tcp --sport 40000 --dport 22", tcp(22), yes, ""}, {"-p udp --sport 53", udp(1), no, ""},
		{"-p tcp -m multiport --dports 80,443", tcp(443), yes, ""}, {"-p tcp -m multiport --dports 80,443", tcp(444), no, ""}, {"-p tcp -m multiport --dports 80,100:200", tcp(150), yes, ""}, {"-p tcp -m multiport --dports 80,100:200", tcp(201), no, ""},
		{"-p tcp -m multiport ! --dports 80,443", tcp(443), no, ""}, {"-p tcp -m multiport --sports 40000", tcp(443), yes, ""}, {"-p tcp -m multiport --ports 443", tcp(443), yes, ""}, {"-p udp -m multiport --ports 443", tcp(443), no, ""},
		{"-s 10.0.1.0/24", ping(), yes, ""}, {"-s 10.0.1.5", ping(), yes, ""}, {"! -s 10.0.1.5", ping(), no, ""}, {"-d 10.0.8.0/23", ping(), yes, ""}, {"-d 10.0.8.0/24", ping(), no, ""}, {"-s 10.0.1.5", six(ping()), no, ""},
		{"-i lan", ping(), yes, ""}, {"-i la+", ping(), yes, ""}, {"! -i lan", ping(), no, ""}, {"-o wan", ping(), yes, ""}, {"-o lan", ping(), no, ""}, {"-i lan -o wan -p tcp --dport 22", tcp(22), yes, ""}, {"-i lan+", ping(), yes, ""},
		{"-m conntrack --ctstate NEW", ping(), yes, ""}, {"-m conntrack --ctstate ESTABLISHED,RELATED", ping(), no, ""}, {"-m conntrack --ctstate ESTABLISHED,RELATED", established, yes, ""}, {"-m conntrack ! --ctstate NEW", ping(), no, ""},
		{"-m conntrack --ctstate DNAT", ping(), maybe, ""}, {"-m conntrack --ctstate NEW,DNAT", ping(), yes, ""}, {"-m state --state NEW", ping(), yes, ""}, {"-m state --state ESTABLISHED", ping(), no, ""}, {"-m conntrack --ctstate INVALID", ping(), no, ""},
		{"-m conntrack --ctorigdstport 22 --ctstate NEW", tcp(22), maybe, ""}, {"-m conntrack --ctorigdstport 22 --ctstate ESTABLISHED", tcp(22), no, ""},
		{"-p icmp --icmp-type 8", ping(), yes, ""}, {"-p icmp --icmp-type 0", ping(), no, ""}, {"-p icmp ! --icmp-type 8", ping(), no, ""}, {"-p icmp --icmp-type any", ping(), yes, "maybe"}, {"-p icmp --icmp-type 8", tcp(1), no, ""}, {"-p icmp --icmp-type 3/1", ping(), no, "maybe"},
		{"-m mark --mark 5", marked, yes, "maybe"}, {"-m mark --mark 4/0xc", marked, yes, "maybe"}, {"-m mark ! --mark 5", marked, no, "maybe"}, {"-m mark --mark 6", marked, no, "maybe"},
		{"-p tcp --syn", tcp(22), yes, ""}, {"-p tcp --tcp-flags ALL SYN", tcp(22), yes, ""}, {"-p tcp --tcp-flags SYN,ACK ACK", tcp(22), no, ""}, {"-p tcp ! --syn", tcp(22), no, ""}, {"-p tcp --tcp-option 5", tcp(22), maybe, ""},
		{"-m comment --comment \"-p udp\"", ping(), yes, ""}, {"-m limit --limit 1/min", ping(), maybe, ""}, {"-m limit --limit 1/min -p udp", ping(), no, ""}, {"-m statistic --mode nth --every 2 --packet 0", ping(), maybe, ""}, {"-m addrtype --dst-type LOCAL", ping(), maybe, ""},
		{"-m pkttype --pkt-type unicast", ping(), maybe, ""}, {"-p tcp -m tcp --dport 22 -m length --length 60", tcp(22), maybe, ""}, {"-f", ping(), no, "maybe"}, {"-m ttl --ttl-eq 64", ping(), yes, ""}, {"-m ttl ! --ttl-eq 64", ping(), no, ""}, {"-m ttl --ttl-lt 64", ping(), no, ""},
		{"-m ttl --ttl-gt 63", ping(), yes, ""}, {"-m ttl --ttl-gt 64", with(ping(), func(p *rules.Packet) { p.TTL = nil }), maybe, ""}, {"", ping(), yes, ""},
		{"-m iprange --src-range 10.0.1.1-10.0.1.5", ping(), yes, "maybe"}, {"-m iprange --src-range 10.0.1.6-10.0.1.9", ping(), no, "maybe"}, {"-m iprange ! --src-range 10.0.1.5-10.0.1.9", ping(), no, "maybe"},
		{"-m iprange --src-range 10.0.1.5-10.0.1.9 --dst-range 10.0.9.0-10.0.9.9", ping(), yes, "maybe"}, {"-m iprange --src-range 10.0.1.5-10.0.1.9 ! --dst-range 10.0.9.0-10.0.9.9", ping(), no, "maybe"},
	} {
		text := "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD " + r.rule + " -j ACCEPT\nCOMMIT\n"
		if err := node.Nft("flush ruleset"); err != nil {
			t.Fatal(err)
		}
		if err := node.Iptables(text); err != nil {
			t.Logf("%s: not here: %v", r.rule, err)
			continue
		}
		rule := read(t, node).Chain("ip", "filter", "FORWARD").Rules[0]
		if got := rules.Match(rule, r.packet); got != r.want {
			t.Errorf("%s: %s, want %s; %s", r.rule, got, r.want, exprs(rule))
		}
		if r.forLegacy == "" {
			r.forLegacy = r.want.String()
		}
		tables, err := inspect.ParseLegacy("iptables-legacy", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.MatchLegacy(tables[0].Chains[0].Rules[0], r.packet); got.String() != r.forLegacy && !strings.Contains(r.rule, "--syn") {
			t.Errorf("legacy %s: %s, want %s", r.rule, got, r.forLegacy)
		}
	}
}

// A hook that has no interface, and a user's chain, which may be at any.
func TestMatchLegacyInterfaces(t *testing.T) {
	t.Parallel()
	tables, err := inspect.ParseLegacy("ip6tables-legacy", "*filter\n:INPUT ACCEPT\n:side -\n-A INPUT -i lan -j DROP\n-A INPUT -o lan -j DROP\n-A side -i lan -j DROP\nCOMMIT\n")
	if err != nil {
		t.Fatal(err)
	}
	in, side := tables[0].Chains[0].Rules, tables[0].Chains[1].Rules
	p := six(ping())
	for _, c := range []struct {
		rule *inspect.LegacyRule
		hook string
		want rules.Answer
	}{{in[0], "", yes}, {in[1], "", maybe}, {side[0], "", maybe}, {side[0], "forward", yes}, {side[0], "output", maybe}} {
		p.Hook = c.hook
		if got := rules.MatchLegacy(c.rule, p); got != c.want {
			t.Errorf("%s at %q: %s, want %s", c.rule, c.hook, got, c.want)
		}
	}
	if got := rules.MatchLegacy(in[0], ping()); got != no {
		t.Errorf("IPv4: %s", got)
	}
}
