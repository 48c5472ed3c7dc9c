package probes_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// Of what a rule that counts lets pass the next rules decide, and what they say is doubted as
// that of the first probe's.
func TestWhatIsAskedOnceMoreIsDoubtedLikeTheFirst(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		more, rules, says string
	}{
		"what a program may choose":        {"", "udp dport 53 numgen inc mod 2 0 drop; udp dport 53 udp length > 20 drop; udp dport 53 accept", "decides by the packet's length"},
		"a limit":                          {"", "udp dport 53 numgen inc mod 2 0 drop; udp dport 53 limit rate 1/minute burst 1 packets accept", "depends on a limit of 1 packets a minute"},
		"a limit, before a rule by ports":  {"", "udp dport 53 udp sport 40000-50000 drop; udp dport 53 limit rate 1/minute burst 1 packets accept", "depends on a limit of 1 packets a minute"},
		"a quota, by another way of a map": {"chain q { quota until 60 bytes accept; }", "udp dport 53 numgen inc mod 2 vmap { 1 : jump q }", "depends on a quota of 60 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _, words := remembering(t, row.more, row.rules)
			to := netip.MustParseAddr("10.0.2.1")
			for range 4 {
				say(t, client, netip.AddrPortFrom(to, 53))
			}
			if strings.Contains(name, "ports") {
				sayFrom(t, client, 30000, netip.AddrPortFrom(to, 53))
			}
			gomega.NewWithT(t).Eventually(words).Should(gomega.BeNumerically(">=", 1), "the judge: some get in")
			for range 2 { // whichever of two is the first
				holds, err := probes.BeIsolatedFrom(to, dns).Match(client)
				if holds || err == nil || !strings.Contains(err.Error(), row.says) {
					t.Errorf("want %q: %v, %v", row.says, holds, err)
				}
				say(t, client, netip.AddrPortFrom(to, 53))
			}
		})
	}
}

// sayFrom is say from a port.
func sayFrom(t *testing.T, node *harness.Node, port uint16, to netip.AddrPort) {
	t.Helper()
	conn, err := node.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteTo([]byte("a word"), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
}

// What one rule that counts lets pass another counts: together they begin again after as
// many as both, one by the other.
func TestRulesThatCountOneBehindTheOther(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	to := netip.MustParseAddr("10.0.2.1")
	client, _, words := remembering(t, "", "udp dport 53 numgen inc mod 4 != 0 drop; udp dport 53 numgen inc mod 4 3 accept")
	if holds, err := probes.BeIsolatedFrom(to, dns).Match(client); holds || err == nil || words() == 0 {
		t.Errorf("%v, %v; the judge: %d words", holds, err, words())
	}
	client, server, words := remembering(t, "", "udp dport 53 numgen inc mod 4 != 0 drop; udp dport 53 numgen inc mod 4 3 counter drop")
	gomega.NewWithT(t).Expect(client).To(probes.BeIsolatedFrom(server, dns), "each of them drops")
	if n := words(); n != 0 {
		t.Errorf("the judge: %d words", n)
	}
}
