package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

const objects = `
	set moves { type ipv4_addr; flags dynamic; size 100; }
	set still { type ipv4_addr; flags dynamic; size 100; elements = { 10.0.0.1 } }
	set bounded { type ipv4_addr; flags dynamic; limit rate 1/second; elements = { 10.0.1.5 } }
	limit slow { rate 1/minute }
	quota much { 1 mbytes }
	counter some { }
	map each { type ipv4_addr : limit; elements = { 10.0.0.1 : "slow" } }
	set banned { type ipv4_addr; flags timeout; elements = { 10.0.1.5 timeout 1h, 10.0.1.6 } }
	set lasting { type ipv4_addr; flags timeout; elements = { 10.0.1.5 } }
	chain side { }
	chain fill { add @moves { ip saddr }; }
`

func TestRemembers(t *testing.T) {
	t.Parallel()
	rows := []struct {
		rule string
		kind rules.Kind
		text string
	}{
		{"limit rate 1/minute accept", rules.Rate, "a limit of 1 packets a minute"},
		{"limit rate over 10 kbytes/second drop", rules.Rate, "a limit of 10240 bytes a second"},
		{"limit rate 1/minute log", 0, ""},
		{"limit rate 1/minute counter", 0, ""},
		{"limit rate 1/minute jump side", rules.Rate, "a limit"},
		{"limit rate 1/minute meta mark set 1", rules.Rate, "a limit"},
		{"limit rate 1/minute ct mark set 1", rules.Rate, "a limit"},
		{"limit rate 1/minute ip dscp set cs1", rules.Rate, "a limit"},
		{"limit rate 1/minute meta priority set none", 0, ""},
		{"limit rate 1/minute reject", rules.Rate, "a limit"},
		{"limit rate 1/minute tcp dport vmap { 80 : accept }", rules.Rate, "a limit"},
		{"limit name slow accept", rules.Rate, "limit slow"},
		{"limit name ip saddr map @each accept", rules.Rate, "limit of map each"},
		{"quota over 1 mbytes drop", rules.Rate, "a quota of 1048576 bytes"},
		{"quota name much drop", rules.Rate, "quota much"},
		{"counter name some drop", 0, ""},
		{"ct count over 3 drop", rules.History, "how many connections"},
		{"numgen inc mod 3 0 accept", rules.Period, "which of 3 packets"},
		{"numgen inc mod 2 vmap { 0 : accept, 1 : drop }", rules.Period, "which of 2 packets"},
		{"numgen random mod 3 0 accept", rules.Chance, "a random number out of 3"},
		{"jhash ip saddr mod 2 0 accept", rules.Chance, "a hash of the packet, in 2 parts"},
		{"symhash mod 2 0 accept", rules.Chance, "a hash of the packet"},
		{"ip saddr @moves drop", rules.History, "what rules put into set moves"},
		{"ip saddr @still drop", 0, ""},
		{"ip saddr @bounded drop", rules.Rate, "the state of the elements of set bounded"},
		{"update @moves { ip saddr limit rate over 1/minute } drop", rules.Rate, "a limit of 1 packets a minute for each element of set moves"},
		{"add @moves { ip saddr } drop", rules.History, "what rules put into set moves"},
		{"add @moves { ip saddr }", 0, ""},
		{"ct original packets > 2 drop", rules.History, "how much its connection"},
		{"ct original bytes > 2 drop", rules.History, "how much its connection"},
		{"ct original avgpkt > 2 drop", rules.History, "how much its connection"},
		{"ct expiration < 10s drop", rules.History, "how long its connection is kept"},
		{"ct id & 1 == 0 drop", rules.Chance, "the number of its connection"},
		{"ct id 5 drop", rules.Chance, "the number of its connection"},
		{"ct mark 5 drop", 0, ""},
		{"ct state new drop", 0, ""},
		{"ip saddr @banned drop", rules.Clock, "the timeouts of the elements of set banned"},
		{"ip saddr @banned counter", 0, ""},
		{"ip saddr @lasting drop", 0, ""},
		{"meta skuid 0 drop", rules.Users, "the user"},
		{"meta skgid 0 drop", rules.Users, "the group"},
		{"meta cgroup 5 drop", rules.Users, "the control group"},
		{"meta skuid 0 limit rate 1/minute drop", rules.Rate, "a limit"},
		{"meta hour 10:00-11:00 drop", rules.Clock, "the time"},
		{"meta day Monday drop", rules.Clock, "the time"},
		{"meta random < 100 drop", rules.Chance, "a random number"},
		{"meta cpu 0 drop", rules.Chance, "the processor"},
		{"tcp dport 22 accept", 0, ""},
		{"fib daddr type local drop", 0, ""},
		{"rt mtu 1500 drop", 0, ""},
		{"osf name unknown drop", 0, ""},
	}
	node := oneNode(t, "")
	for _, r := range rows {
		if err := node.Nft("flush ruleset; table inet t { " + objects + " chain c { type filter hook forward priority 0; " + r.rule + "; }; }"); err != nil {
			t.Errorf("%s: %v", r.rule, err)
			continue
		}
		rule := read(t, node).Chain("inet", "t", "c").Rules[0]
		memory, remembers := rules.Remembers(rule)
		if remembers != (r.kind != 0) || memory.Kind != r.kind || !strings.HasPrefix(memory.Text, r.text) {
			t.Errorf("%s: %v %s %q, want %s %q; %s", r.rule, remembers, memory.Kind, memory.Text, r.kind, r.text, exprs(rule))
		}
		if remembers && memory.String() != fmt.Sprintf("rule 1 of inet t c depends on %s", memory.Text) {
			t.Errorf("it says %s", memory)
		}
	}
}

func TestRemembersWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	table := &inspect.Table{Family: "inet", Name: "t"}
	rule := &inspect.Rule{Chain: &inspect.Chain{Table: table, Name: "c"}, Exprs: []any{&inspect.Opaque{Name: "dream"}}}
	if memory, ok := rules.Remembers(rule); !ok || memory.Kind != rules.Unread {
		t.Errorf("it depends on %s", memory)
	}
	if got := rules.Match(rule, ping()); got != maybe {
		t.Errorf("it matches: %s", got)
	}
}

func TestRemembersIptables(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, r := range []struct {
		rule   string
		kind   rules.Kind
		period int
	}{
		{"-m limit --limit 1/min -j ACCEPT", rules.Rate, 0}, {"-m hashlimit --hashlimit-name x --hashlimit-upto 1/min -j ACCEPT", rules.Rate, 0},
		{"-m statistic --mode nth --every 3 --packet 0 -j ACCEPT", rules.Period, 3}, {"-m statistic --mode random --probability 0.5 -j ACCEPT", rules.Chance, 0},
		{"-m connlimit --connlimit-above 3 -j DROP", rules.History, 0}, {"-m recent --name x --rcheck -j DROP", rules.History, 0}, {"-m quota --quota 100 -j ACCEPT", rules.Rate, 0},
		{"-m limit --limit 1/min -j LOG", 0, 0}, {"-m limit --limit 1/min -j MARK --set-mark 1", rules.Rate, 0}, {"-p tcp --dport 22 -j ACCEPT", 0, 0}, {"-m limit --limit 1/min", 0, 0},
		{"-m conntrack --ctexpire 1:10 -j DROP", rules.History, 0}, {"-m conntrack --ctstate NEW -j DROP", 0, 0}, {"-m ttl --ttl-eq 5 -j DROP", 0, 0},
		{"-m length --length 5 -j DROP", 0, 0}, {"-m psd -j DROP", rules.Unread, 0}, {"-m psd -j LOG", 0, 0}, {"-j HMARK --hmark-tuple sport --hmark-mod 3 --hmark-offset 1 --hmark-rnd 1", rules.Chance, 0},
		{"-m comment --comment \"a limit\" -j DROP", 0, 0}, {"-m owner --uid-owner 0 -j DROP", rules.Users, 0}, {"-m connbytes --connbytes 5 --connbytes-dir both --connbytes-mode bytes -j DROP", rules.History, 0},
	} {
		chain := "FORWARD"
		if r.kind == rules.Users {
			chain = "OUTPUT"
		}
		table := "filter"
		if strings.Contains(r.rule, "MARK") {
			table = "mangle"
		}
		text := fmt.Sprintf("*%s\n-A %s %s\nCOMMIT\n", table, chain, r.rule)
		if err := node.Nft("flush ruleset"); err != nil {
			t.Fatal(err)
		}
		if err := node.Iptables(text); err != nil {
			t.Logf("%s: not here: %v", r.rule, err)
		} else if rule := read(t, node).Chain("ip", table, chain).Rules[0]; true {
			if memory, _ := rules.Remembers(rule); memory.Kind != r.kind || memory.Period != r.period {
				t.Errorf("%s: %s %d, want %s %d; %s", r.rule, memory.Kind, memory.Period, r.kind, r.period, exprs(rule))
			}
		}
		tables, err := inspect.ParseLegacy("iptables-legacy", fmt.Sprintf("*%s\n:%s ACCEPT [0:0]\n-A %s %s\nCOMMIT\n", table, chain, chain, r.rule))
		if err != nil {
			t.Fatal(err)
		}
		if memory, _ := rules.RemembersLegacy(tables[0].Chains[0].Rules[0]); memory.Kind != r.kind || memory.Period != r.period {
			t.Errorf("legacy %s: %s %d, want %s %d", r.rule, memory.Kind, memory.Period, r.kind, r.period)
		}
	}
}

// A set of ipset is history only where rules fill one.
func TestRemembersIPSets(t *testing.T) {
	t.Parallel()
	for fill, want := range map[string]rules.Kind{"": 0, "-A FORWARD -j SET --add-set x src\n": rules.History} {
		tables, err := inspect.ParseLegacy("iptables-legacy", "*filter\n:FORWARD DROP\n-A FORWARD -m set --match-set x src -j ACCEPT\n"+fill+"COMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
		if memory, _ := rules.RemembersLegacy(tables[0].Chains[0].Rules[0]); memory.Kind != want {
			t.Errorf("with %q it depends on %s", fill, memory.Kind)
		}
		table := &inspect.Table{Family: "ip", Name: "t", FillsIPSets: fill != ""}
		rule := &inspect.Rule{Chain: &inspect.Chain{Table: table, Name: "c"}, Exprs: []any{&expr.Match{Name: "set"}, &expr.Verdict{Kind: expr.VerdictAccept}}}
		if memory, _ := rules.Remembers(rule); memory.Kind != want {
			t.Errorf("with %q it depends on %s", fill, memory.Kind)
		}
	}
}
