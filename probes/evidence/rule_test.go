package evidence

import "testing"

var (
	commented = Rule{Family: "inet", Table: "filter", Chain: "forward", Handle: 7, Text: "udp dport 53 drop", Comment: "no dns"}
	plain     = Rule{Family: "ip", Table: "nat", Chain: "pre", Handle: 8, Text: "tcp dport { 22, 80 } drop"}
	unread    = Rule{Family: "ip6", Table: "filter", Chain: "in put", Handle: 9}
	policy    = Rule{Family: "inet", Table: "filter", Chain: "forward"}
	made      = Rule{Family: "ip", Table: "filter", Chain: "FORWARD", Handle: 4, Text: "tcp dport 22 counter drop", Iptables: "-p tcp -m tcp --dport 22 -j DROP", Comment: "no ssh"}
	legacy    = Rule{Family: "iptables-legacy", Table: "filter", Chain: "FORWARD", Handle: 1, Text: "-p udp -m udp --dport 53 -j DROP"}
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
		{policy, "inet filter forward", true},
		{policy, "policy drop of inet filter forward", true},
		{policy, "ip filter forward", false},
		{policy, "drop", false},
		{commented, "inet filter forward", true},
		{commented, "inet filter", false},
		{commented, `rule "udp dport 53 drop" of inet filter forward ("no dns")`, true},
		{commented, "policy drop of inet filter forward", false},
		{plain, `rule "tcp dport { 22, 80 } drop" of ip nat pre`, true},
		{unread, "rule 9 of ip6 filter in put", true},
		{made, "tcp dport 22 counter drop", true},
		{made, "-p tcp -m tcp --dport 22 -j DROP", true},
		{made, "-A FORWARD -p tcp -m tcp --dport 22 -j DROP", true},
		{made, "-A FORWARD -p tcp --dport 22 -m comment --comment \"no ssh\" -j DROP", true},
		{made, "-A INPUT -p tcp --dport 22 -j DROP", false},
		{made, "-p tcp --dport 23 -j DROP", false},
		{made, "-p tcp", false},
		{made, "no ssh", true},
		{legacy, "-A FORWARD -p udp --dport 53 -j DROP", true},
		{legacy, "-p udp -m udp --dport 53 -j DROP", true},
		{legacy, "-m udp", false},
		{commented, "-A forward", false},
		{policy, "", false},
	} {
		if got := c.rule.Is(c.name); got != c.want {
			t.Errorf("%s is %q: %v", &c.rule, c.name, got)
		}
	}
}
