package watch_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/vishvananda/netlink"
)

// A node is seen to get a packet before it asks for a neighbour: what was read in between
// is not all that is ever read.
func TestWhatWasReadTooEarlyIsReadAgain(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(`table inet mute { chain out { type filter hook output priority 0; icmp type destination-unreachable drop; }; }`))
	fw, nobody := lab.Node("fw"), netip.MustParseAddr("10.0.2.99")
	if err := fw.SetSysctl("net.ipv4.neigh.dmz.mcast_solicit", "100"); err != nil {
		t.Fatal(err)
	}
	a := ask(t, lab.Node("client"), to(wire.UDP, nobody, 53))
	link, err := fw.Netlink().LinkByName("dmz")
	if err == nil {
		err = fw.Netlink().NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: nobody.AsSlice()})
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := a.watch.Explain(a.trail, watch.Heard{}); c.Kind != evidence.Unknown {
		t.Fatalf("nothing is left of the entry: %s", c)
	}
	conn, err := fw.Dial(t.Context(), "udp", netip.AddrPortFrom(nobody, 9))
	if err == nil {
		defer conn.Close()
		_, err = conn.Write([]byte("an entry"))
	}
	if err != nil {
		t.Fatal(err)
	}
	looks := time.NewTicker(10 * time.Millisecond)
	defer looks.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-looks.C {
		c := a.watch.Explain(a.trail, watch.Heard{})
		if c.Kind == evidence.Neighbour {
			return
		}
		if time.Now().After(end) {
			t.Fatal(c)
		}
	}
}
