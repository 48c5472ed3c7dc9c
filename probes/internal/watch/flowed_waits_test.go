package watch

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// A question goes to all on the link, or of IPv6 to the group of those whose address ends alike.
func TestQuestionsInTheWordsOfASwitch(t *testing.T) {
	t.Parallel()
	for next, c := range map[string]struct {
		source, want string
		tag          int
	}{
		"10.0.2.1": {"10.0.1.1", "in_port=pc,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_spa=10.0.1.1,arp_tpa=10.0.2.1,arp_sha=02:00:00:00:00:01", 0},
		"fd00:2::12:3456": {"fd00:1::1", "in_port=pc,dl_src=02:00:00:00:00:01,dl_dst=33:33:ff:12:34:56,dl_vlan=7,icmp6,icmpv6_type=135,icmpv6_code=0,nw_ttl=255," +
			"ipv6_src=fd00:1::1,ipv6_dst=ff02::1:ff12:3456,nd_target=fd00:2::12:3456,nd_sll=02:00:00:00:00:01", 7},
	} {
		x := crossing{from: "pc", mac: "02:00:00:00:00:01", Crossing: verdict.Crossing{
			Tag: c.tag, Next: netip.MustParseAddr(next), Seen: evidence.Sighting{Source: netip.MustParseAddr(c.source)},
		}}
		if got := x.question(); got != c.want {
			t.Errorf("of %s:\n%s, not\n%s", next, got, c.want)
		}
	}
}
