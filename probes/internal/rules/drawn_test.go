package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

func TestDrawn(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, r := range []struct {
		rule     string
		from, to uint16 // 0 of one that picks nothing by chance
	}{
		{"masquerade", 0, 0},
		{"masquerade random", 1024, 65535},
		{"masquerade fully-random", 1024, 65535},
		{"meta l4proto udp masquerade to :2000-2009", 2000, 2009},
		{"meta l4proto udp masquerade to :2000-2009 random", 2000, 2009},
		{"meta l4proto udp masquerade to :2000", 0, 0},
		{"meta l4proto udp snat ip to 10.0.0.1:2000-2009", 2000, 2009},
		{"meta l4proto udp snat ip to 10.0.0.1:2000", 0, 0},
		{"snat ip to 10.0.0.1", 0, 0},
		{"snat ip to 10.0.0.1-10.0.0.9", 0, 0},
		{"snat ip to 10.0.0.1 random", 1024, 65535},
		{"meta l4proto udp snat ip to ip saddr map { 10.0.1.1 : 10.0.0.1 . 2000-2009, 10.0.1.2 : 10.0.0.1 . 3000-3009 }", 2000, 3009},
		{"ip protocol udp accept", 0, 0},
	} {
		text := "flush ruleset; table inet t { chain c { type nat hook postrouting priority 100; " + r.rule + "; }; chain d { type filter hook postrouting priority 200; counter; }; }"
		if err := node.Nft(text); err != nil {
			t.Errorf("%s: %v", r.rule, err)
			continue
		}
		set := read(t, node)
		nat, after := set.Chain("inet", "t", "c").Rules[0], set.Chain("inet", "t", "d").Rules[0]
		step := func(rule *inspect.Rule) rules.Step {
			return rules.Step{Family: "inet", Table: "t", Chain: rule.Chain.Name, Handle: rule.Handle}
		}
		chains := rules.Prepare(set)
		d, is := chains.Drawn([]rules.Step{step(after), step(nat)})
		if is != (r.to != 0) || d.From != r.from || d.To != r.to || len(chains.Draws()) != map[bool]int{true: 1}[is] {
			t.Errorf("%s: %v %d to %d, want %d to %d: %s", r.rule, is, d.From, d.To, r.from, r.to, exprs(nat))
		}
		if _, is := chains.Drawn([]rules.Step{step(after)}); is {
			t.Errorf("%s: a packet that did not come by it has a port of it", r.rule)
		}
	}
}

func TestDrawnByIptables(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"-j MASQUERADE": "", "-j MASQUERADE --random": "1024 to 65535", "-p udp -j MASQUERADE --to-ports 2000-2009": "2000 to 2009", "-p udp -j MASQUERADE --to-ports 2000": "",
		"-p udp -j MASQUERADE --to-ports 2000-2009 --random": "2000 to 2009", "-p udp -j SNAT --to-source 10.0.0.1:2000-2009": "2000 to 2009",
		"-j SNAT --to-source 10.0.0.1": "", "-j SNAT --to-source 10.0.0.1 --random-fully": "1024 to 65535", "-j ACCEPT": "", "-p udp -j DNAT --to-destination 10.0.0.1:2000-2009": "",
	} {
		tables, err := inspect.ParseLegacy("iptables-legacy", "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING "+rule+"\nCOMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
		d, is := rules.DrawnByLegacy(tables[0].Chains[0].Rules[0])
		if text := fmt.Sprintf("%d to %d", d.From, d.To); is != (want != "") || is && text != want {
			t.Errorf("%s: %v %s, want %q", rule, is, text, want)
		}
	}
}

func TestChoosingDrawn(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	drawn := rules.Drawing{Rule: place("the NAT"), From: 2000, To: 2009}
	for _, c := range []struct{ rule, steps, want string }{
		{"udp sport 2000-2008 drop", "pass:1", "pass:1"},
		{"udp sport 2000-2010 drop", "pass:1", ""},
		{"udp sport & 1 == 0 drop", "pass:1", "pass:1"},
		{"udp sport 3000-3009 accept; drop", "pass:2", ""},
		{"udp sport 2005 accept; drop", "pass:2", "pass:1"},
		{"udp dport 53 drop", "pass:1", ""},
		{"udp length > 20 drop", "pass:1", ""},
	} {
		if err := node.Nft("flush ruleset; table inet t { chain pass { type filter hook input priority 0; " + c.rule + "; }; }"); err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		set := read(t, node)
		p := probe()
		p.SrcPort, p.Fixed = new(uint16(2002)), rules.SourcePort
		var got []string
		for _, choice := range rules.Prepare(set).ChoosingDrawn(p, steps(t, set, c.steps), drawn, false) {
			got = append(got, fmt.Sprintf("pass:%d", number(set, choice.Rule)))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %q, want %q", c.rule, text, c.want)
		}
	}
}

// place is a rule in words.
type place string

func (p place) String() string { return string(p) }

func number(set *inspect.Ruleset, rule fmt.Stringer) int {
	for i, r := range set.Chain("inet", "t", "pass").Rules {
		if fmt.Stringer(r) == rule {
			return i + 1
		}
	}
	return 0
}
