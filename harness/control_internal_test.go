package harness

import (
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

// A kernel with much to do makes an address usable late: then a control is patient. One that
// nobody has is given up in time. Duplicate address detection (RFC 4862, 5.4) makes an
// address tentative, for a second by each of its solicitations.
func TestAControlWaitsForTheKernel(t *testing.T) {
	t.Parallel()
	if noIPv6() {
		t.Skip("no IPv6")
	}
	network := topo.New("stalled")
	lan := network.Switch("lan", "fd00:1::/64")
	network.Host("a", lan)
	network.Host("b", lan)
	lab := Up(t, network)
	a, b := spot{"a", "lan"}, spot{"b", "lan"}
	s := lab.now().site
	for _, name := range []string{"accept_dad", "dad_transmits"} {
		if err := lab.Node("b").SetSysctl("net.ipv6.conf.lan."+name, "2"); err != nil {
			t.Fatal(err)
		}
	}
	link, err := lab.Node("b").Netlink().LinkByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	const late, nobodys = "fd00:1::77", "fd00:1::78"
	addr, err := netlink.ParseAddr(late + "/64")
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Node("b").Netlink().AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	ask := func(target string) (time.Duration, error) {
		q := s.question("lan", a, b, netip.MustParseAddr(target))
		var c *control
		if err := once(q.ground.enter, func() (err error) { c, err = newControl(q); return err }); err != nil {
			t.Fatal(err)
		}
		defer c.close()
		c.patient, c.waiting[q.target] = 100*time.Millisecond, q
		start := time.Now()
		err := c.run()
		return time.Since(start), err
	}
	if took, err := ask(late); err != nil || took < 500*time.Millisecond {
		t.Errorf("after %v: %v; it is to be made tentative, and waited for", took, err)
	}
	if took, err := ask(nobodys); err == nil || took > stallBound {
		t.Errorf("after %v: %v; it is to be given up", took, err)
	}
}
