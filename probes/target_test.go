package probes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

func TestAddressesOfATarget(t *testing.T) {
	t.Parallel()
	network := topo.New("targets")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	old := network.Switch("old", "10.0.3.0/24")
	network.Host("client", lan)
	network.Host("server", dmz.At("10.0.2.80").Also("10.0.2.81/24"))
	network.Host("four", old)
	network.Router("fw", lan, dmz, old)
	lab := harness.Up(t, network)
	client, fw, four := lab.Node("client"), lab.Node("fw"), lab.Node("four")
	attached := harness.Attach(t, "x", client.Path())
	for _, c := range []struct {
		from       *harness.Node
		to         Target
		want, name string
	}{
		{client, fw, "[10.0.1.2 fd00:1::2]", "fw"}, // the nearest
		{client, fw.On("dmz"), "[10.0.2.1 fd00:2::2]", "fw/dmz"},
		{client, lab.Node("server"), "[10.0.2.80 fd00:2::1]", "server"},
		{client, lab.Node("server").On("dmz"), "[10.0.2.80 fd00:2::1 10.0.2.81]", "server/dmz"}, // every one
		{client, client, "[10.0.1.1 fd00:1::1]", "client"},
		{client, four, "[10.0.3.1]", "four"},
		{four, fw, "[10.0.3.2]", "fw"},
		{four, fw.On("dmz"), "[10.0.2.1]", "fw/dmz"},
		{attached, fw, "[10.0.1.2 fd00:1::2]", "fw"},
		{four, netip.MustParseAddr("fd00::1"), "[fd00::1]", "fd00::1"}, // an address is taken at its word
		{four, netip.MustParseAddr("::ffff:10.0.0.1"), "[10.0.0.1]", "::ffff:10.0.0.1"},
	} {
		addrs, name, err := addresses(c.from, c.to)
		if got := fmt.Sprint(addrs); got != c.want || name != c.name || err != nil {
			t.Errorf("%s -> %s: %s, %q, %v; not %s, %q", c.from, c.to, got, name, err, c.want, c.name)
		}
	}
}

func TestTargetMistakes(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, flat("flat", 2))
	from := lab.Nodes()[0]
	for want, to := range map[string]Target{
		"no target: pass a *harness.Node, node.On(segment) or a netip.Addr": nil,
		"the target is a nil node":                                                                  (*harness.Node)(nil),
		"the target is the zero Endpoint: use node.On(segment)":                                     harness.Endpoint{},
		"the target is the zero address":                                                            netip.Addr{},
		"the target is ::, which is nobody's address":                                               netip.IPv6Unspecified(),
		"the target is 224.0.0.1, a multicast address: ask its members one by one":                  netip.MustParseAddr("224.0.0.1"),
		"the target is ff02::1%lan, a multicast address: ask its members one by one":                netip.MustParseAddr("ff02::1%lan"),
		"a target of type netip.Prefix: pass a *harness.Node, node.On(segment) or a netip.Addr":     netip.MustParsePrefix("10.0.0.0/8"),
		"a target of type *strings.Builder: pass a *harness.Node, node.On(segment) or a netip.Addr": &strings.Builder{},
		"a link-local address needs an interface of the asker, as in fe80::1%eth0":                  netip.MustParseAddr("fe80::1"),
		"node h0 has no interface dmz":                                                              netip.MustParseAddr("fe80::1%dmz"),
		"the target is 0.0.0.0, which is nobody's address":                                          netip.IPv4Unspecified(),
		"the target is ::ffff:224.0.0.1, a multicast address: ask its members one by one":           netip.MustParseAddr("::ffff:224.0.0.1"),
	} {
		result, err := Ask(t.Context(), from, to, ICMP())
		if err == nil || !strings.HasSuffix(err.Error(), ": "+want) || result.Outcome != 0 {
			t.Errorf("got  %v (%v)\nwant %s", err, result, want)
		}
	}
}
