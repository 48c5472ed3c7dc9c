package rules_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

func anyAddress(netip.Addr) bool { return true }

// TestOneOfEach has an address of each part of 192.0.2.0/24, and of 2001:db8::/64, by their last
// number.
func TestOneOfEach(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, r := range []struct{ rule, want, want6 string }{
		{"accept", "1", "1"}, {"ip daddr 10.0.0.1 accept", "1", "1"}, {"tcp dport 7 accept", "1", "1"},
		{"ip daddr 192.0.2.1 accept", "1 0", "1"}, {"ip saddr 192.0.2.7 accept", "1 7", "1"}, {"ip daddr != 192.0.2.7 accept", "1 7", "1"},
		{"ip daddr { 192.0.2.5, 192.0.2.7, 192.0.2.9 } accept", "1 5", "1"}, {"ip daddr 192.0.2.5-192.0.2.9 accept", "1 5", "1"}, {"ip daddr { 192.0.2.0/28, 10.0.0.1 } accept", "1 16", "1"},
		{"ip daddr 192.0.2.0/28 accept", "1 16", "1"}, {"ip daddr 192.0.0.0/16 accept", "1", "1"}, {"ip saddr 192.0.2.0/24 accept", "1", "1"}, {"ip daddr > 192.0.2.9 accept", "1 10", "1"}, {"ip daddr <= 192.0.2.9 drop; ip daddr 192.0.2.1 accept", "1 0 10", "1"}, {"ip daddr >= 192.0.2.9 ip daddr <= 192.0.2.20 accept", "1 9 21", "1"},
		{"ip daddr < 192.0.2.9 accept", "1 9", "1"}, {"ip daddr & 0.0.0.1 == 1 accept", "1 0", "1"}, {"ip daddr & 0.0.0.1 == 0 drop; ip daddr 192.0.2.1 drop", "1 0 3", "1"},
		{"ip daddr vmap { 192.0.2.1-192.0.2.3 : accept, 192.0.2.4 : accept, 192.0.2.9 : drop }", "1 0 9", "1"}, {"ip daddr . tcp dport { 192.0.2.1 . 7, 192.0.2.2 . 7, 192.0.2.3 . 8 } accept", "1 0 3", "1"},
		{"ip saddr . ip daddr { 192.0.2.1 . 10.0.0.1, 10.0.0.1 . 192.0.2.2 } accept", "1 0 2", "1"}, {"ct original ip daddr 192.0.2.9 accept", "1 9", "1"}, {"dnat ip to ip daddr map { 192.0.2.1 : 10.0.0.1, 192.0.2.3 : 10.0.0.2 }", "1 0 3", "1"},
		{"ip6 daddr 2001:db8::1 accept", "1", "1 0"}, {"ip6 saddr { 2001:db8::1-2001:db8::5 } accept", "1", "1 0"}, {"ip6 daddr 2001:db8::/32 accept", "1", "1"}, {"ip6 daddr 2001:db8::8/125 accept", "1", "1 8"},
	} {
		hook := "type filter hook prerouting priority 0;"
		if strings.Contains(r.rule, "dnat") {
			hook = "type nat hook prerouting priority 0;"
		}
		if err := node.Nft("flush ruleset; table inet t { chain c { " + hook + r.rule + "; }; }"); err != nil {
			t.Errorf("%s: %v", r.rule, err)
			continue
		}
		by := rules.Dividers(read(t, node))
		for prefix, want := range map[string]string{"192.0.2.0/24": r.want, "2001:db8::/64": r.want6} {
			if got := lastNumbers(prefix, by); got != want {
				t.Errorf("%s: %s of %s, want %s; %v", r.rule, got, prefix, want, by)
			}
		}
	}
}

// TestOneOfEachOfIptables has the same of iptables-legacy.
func TestOneOfEachOfIptables(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"-d 192.0.2.1/32 -j DROP": "1 0", "-s 192.0.2.0/28 -j DROP": "1 16", "-m iprange --dst-range 192.0.2.5-192.0.2.9 -j DROP": "1 5", "! -d 192.0.2.7/32 -j DROP": "1 7", "-p udp -j DROP": "1",
	} {
		tables, err := inspect.ParseLegacy("iptables-legacy", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD "+rule+"\nCOMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := lastNumbers("192.0.2.0/24", rules.Dividers(&inspect.Ruleset{Legacy: tables})); got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
}

// TestOneOfEachOfTheWorld is of a prefix so wide that its first addresses are of no use.
func TestOneOfEachOfTheWorld(t *testing.T) {
	t.Parallel()
	by := []rules.Divider{{rules.Prefixed(netip.MustParsePrefix("10.0.0.0/8"), "")}}
	ofUse := func(addr netip.Addr) bool { return addr.As4()[0] != 0 }
	if got := fmt.Sprint(rules.OneOfEach(netip.MustParsePrefix("0.0.0.0/0"), by, ofUse)); got != "[10.0.0.0 11.0.0.0]" {
		t.Error(got)
	}
	if got := fmt.Sprint(rules.OneOfEach(netip.MustParsePrefix("0.0.0.0/0"), nil, ofUse)); got != "[192.0.2.1]" {
		t.Error(got)
	}
}

func lastNumbers(prefix string, by []rules.Divider) string {
	var last []string
	for _, addr := range rules.OneOfEach(netip.MustParsePrefix(prefix), by, anyAddress) {
		bytes := addr.AsSlice()
		last = append(last, fmt.Sprint(bytes[len(bytes)-1]))
	}
	return strings.Join(last, " ")
}
