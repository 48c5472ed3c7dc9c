package inspect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
)

// ruled is a node with those rules.
func ruled(t testing.TB, text string) *harness.Node {
	network := topo.New("one")
	network.Host("a", network.Switch("eth0", "10.0.1.0/24")).Nft(text)
	return harness.Up(t, network).Node("a")
}

// rulesOf reads a node's rules.
func rulesOf(t testing.TB, node *harness.Node) *inspect.Ruleset {
	t.Helper()
	var set *inspect.Ruleset
	err := node.Do(func() error {
		conn, err := inspect.DialRuleset()
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		set, err = inspect.ReadRuleset(conn)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const everything = `
table inet filter {
	set ports { type inet_service; flags interval; elements = { 22, 80-89, 90-99, 65535 } }
	set spans { type ipv4_addr . inet_service; flags interval; elements = { 10.0.9.0/30 . 80-443 } }
	set moves { type ipv4_addr; flags dynamic; size 100; }
	set still { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
	map ways { type inet_service : verdict; elements = { 80 : jump other, * : drop } }
	map marks { type ipv4_addr : mark; flags interval; elements = { 10.0.0.0/8 : 0x5 } }
	chain forward {
		type filter hook forward priority -5; policy drop;
		tcp dport @ports accept comment "a port"
		ct state established,related accept
		tcp dport vmap @ways
		ip saddr . tcp dport { 10.0.0.1 . 22 } drop
		add @moves { ip saddr }
	}
	chain other { counter return; }
}
table arp a { chain in { type filter hook input priority 0; }; }
table bridge b { chain pass { type filter hook forward priority filter; }; }
table netdev d { chain in { type filter hook ingress device "eth0" priority 0; }; }
table ip nstest-own { chain in { type filter hook input priority 0; policy drop; }; }
table ip6 off { flags dormant; chain in { type filter hook input priority 0; policy drop; }; }
`

func TestReadRuleset(t *testing.T) {
	t.Parallel()
	set := rulesOf(t, ruled(t, everything))
	var found []string
	for _, table := range set.Tables {
		for _, c := range table.Chains {
			found = append(found, fmt.Sprint(c, " ", c.Type, " ", c.Hook, " ", c.Priority, " ", c.Drops, " ", c.Devices, " ", len(c.Rules)))
		}
	}
	slices.Sort(found)
	want := []string{
		"arp a in filter input 0 false [] 0", "bridge b pass filter forward -200 false [] 0", "inet filter forward filter forward -5 true [] 5",
		"inet filter other   0 false [] 1", "ip6 off in filter input 0 true [] 0", "netdev d in filter ingress 0 false [eth0] 0",
	}
	if !slices.Equal(found, want) {
		t.Errorf("chains are\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	if !set.Table("ip6", "off").Dormant() || set.Table("inet", "filter").Dormant() || set.Generation == 0 {
		t.Errorf("dormant, generation: %+v", set)
	}
	rule := set.Chain("inet", "filter", "forward").Rules[0]
	if rule.String() != `rule 1 of inet filter forward ("a port")` || rule.Handle == 0 || rule.Chain.Rule(rule.Handle) != rule {
		t.Errorf("it is %s, handle %d", rule, rule.Handle)
	}
	if set.Chain("inet", "filter", "none") != nil || set.Table("ip", "filter") != nil || rule.Chain.Rule(0) != nil {
		t.Error("there is what is not there")
	}
}

func TestReadSets(t *testing.T) {
	t.Parallel()
	sets := rulesOf(t, ruled(t, everything)).Table("inet", "filter").Sets
	for _, c := range []struct{ name, want string }{
		{"ports", "[0016-0016 0050-0059 005a-0063 ffff-ffff]"},
		{"spans", "[0a00090000500000-0a00090301bb0000]"},
		{"ways", "[0050-=jump other -=drop *]"},
		{"marks", "[0a000000-0affffff=05000000]"},
		{"__set0", "[0a00000100160000-]"},
	} {
		set := sets[c.name]
		if set == nil {
			t.Errorf("%s is not there", c.name)
			continue
		}
		var elements []string
		for _, e := range set.Elements {
			text := fmt.Sprintf("%x-%x", e.Key, e.End)
			if e.Data != nil {
				text += fmt.Sprintf("=%x", e.Data)
			}
			if e.Verdict != nil {
				text += "=" + map[expr.VerdictKind]string{expr.VerdictJump: "jump " + e.Verdict.Chain, expr.VerdictDrop: "drop"}[e.Verdict.Kind]
			}
			if e.CatchAll {
				text += " *"
			}
			elements = append(elements, text)
		}
		slices.Sort(elements)
		slices.SortStableFunc(elements, func(a, b string) int { return strings.Count(a, "*") - strings.Count(b, "*") })
		if got := fmt.Sprint(elements); got != c.want {
			t.Errorf("%s has %s, want %s", c.name, got, c.want)
		}
	}
	if moves, still := sets["moves"], sets["still"]; !moves.Updated || !moves.Dynamic || still.Updated || !still.Dynamic || !still.Timeout || sets["ports"].Dynamic {
		t.Errorf("which changes: %+v, %+v", moves, still)
	}
	if !sets["ways"].Verdicts || !sets["marks"].Map || sets["marks"].Verdicts || sets["spans"].Fields[1] != 2 {
		t.Errorf("kinds: %+v", sets)
	}
}

// What google/nftables passes over, or reads wrongly, is there.
func TestReadEveryExpression(t *testing.T) {
	t.Parallel()
	set := rulesOf(t, ruled(t, `table inet t {
		chain c { type filter hook forward priority 0;
			ct state new
			ct mark set 5
			rt mtu 1500
			meta mark 1-7
			meta mark set meta mark << 2
			ip saddr 10.0.0.0/9 drop
			tcp option maxseg size 5
		}; }`))
	want := []string{
		"*expr.Ct *expr.Bitwise *expr.Cmp", "*expr.Immediate *expr.Ct", "*inspect.Opaque *expr.Cmp", "*expr.Meta *expr.Byteorder *expr.Cmp",
		"*expr.Meta *inspect.Opaque *expr.Meta", "*expr.Meta *expr.Cmp *expr.Payload *expr.Bitwise *expr.Cmp", "*expr.Exthdr *expr.Cmp",
	}
	for i, rule := range set.Tables[0].Chains[0].Rules {
		var kinds []string
		for _, e := range rule.Exprs {
			kinds = append(kinds, fmt.Sprintf("%T", e))
		}
		if got := strings.Join(kinds, " "); !strings.HasPrefix(got, want[i]) {
			t.Errorf("rule %d: %s, want %s", i+1, got, want[i])
		}
	}
	rules := set.Tables[0].Chains[0].Rules
	if mask := rules[5].Exprs[3].(*expr.Bitwise).Mask; !slices.Equal(mask, []byte{255, 128, 0, 0}) {
		t.Errorf("the mask is %v", mask)
	}
	if ct := rules[1].Exprs[1].(*expr.Ct); !ct.SourceRegister || ct.Register == 0 {
		t.Errorf("ct mark set is %+v", ct)
	}
}

func TestReadNothing(t *testing.T) {
	t.Parallel()
	if set := rulesOf(t, ruled(t, "")); len(set.Tables) != 0 {
		t.Errorf("tables %v", set.Tables)
	}
}

// manyRules are 5,500, some 6 expressions each.
func manyRules() string {
	var text strings.Builder
	text.WriteString("table inet t { chain c { type filter hook forward priority 0;\n")
	for i := range 5500 {
		fmt.Fprintf(&text, "ip saddr 10.%d.%d.0/24 tcp dport %d counter drop\n", i>>8, i&255, 1+i)
	}
	return text.String() + "}; }\n"
}

func BenchmarkReadRuleset5500(b *testing.B) {
	node := ruled(b, manyRules())
	b.Run("inspect", func(b *testing.B) {
		for b.Loop() {
			if n := len(rulesOf(b, node).Tables[0].Chains[0].Rules); n != 5500 {
				b.Fatal(n)
			}
		}
	})
	b.Run("google-nftables", func(b *testing.B) {
		for b.Loop() {
			err := node.Nftables(func(conn *nftables.Conn) error {
				table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "t"}
				rules, err := conn.GetRules(table, &nftables.Chain{Name: "c", Table: table})
				if len(rules) != 5500 {
					b.Fatal(len(rules))
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Who reads them knows which elements end by themselves.
func TestReadTimeouts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"set s { type inet_service; flags timeout; elements = { 22 timeout 1h, 23 } }":                        "[0016:true 0017:false]",
		"set s { type inet_service; timeout 1h; elements = { 22 } }":                                          "[0016:true]",
		"set s { type inet_service; flags interval, timeout; elements = { 22-30 timeout 1h, 80-90 } }":        "[0016:true 0050:false]",
		"map s { type inet_service : verdict; flags timeout; elements = { 22 timeout 1h : drop, * : drop } }": "[0016:true :false]",
	} {
		set := rulesOf(t, ruled(t, "table inet t { "+text+"; }"))
		var elements []string
		for _, e := range set.Table("inet", "t").Sets["s"].Elements {
			elements = append(elements, fmt.Sprintf("%x:%t", e.Key, e.Expires))
		}
		if got := fmt.Sprint(elements); got != want || !set.Expires() {
			t.Errorf("%s: %s, want %s; %t", text, got, want, set.Expires())
		}
	}
	if rulesOf(t, ruled(t, "table inet t { set s { type inet_service; flags timeout; elements = { 22 } }; }")).Expires() {
		t.Error("one without a timeout ends")
	}
	hour := rulesOf(t, ruled(t, "table inet t { set s { type inet_service; timeout 1d; elements = { 22 timeout 1h, 23 } }; }")).Table("inet", "t").Sets["s"]
	if !hour.Lasts(30*time.Minute) || hour.Lasts(time.Hour+time.Minute) {
		t.Errorf("an hour is left, it was read %v", hour.Elements)
	}
}
