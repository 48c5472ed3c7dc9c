package watch

import (
	"maps"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/topo"
)

const listing = `# Warning: table ip filter is managed by iptables-nft, do not touch!
table inet filter { # handle 7
	set s { # handle 1
		type ipv4_addr
		elements = { 10.0.0.1,
			     10.0.0.2 }
	}

	chain guests { # handle 2
		counter  return comment "bye # handle 9" # handle 5
	}

	chain forward { # handle 3
		type filter hook forward priority filter; policy drop;
		ip saddr @s drop # handle 4
	}
}
table ip filter { # handle 8
	chain FORWARD { # handle 1
		type filter hook forward priority filter; policy accept;
		udp dport 53  counter drop # handle 2
	}
}
`

func TestTextsOf(t *testing.T) {
	t.Parallel()
	want := map[ruleKey]string{
		{familyINet, "filter", "guests", 5}:  `counter return comment "bye # handle 9"`,
		{familyINet, "filter", "forward", 4}: "ip saddr @s drop",
		{familyIPv4, "filter", "FORWARD", 2}: "udp dport 53 counter drop",
	}
	if got := textsOf(listing); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// A rule whose text is not to be had is known by its place and comment; rules of
// one text are counted.
func TestRulesetOfAChain(t *testing.T) {
	t.Parallel()
	chain := &inspect.Chain{Name: "forward", Table: &inspect.Table{Name: "filter", Family: "ip6"}, Hook: "forward"}
	chain.Rules = []*inspect.Rule{{Handle: 4}, {Handle: 9, Comment: "no ssh"}, {Handle: 5}, {Handle: 6, Comment: "no ssh"}}
	s := &ruleset{byRef: map[ruleKey]coverRule{}}
	s.add(chain, map[ruleKey]string{
		{familyIPv6, "filter", "forward", 4}: "tcp dport 22 drop",
		{familyIPv6, "filter", "forward", 5}: "tcp dport 22 drop",
		{familyIPv6, "filter", "forward", 6}: `drop comment "no ssh"`,
	})
	want := []coverRule{
		{"ip6", "filter", "forward", 0, "policy accept"},
		{"ip6", "filter", "forward", 1, "tcp dport 22 drop"},
		{"ip6", "filter", "forward", 1, `rule 2 comment "no ssh"`},
		{"ip6", "filter", "forward", 2, "tcp dport 22 drop"},
		{"ip6", "filter", "forward", 1, `drop comment "no ssh"`},
	}
	if !slices.Equal(s.rules, want) {
		t.Errorf("%v", s.rules)
	}
	for i, handle := range []uint64{0, 4, 9, 5, 6} {
		if got := s.byRef[ruleKey{familyIPv6, "filter", "forward", handle}]; got != want[i] {
			t.Errorf("handle %d is %v", handle, got)
		}
	}
}

// Rules of which google/nftables can decode one no more than the kernel's newest hide none.
func TestRulesetWithRulesThatALibraryCannotDecode(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	network := topo.New("one")
	network.Host("a", network.Switch("eth0", "10.0.1.0/24")).Nft(`table ip filter { chain INPUT {
		type filter hook input priority 0; policy drop;
		ct original ip saddr 10.0.1.0/24 accept
		ct reply ip daddr 10.0.1.9 accept
		ct original bytes > 1000 accept
		ct reply packets > 2 accept
		udp dport 53 drop comment "no names"; }; }`)
	node := harness.Up(t, network).Node("a")
	read, err := readRuleset(node)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, rule := range read.rules {
		texts = append(texts, rule.text)
	}
	want := []string{
		"policy drop", "ct original ip saddr 10.0.1.0/24 accept", "ct reply ip daddr 10.0.1.9 accept", "ct original bytes > 1000 accept",
		"ct reply packets > 2 accept", `udp dport 53 drop comment "no names"`,
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
	for key := range read.byRef {
		number, ok := numberOf(node, &evidence.Rule{Family: "ip", Table: "filter", Chain: "INPUT", Handle: key.handle})
		if key.handle == 0 {
			continue
		}
		if text := read.byRef[key].text; !ok || texts[number+1] != text {
			t.Errorf("%q has number %d, %t", text, number, ok)
		}
	}
}
