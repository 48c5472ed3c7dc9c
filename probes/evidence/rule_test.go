package evidence

import (
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
)

var (
	commented = Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7, Text: "udp dport 53 drop", Comment: "no dns"}
	plain     = Rule{Family: "ip", Table: "nat", Chain: "pre", Handle: 8, Text: "tcp dport { 22, 80 } drop"}
	unread    = Rule{Family: "ip6", Table: "filter", Chain: "in put", Handle: 9}
	policy    = Rule{Family: "inet", Table: "filter", Chain: "forward"}
	spaced    = Rule{Family: "ip", Table: "t", Chain: "c", Handle: 1, Comment: "two  spaces", Text: "drop"}
)

func TestRuleNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule         Rule
		name, String string
	}{
		{commented, "no dns", `rule "udp dport 53 drop" of inet filter forward ("no dns")`},
		{plain, "tcp dport { 22, 80 } drop", `rule "tcp dport { 22, 80 } drop" of ip nat pre`},
		{unread, "ip6 filter in put handle 9", "rule 9 of ip6 filter in put"},
		{policy, "policy inet filter forward", "policy drop of inet filter forward"},
		{Rule{Family: "ip", Table: "t", Chain: "c", Handle: 3, Comment: "x"}, "x", `rule 3 of ip t c ("x")`},
	} {
		if got := c.rule.Name(); got != c.name {
			t.Errorf("%s is called %q, want %q", c.String, got, c.name)
		}
		if got := c.rule.String(); got != c.String {
			t.Errorf("%q, want %q", got, c.String)
		}
		if !c.rule.Is(c.rule.Name()) {
			t.Errorf("%s is not what it is called", c.String)
		}
	}
}

func TestRuleIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule Rule
		name string
		want bool
	}{
		{commented, "no dns", true},
		{commented, "no dn", false},
		{commented, "no dns ", false}, // a comment is exact
		{commented, "No dns", false},
		{commented, "udp dport 53 drop", true},
		{commented, "\n\tudp  dport 53\tdrop ", true},
		{commented, "udp dport 53 drop comment \"no dns\"", false},
		{commented, "udp dport 5 drop", false},
		{commented, "policy inet filter forward", false},
		{commented, "", false},
		{spaced, "two  spaces", true},
		{spaced, "two spaces", false},
		{plain, "tcp dport { 22, 80 } drop", true},
		{plain, "", false},
		{unread, "ip6 filter in put handle 9", true},
		{unread, "ip6 filter in put handle 10", false},
		{unread, "", false},
		{unread, " ", false},
		{policy, "policy inet filter forward", true},
		{policy, " policy  inet filter\tforward", true},
		{policy, "policy ip filter forward", false},
		{policy, "inet filter forward", false},
		{policy, "", false},
	} {
		if got := c.rule.Is(c.name); got != c.want {
			t.Errorf("%s is %q: %v", &c.rule, c.name, got)
		}
	}
}

func TestTextOfAListing(t *testing.T) {
	t.Parallel()
	const listing = `table inet filter { # handle 12
	chain forward { # handle 1
		type filter hook forward priority filter; policy drop;
		ct state established,related accept # handle 2
		tcp dport { 22 comment "ssh", 80 } counter packets 17 bytes 1020 drop comment "no # handle 9" # handle 3
		ip saddr @blocked drop # handle 30
		tcp dport vmap { 22 : drop, 80 : jump web } # handle 31
		log prefix "a comment " drop comment "told" # handle 32
		log prefix " comment \" counter packets 1 bytes 2 drop # handle 33
		meta l4proto { tcp, udp } th dport 53 counter packets 0 bytes 0 quota over 10 mbytes drop # handle 34
		udp   dport   54  drop # handle 35 # handle 36
		drop # handle 37
	}
}
`
	for handle, want := range map[uint64]string{
		2:  "ct state established,related accept",
		3:  `tcp dport { 22 comment "ssh", 80 } counter drop`,
		30: "ip saddr @blocked drop",
		31: "tcp dport vmap { 22 : drop, 80 : jump web }",
		32: `log prefix "a comment " drop`,
		33: `log prefix " comment \" counter drop`,
		34: "meta l4proto { tcp, udp } th dport 53 counter quota over 10 mbytes drop",
		36: "udp dport 54 drop # handle 35",
		37: "drop",
		5:  "", 0: "", 300: "", 9: "", 35: "",
	} {
		if got := textOf(listing, handle); got != want {
			t.Errorf("handle %d: %q, want %q", handle, got, want)
		}
	}
}

func TestRuleDescribed(t *testing.T) {
	t.Parallel()
	comment := xt.Comment("from iptables\x00\x00rubbish")
	for name, c := range map[string]struct {
		rule nftables.Rule
		want Rule
	}{
		"nothing":            {nftables.Rule{}, Rule{}},
		"a drop":             {nftables.Rule{Exprs: []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}}, Rule{}},
		"a comment":          {nftables.Rule{UserData: userdata.AppendString(nil, userdata.TypeComment, "no dns")}, Rule{Comment: "no dns"}},
		"a reject":           {nftables.Rule{Exprs: []expr.Any{&expr.Counter{}, &expr.Reject{}}}, Rule{Rejects: true}},
		"iptables' reject":   {nftables.Rule{Exprs: []expr.Any{&expr.Target{Name: "REJECT"}, &expr.Counter{}}}, Rule{Rejects: true}},
		"iptables' drop":     {nftables.Rule{Exprs: []expr.Any{&expr.Target{Name: "DROP"}}}, Rule{}},
		"iptables' comment":  {nftables.Rule{Exprs: []expr.Any{&expr.Match{Name: "comment", Info: &comment}}}, Rule{Comment: "from iptables"}},
		"iptables' addrtype": {nftables.Rule{Exprs: []expr.Any{&expr.Match{Name: "addrtype", Info: &xt.AddrType{}}}}, Rule{}},
		"a comment and a reject": {
			nftables.Rule{Exprs: []expr.Any{&expr.Match{Name: "comment", Info: &comment}, &expr.Target{Name: "REJECT"}}},
			Rule{Comment: "from iptables", Rejects: true},
		},
	} {
		var got Rule
		got.describe(&c.rule)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
